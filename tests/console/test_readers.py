"""People read times as those of the place where they are."""

from collections.abc import Callable

from console.conftest import Person
from support.harness import Server


def test_times_are_those_of_the_browsers_time_zone(
    person_of: Callable[..., Person], shared_memory: Server
) -> None:
    body = {
        "name": "At six",
        "uri": "/bulk/query",
        "query": {"q": "select * from records"},
        "trigger": {"cron": "0 0 6 ? 1 MON"},
    }
    schedule = shared_memory.call("POST", "/jobs", json_body=body).json["id"]
    person = person_of(shared_memory.process.url, timezone_id="Asia/Kolkata", locale="en-GB")
    person.sign_in()
    person.open(f"/schedules/{schedule}")
    assert "11:30" in person.page.inner_text("dl")
