"""Reads lists page by page: by number, by offset, by cursor, or by the address of the next page."""

from collections.abc import AsyncIterator
from urllib.parse import urljoin, urlsplit

from openbulk.connectors.answers import Answer
from openbulk.connectors.custom.description import Paging, PagingKind
from openbulk.connectors.custom.paging import MAX_CURSOR, Numbered, digest_of, next_place
from openbulk.connectors.custom.refusals import require_success
from openbulk.connectors.custom.service import Prepared, Service, records_in
from openbulk.domain.errors import Refused
from openbulk.domain.query import Page, PageRequest, not_a_page_token

WHOLE_LIST = 2_000
"""Records that a list without pages may have: it bounds the answer, and not their number."""
_ADDRESS, _CURSOR = "address:", "cursor:"
"""Begin the token of a page that has an address at the service, and of one that has a cursor."""


async def read_pages(
    service: Service, prepared: Prepared, request: PageRequest
) -> AsyncIterator[Page]:
    """The pages of a list. Raises ServiceError, and BadInput for the token of another list."""
    paging = prepared.call.paging
    if paging is None:
        answer = require_success(await service.send(prepared, {}, records=WHOLE_LIST))
        yield Page(records_in(prepared.call, answer), None)
        return
    read = _read_by_cursor if paging.kind is PagingKind.CURSOR else _read_by_number
    async for page in read(service, prepared, paging, request):
        yield page


async def _read_by_number(
    service: Service, prepared: Prepared, paging: Paging, request: PageRequest
) -> AsyncIterator[Page]:
    size = min(request.size, paging.max_size)
    at: Numbered | None = Numbered(paging.start)
    if request.after:
        at = Numbered.of_token(request.after)
    while at is not None:
        sent = {**size_of(paging, size), paging.position: str(at.number)}
        answer = await service.send(prepared, sent, records=size)
        if answer.status == 404 and at.digest:
            # Some services have no page behind the last one.
            yield Page([], None)
            return
        records = records_in(prepared.call, require_success(answer))
        if at.digest and records and at.digest == digest_of(records):
            _refuse_repetition(answer, paging, len(records), size)
            yield Page([], None)
            return
        at = at.following(paging.kind, records)
        yield Page(records, None if at is None else at.token)


def _refuse_repetition(answer: Answer, paging: Paging, count: int, size: int) -> None:
    """Raise Refused if a full page came twice. A page that is not full was the last one."""
    if count >= size:
        raise Refused(
            f"{answer.call} answered the same records again for the next page; "
            f"it does not page by {paging.position!r}"
        )


async def _read_by_cursor(
    service: Service, prepared: Prepared, paging: Paging, request: PageRequest
) -> AsyncIterator[Page]:
    size = min(request.size, paging.max_size)
    token = request.after
    while True:
        answer = require_success(await _send_at(service, prepared, paging, token, size))
        records = records_in(prepared.call, answer)
        following = _next_token(service, answer, paging)
        if following is not None and following == token:
            raise answer.refusal("the page token of this page as the next one", "another")
        yield Page(records, following)
        if following is None:
            return
        token = following


async def _send_at(
    service: Service, prepared: Prepared, paging: Paging, token: str | None, size: int
) -> Answer:
    """The answer of the page that a token names."""
    sent = size_of(paging, size)
    if token is None:
        return await service.send(prepared, sent, records=size)
    kind, _, rest = token.partition(":")
    if f"{kind}:" == _ADDRESS and _is_reference(rest):
        return await service.send_to(prepared, rest, size)
    if f"{kind}:" != _CURSOR or not paging.position:
        raise not_a_page_token()
    return await service.send(prepared, {**sent, paging.position: rest}, records=size)


def _next_token(service: Service, answer: Answer, paging: Paging) -> str | None:
    body = None if paging.next_key.header else answer.json()
    try:
        place = next_place(paging, answer.headers, body)
    except ValueError as error:
        raise answer.refusal(str(error), "a text there") from error
    if place is None:
        return None
    text, is_address = place
    if len(text) > MAX_CURSOR or not text.isprintable():
        raise answer.refusal("a next page that is too long or not printable", "a short text")
    return _token_of_address(service, answer, text) if is_address else f"{_CURSOR}{text}"


def _token_of_address(service: Service, answer: Answer, address: str) -> str:
    """The page token of an address, which must be at the host of the base URL."""
    try:
        whole = urlsplit(urljoin(f"{service.base_url}/", address))
        is_here = (whole.scheme, whole.netloc) == tuple(urlsplit(service.base_url)[:2])
    except ValueError:
        is_here = False
    reference = (whole.path or "/") + (f"?{whole.query}" if whole.query else "") if is_here else ""
    if not _is_reference(reference):
        raise answer.refusal(
            f"a next page at another address ({address[:80]})", "one at the same host"
        )
    return f"{_ADDRESS}{reference}"


def _is_reference(address: str) -> bool:
    """Whether an address begins with a path, and so cannot lead to another host."""
    return address.startswith("/") and not address.startswith("//") and address.isprintable()


def size_of(paging: Paging, size: int) -> dict[str, str]:
    """The query parameter that asks for so many records."""
    return {paging.size: str(size)} if paging.size else {}
