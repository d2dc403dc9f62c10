"""Dates and times of databases: each is stored as it was meant, or refused.

A column with an offset from UTC holds moments. One without holds what a clock shows.
"""

from datetime import UTC, datetime, time, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from openbulk.connectors.base import ConnectionContext
from openbulk.connectors.fields import FieldError
from openbulk.connectors.sql import PostgresqlProvider
from openbulk.connectors.sql.values import Column, Conversion, Kind, to_database
from openbulk.domain.records import Action, Record, Target
from openbulk.notify.egress import allowed_address
from openbulk.notify.networks import LOOPBACK_AND_PRIVATE
from support import forget
from support.postgres import Postgres

BERLIN = ZoneInfo("Europe/Berlin")
LOCAL = Column("v", Kind.MOMENT)
ZONED = Column("v", Kind.MOMENT, is_zoned=True)
HOUR = Column("v", Kind.TIME)
ZONED_HOUR = Column("v", Kind.TIME, is_zoned=True)
IN_BERLIN = Conversion(zone=BERLIN)
"""An upload with `metaData.timeZone`."""
NO_ZONE = Conversion()
REFUSED = None
clock = datetime.fromisoformat


@pytest.mark.parametrize(
    ("column", "text", "conversion", "kept"),
    [
        (LOCAL, "2026-05-30T08:15", NO_ZONE, clock("2026-05-30 08:15")),
        (LOCAL, "2026-05-30T08:15", IN_BERLIN, clock("2026-05-30 08:15")),
        (LOCAL, "2026-05-30T08:15Z", NO_ZONE, clock("2026-05-30 08:15")),
        (LOCAL, "2026-05-30T08:15Z", IN_BERLIN, clock("2026-05-30 10:15")),
        (LOCAL, "2026-05-30T08:15+02:00", NO_ZONE, REFUSED),
        (LOCAL, "2026-05-30T08:15+02:00", IN_BERLIN, clock("2026-05-30 08:15")),
        (LOCAL, "2026-10-25T00:30Z", IN_BERLIN, REFUSED),
        (LOCAL, "2026-10-25T01:30Z", IN_BERLIN, REFUSED),
        (LOCAL, "2026-10-25T02:30", IN_BERLIN, clock("2026-10-25 02:30")),
        (LOCAL, "12026-05-30 08:15:00", IN_BERLIN, "12026-05-30 08:15:00"),
        (LOCAL, "12026-05-30 08:15:00+00", NO_ZONE, "12026-05-30 08:15:00+00"),
        (LOCAL, "12026-05-30 08:15:00+00", IN_BERLIN, REFUSED),
        (ZONED, "2026-05-30T08:15", NO_ZONE, datetime(2026, 5, 30, 8, 15, tzinfo=UTC)),
        (ZONED, "2026-05-30T08:15", IN_BERLIN, datetime(2026, 5, 30, 6, 15, tzinfo=UTC)),
        (ZONED, "2026-05-30T08:15+02:00", IN_BERLIN, datetime(2026, 5, 30, 6, 15, tzinfo=UTC)),
        (ZONED, "12026-05-30 08:15:00", NO_ZONE, "12026-05-30 08:15:00"),
        (ZONED, "12026-05-30 08:15:00", IN_BERLIN, REFUSED),
        (ZONED, "-infinity", IN_BERLIN, "-infinity"),
        (HOUR, "08:15", IN_BERLIN, time(8, 15)),
        (HOUR, "24:00", IN_BERLIN, "24:00"),
        (HOUR, "24:00+02", NO_ZONE, REFUSED),
        (ZONED_HOUR, "08:15", NO_ZONE, time(8, 15, tzinfo=UTC)),
        (ZONED_HOUR, "08:15", IN_BERLIN, REFUSED),
        (
            ZONED_HOUR,
            "08:15",
            Conversion(zone=ZoneInfo("Etc/GMT-2")),
            time(8, 15, tzinfo=timezone(timedelta(hours=2))),
        ),
        (ZONED_HOUR, "24:00", NO_ZONE, "24:00+0000"),
    ],
)
def test_a_time_is_kept_as_it_was_meant_or_refused(
    column: Column, text: str, conversion: Conversion, kept: Any
) -> None:
    """A refusal is an error of the column, with the text."""
    try:
        found = to_database(column, text, conversion)
    except FieldError as error:
        assert kept is REFUSED
        assert (error.field, error.message.startswith(f"v is '{text}'; ")) == ("v", True)
    else:
        assert found == kept
        assert getattr(found, "tzinfo", None) is None or column.is_zoned


async def test_a_time_that_was_taken_for_utc_is_told(postgres: Postgres) -> None:
    """Once a batch, and not if the caller names a zone."""
    name = postgres.new_database("CREATE TABLE t (a timestamptz, b timetz, c timestamptz)")
    context = ConnectionContext(postgres.configuration(name), None, forget)  # type: ignore[arg-type]
    connector = PostgresqlProvider(resolve).connect(context)
    clear = {"a": "2026-05-30T08:15Z", "b": "08:15+02:00"}
    local = {"a": "2026-05-30T08:15", "b": "08:15"}
    batch = [Record(n, row) for n, row in enumerate([clear, local, local, {"c": local["a"]}], 1)]
    try:
        outcomes = await connector.write(Target("t", Action.CREATE), batch)
        remarks = {one.row: one.remark for one in outcomes if one.remark}
        told = (
            "the time in {} has no offset, here and in rows behind: it was taken for a time in "
            "UTC; metaData.timeZone names another zone"
        )
        assert remarks == {2: told.format("a and b"), 4: told.format("c")}
        in_tokyo = Target("t", Action.CREATE, options={"timeZone": "Asia/Tokyo"})
        assert [one.remark for one in await connector.write(in_tokyo, batch[3:])] == [""]
    finally:
        await connector.close()


async def resolve(host: str, port: int) -> str:
    return await allowed_address(host, port, allowed=LOOPBACK_AND_PRIVATE)
