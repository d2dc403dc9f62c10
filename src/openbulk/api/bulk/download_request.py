"""Parses the two requests for a download, `POST /bulk/query` and `POST /bulk/download`.

The engine checks them against the service: `engine/query_resolution.py`.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from openbulk.api.bulk.metadata import parameters_among, parse_metadata, use_download_options
from openbulk.api.http.parameters import parse_whole_number
from openbulk.api.wire.query_language import field_list, parse, parse_where
from openbulk.api.wire.query_texts import EXAMPLE
from openbulk.domain.comparison import in_utc
from openbulk.domain.errors import BadInput
from openbulk.domain.job import Download, Job
from openbulk.domain.options import option_text, with_known_spelling
from openbulk.domain.query import Query
from openbulk.engine.query_resolution import DateFilter, DownloadRequest
from openbulk.formats.recognition import resolve_format_name

_WITHOUT_EFFECT = ("headerData", "where")
"""Keys that clients of the contract send, beside the query."""
QUERY_KEYS = (
    "continueFromJobId",
    "fileFormat",
    "from",
    "lastRunDate",
    "metaData",
    "q",
    "query",
    "to",
    *_WITHOUT_EFFECT,
)
"""The keys of a request to `POST /bulk/query`, in its address and its body together."""
BODY_KEYS = (
    "apiLimit",
    "callback-payload",
    "continueFromJobId",
    "docsHubDetails",
    "fileName",
    "filterDateField",
    "filterNulls",
    "format",
    "from",
    "limit",
    "notificationUrl",
    "objectName",
    "pageSize",
    "query",
    "selectFields",
    "to",
    "where",
)
"""The keys of the body of `POST /bulk/download`."""
_FLAGS = {"": None, "true": True, "false": False}


def download_of_query(
    given: Mapping[str, Any], file: str, callback_url: str | None, *, object_name: str = ""
) -> DownloadRequest:
    """The download that `POST /bulk/query` requests. Raises BadInput.

    `given` has the keys of QUERY_KEYS, in any case. Without a query, it selects all records of
    `object_name`.
    """
    filled = {name: value for name, value in given.items() if value not in (None, "")}
    given = with_known_spelling(filled, QUERY_KEYS, "the request")
    used = use_download_options(parse_metadata(given.get("metaData")))
    continue_from = _text(given, "continueFromJobId")
    text = _text(given, "q") or _text(given, "query")
    query = parse(text) if text else Query(object_name)
    if not query.object and not continue_from:
        raise BadInput(f"q is missing; it looks like: {EXAMPLE}")
    download = Download(
        query,
        file=file,
        file_format=resolve_format_name(given.get("fileFormat"), "fileFormat") or "csv",
        callback_url=callback_url,
        text=text,
        options=used.values,
        unused_options=(*used.unused, *(name for name in _WITHOUT_EFFECT if given.get(name))),
    )
    since = _time(given, "from") or _time(given, "lastRunDate")
    return DownloadRequest(
        download,
        continue_from=continue_from,
        dates=DateFilter(since, _time(given, "to")),
        options=parameters_among(used),
    )


def download_of_body(body: Mapping[str, Any], file: str) -> DownloadRequest:
    """The download that `POST /bulk/download` requests. Raises BadInput."""
    body = with_known_spelling(body, BODY_KEYS, "the body")
    if body.get("docsHubDetails"):
        raise BadInput(
            "docsHubDetails is not possible: openbulk has no connector for documents; fetch the "
            "file instead"
        )
    continue_from = _text(body, "continueFromJobId")
    query = _query_of_body(body, needs_object=not continue_from)
    filter_nulls = _flag(body, "filterNulls")
    download = Download(
        query,
        file=file,
        file_format=resolve_format_name(body.get("format"), "format") or "csv",
        callback_url=_text(body, "notificationUrl") or None,
        page_size=_whole_number(body, "pageSize", minimum=1),
        page_limit=_whole_number(body, "apiLimit", minimum=1),
        # In the contract, nulls are left out by default.
        keeps_nulls=filter_nulls is False,
        text=_query_text(query, _text(body, "where")),
        options=dict(body),
        is_v3=True,
    )
    return DownloadRequest(
        download,
        continue_from=continue_from,
        dates=DateFilter(_time(body, "from"), _time(body, "to"), _text(body, "filterDateField")),
        keeps_nulls=None if filter_nulls is None else not filter_nulls,
    )


def require_same_query(wanted: DownloadRequest, earlier: Job) -> None:
    """Raise BadInput if a request that continues a job has another query; a limit may differ."""
    query, text = replace(wanted.download.query, limit=None, parameters={}), wanted.download.text
    before = earlier.download.text
    if query == Query("") or text == before:
        return
    with suppress(BadInput):  # a version 3 text may name fields that the language cannot
        if query == replace(parse(before), limit=None):
            return
    raise BadInput(
        f"continueFromJobId continues the query of job {earlier.id}, {before!r}; leave the query "
        "out, or send the same one"
    )


def _query_of_body(body: Mapping[str, Any], *, needs_object: bool) -> Query:
    name, where = _text(body, "objectName"), _text(body, "where")
    if needs_object and not name:
        raise BadInput(
            'objectName is missing; it looks like {"objectName": "events", "format": "text/csv"}'
        )
    parameters = body.get("query") or {}
    if not isinstance(parameters, Mapping):
        raise BadInput(
            'query is not a JSON object of parameters; it looks like {"showDeleted": "true"}'
        )
    return Query(
        name,
        fields=field_list(_text(body, "selectFields")),
        where=parse_where(where),
        limit=_whole_number(body, "limit", minimum=0),
        parameters={key: option_text(value) for key, value in parameters.items()},
    )


def _query_text(query: Query, where: str) -> str:
    """A query in the query language, for the status of its job."""
    text = f"select {', '.join(query.fields) or '*'} from {query.object}"  # noqa: S608 - nobody runs it
    if where:
        text += f" where {where}"
    return text


# --- values ---


def _text(given: Mapping[str, Any], name: str) -> str:
    """A value as text; empty if it is missing. Raises BadInput for a list or an object."""
    value = given.get(name)
    if isinstance(value, Mapping | list):
        raise BadInput(f"{name} {option_text(value)[:80]} is not understood; it must be a text")
    return "" if value is None else option_text(value)


def _flag(given: Mapping[str, Any], name: str) -> bool | None:
    """True or false, also as text; None if it is missing. Raises BadInput."""
    text = _text(given, name).lower()
    if text not in _FLAGS:
        raise BadInput(f"{name} is {text[:40]!r}; it must be true or false")
    return _FLAGS[text]


def _whole_number(given: Mapping[str, Any], name: str, *, minimum: int) -> int | None:
    """A whole number; None if it is missing. Raises BadInput."""
    text = _text(given, name)
    if not text:
        return None
    return parse_whole_number(text, name, minimum=minimum)


def _time(given: Mapping[str, Any], name: str) -> datetime | None:
    """A time in ISO 8601, in UTC if it has no offset; None if it is missing. Raises BadInput."""
    text = _text(given, name)
    if not text:
        return None
    # An unescaped plus sign in a URL arrives as a blank (URL Standard, section 5.1).
    iso = text.strip().replace(" ", "+")
    try:
        return in_utc(datetime.fromisoformat(iso))
    except ValueError as error:
        raise BadInput(
            f"{name} is {text[:40]!r}; it looks like 2026-05-30T10:00:00+02:00"
        ) from error
