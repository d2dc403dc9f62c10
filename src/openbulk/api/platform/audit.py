"""The audit log: read, exported, and checked."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Header, Query, Response

from openbulk.api.http.callers import SignedInUser
from openbulk.api.http.openapi import answers, may_answer
from openbulk.api.http.paging import NextPage, PageSize, parse_page_size, take_page
from openbulk.api.http.parameters import parse_whole_number
from openbulk.api.http.streamed_answers import StreamedAnswer, stream_pieces
from openbulk.api.services import Services, ServicesOfApp
from openbulk.api.wire.audit import ShownAuditEntry, ShownChainCheck, present_check
from openbulk.domain.audit import AuditOutcome, ChainEnd, shape_of
from openbulk.domain.errors import BadInput
from openbulk.formats import MEDIA_TYPES
from openbulk.storage.audit import EntryFilter

router = APIRouter(tags=["Audit log"], responses=may_answer(401, 405))

_LINES = MEDIA_TYPES["jsonl"]
_FORMATS = ("json", "jsonl")
_HASH = re.compile(r"[0-9a-f]{64}")
_MAX_FILTER = 300
_ANSWERS = answers(list[ShownAuditEntry], 400)
_ANSWERS[200]["content"] = {
    _LINES: {"schema": {"type": "string"}, "example": '{"number":1,"action":"job.cancel"}\n'}
}


def _text(description: str, example: str, alias: str | None = None) -> Any:
    return Query(alias=alias, description=description, examples=[example], max_length=_MAX_FILTER)


async def _entry_filter(
    user: Annotated[str, _text("Email address of the user.", "ann@example.com")] = "",
    action: Annotated[
        str, _text("Action, or its beginning: `job` for all that is done with jobs.", "job.cancel")
    ] = "",
    target: Annotated[str, _text("Target, or its first words.", "job 7")] = "",
    outcome: Annotated[str, _text("done, refused, failed or unknown.", "done")] = "",
    since: Annotated[
        str,
        _text("First time: a date, or a time in ISO 8601; UTC by default.", "2026-05-30", "from"),
    ] = "",
    until: Annotated[
        str, _text("Time before which the last entry is; a date is whole.", "2035-12-31", "to")
    ] = "",
) -> EntryFilter:
    """Which entries the caller wants. Raises BadInput."""
    if outcome and outcome not in list(AuditOutcome):
        raise BadInput(f"outcome is {outcome[:40]!r}; it can be {', '.join(AuditOutcome)}")
    return EntryFilter(
        user=user or None,
        action=action or None,
        target=target or None,
        outcome=outcome or None,
        since=_parse_time(since, "from"),
        before=_parse_time(until, "to", is_end=True),
    )


def _parse_time(text: str, name: str, *, is_end: bool = False) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        is_date = len(text) <= len("2026-05-30")
        return moment + timedelta(days=1) if is_end and is_date else moment
    except (ValueError, OverflowError) as error:
        raise BadInput(
            f"{name} is {text[:40]!r}; write a date like 2026-05-30, or a time like "
            "2026-05-30T08:00:00Z"
        ) from error


@router.get("/audit", summary="List the entries of the audit log", responses=_ANSWERS)
async def entries(
    response: Response,
    services: ServicesOfApp,
    user: SignedInUser,
    wanted: Annotated[EntryFilter, Depends(_entry_filter)],
    page_size: PageSize = "",
    next_page: NextPage = "",
    format: Annotated[
        str,
        Query(
            description="jsonl: all entries as JSON lines, oldest first. json if empty, unless "
            f"the header Accept is {_LINES}.",
            examples=["json"],
        ),
    ] = "",
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> Any:
    """What callers of your organization did, newest first, page by page.

    Deeds that are under way are not in the list yet.
    """
    if format and format not in _FORMATS:
        raise BadInput(f"format is {format[:40]!r}; it can be {', '.join(_FORMATS)}")
    limit = parse_page_size(page_size)
    before = parse_whole_number(next_page, "nextPage", minimum=1) if next_page else None
    await services.audit.chain(user.organization_id)
    if format == "jsonl" or (not format and accept.strip().lower() == _LINES):
        return await _export(services, user.organization_id, wanted)
    found = await services.audit.newest(
        user.organization_id, wanted, before=before, limit=limit + 1
    )
    page = take_page(response, found, limit, lambda entry: entry.number)
    return [shape_of(entry) for entry in page]


async def _export(services: Services, organization_id: int, wanted: EntryFilter) -> StreamedAnswer:
    """All entries as JSON lines, oldest first: so each follows the one that it is chained to."""
    number = 0

    async def lines() -> bytes:
        nonlocal number
        page = await services.audit.page_after(organization_id, wanted, number)
        if not page:
            return b""
        number = page[-1].number
        return b"".join(orjson.dumps(shape_of(entry)) + b"\n" for entry in page)

    pieces = stream_pieces(lines)
    first = await anext(pieces, b"")
    headers = {
        "content-type": _LINES,
        "content-disposition": 'attachment; filename="audit.jsonl"',
    }
    return StreamedAnswer(pieces, first, headers)


@router.get(
    "/audit/verification",
    summary="Check that the audit log is whole",
    responses=answers(ShownChainCheck, 400),
)
async def verification(
    services: ServicesOfApp,
    user: SignedInUser,
    number: Annotated[
        str, Query(description="Number of an entry that you noted earlier.", examples=[""])
    ] = "",
    hash: Annotated[
        str, Query(description="The hash that you noted with that number.", examples=[""])
    ] = "",
) -> dict[str, Any]:
    """Check all entries of your organization: whether one was changed, removed or added.

    With an entry that you noted earlier, also that the log still continues from it: whoever has
    both the database and the master key could write another log.
    """
    noted = _parse_noted(number, hash)
    await services.audit.chain(user.organization_id)
    return present_check(await services.audit.verify(user.organization_id, noted))


def _parse_noted(number: str, own_hash: str) -> ChainEnd | None:
    if not number and not own_hash:
        return None
    if not number or not own_hash:
        raise BadInput("number and hash belong together; send both, or leave both out")
    if not _HASH.fullmatch(own_hash):
        raise BadInput(
            f"hash is {own_hash[:40]!r}; it must be 64 hexadecimal digits, as lastHash shows them"
        )
    return ChainEnd(parse_whole_number(number, "number", minimum=1), own_hash)
