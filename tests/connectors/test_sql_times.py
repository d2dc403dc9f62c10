"""Dates and times of databases: each is stored as it was meant, or refused.

A column with an offset from UTC holds moments. One without holds what a clock shows.
"""

from datetime import UTC, datetime, time, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from openbulk.connectors.fields import FieldError
from openbulk.connectors.sql.values import Column, Conversion, Kind, to_database

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
