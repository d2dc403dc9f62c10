"""The name and the columns of a download's file."""

import re
from collections.abc import Sequence

from openbulk.domain.job import Job
from openbulk.formats.table import order_columns

MAX_FILE_NAME = 150
_SUFFIXES = {"googlecsv": "csv", "googlexlsx": "xlsx"}
"""Suffixes of formats that differ from the format's name."""
_TIME_MASK = re.compile(r"\{([^{}]*)\}")
_DATE_CODES = {
    "yyyy": "%Y",
    "yy": "%y",
    "MM": "%m",
    "dd": "%d",
    "HH": "%H",
    "mm": "%M",
    "ss": "%S",
}
_DATE_PART = re.compile("|".join(_DATE_CODES))
_UNSAFE = re.compile(r"[^\w .()+-]")


def file_name(job: Job, format: str) -> str:
    """The name for a download's file.

    The caller can set it in `metaData.fileName`. A mask such as `{yyyyMMdd_HHmmss}` becomes the
    time at which the job was created, in UTC.
    """

    def date(mask: re.Match[str]) -> str:
        return _DATE_PART.sub(lambda part: job.created_at.strftime(_DATE_CODES[part[0]]), mask[1])

    template = str(job.options.get("fileName") or f"bulk-{job.id}")[:MAX_FILE_NAME]
    suffix = _SUFFIXES.get(format, format)
    name = _UNSAFE.sub("_", _TIME_MASK.sub(date, template).removesuffix(f".{suffix}"))
    return f"{name}.{suffix}"


def download_columns(job: Job) -> Sequence[str]:
    """The columns of a download's table: the selected fields, or all that its records have."""
    return job.download.query.shown_fields or order_columns(job.columns)
