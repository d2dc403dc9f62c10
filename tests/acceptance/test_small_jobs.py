"""Many small jobs of one instance at the same time: most begin without the queue."""

from concurrent.futures import ThreadPoolExecutor

import psycopg

from support.harness import SLOWER, Processes, until

FILE = b"name\n" + b"Ann\n" * 10
JOBS = 16
NOTE_TWO_AT_ONCE = (
    "CREATE TABLE two_at_once (job bigint, other bigint)",
    """
    CREATE FUNCTION note_two() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO two_at_once SELECT NEW.id, jobs.id FROM jobs
        WHERE jobs.slice_running AND jobs.instance_id = NEW.instance_id AND jobs.id <> NEW.id;
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER note_two AFTER UPDATE OF slice_running ON jobs FOR EACH ROW
    WHEN (NEW.slice_running AND NOT OLD.slice_running) EXECUTE FUNCTION note_two()
    """,
)
"""PostgreSQL notes each slice that begins in a lane while another one runs there."""


def test_a_lane_has_one_slice_at_a_time_whoever_begins_it(
    processes: Processes, database: str
) -> None:
    """The process that took a job in, or any process from the queue."""
    server = processes.server(OPENBULK_DATABASE_URL=database).instance("memory")
    processes.worker(OPENBULK_DATABASE_URL=database)
    with psycopg.connect(database, autocommit=True) as administrator:
        for statement in NOTE_TWO_AT_ONCE:
            administrator.execute(statement.encode())
        with ThreadPoolExecutor(4) as callers:
            made = list(callers.map(lambda _: server.upload("records", FILE).json, range(JOBS)))
        for job in made:
            ended = server.finished(job["id"], within=60 * SLOWER)
            assert (ended["status"], ended["recordsCount"]) == ("COMPLETE", 10)
        assert administrator.execute("SELECT * FROM two_at_once").fetchall() == []
        begun = "SELECT count(*) FROM jobs WHERE started_at IS NOT NULL AND fence = 1"
        assert administrator.execute(begun).fetchone() == (JOBS,)
        slices = "SELECT status, queue_name FROM openbulk_lanes.workflow_status GROUP BY 1, 2"
        until(
            lambda: administrator.execute(slices).fetchall() == [("SUCCESS", "lanes")],
            60 * SLOWER,
            "each slice has left the lane",
        )
