"""A multipart upload (RFC 7578), written into the file store while it arrives."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser
from starlette.requests import ClientDisconnect

from openbulk.api.http.bodies import MAX_BODY_BYTES, read_body
from openbulk.api.http.body_places import BodyPlaces
from openbulk.api.http.callers import owner_of
from openbulk.byte_budget import ByteBudget
from openbulk.domain.errors import BadInput, ServerBusy, TooLarge
from openbulk.storage.files import FileStore, FileWriter

# A form is held in memory up to these limits; its file is streamed into the store.
MAX_FIELDS = 50
MAX_FIELD_BYTES = 128 * 1024
"""Of all parts beside the file, together: `metaData` has 64 KiB at most."""
UPLOADS_AT_ONCE = 32
"""Uploads that arrive at the same time. Each holds up to a block of its file."""
UPLOADS_OF_ONE_CALLER = UPLOADS_AT_ONCE // 2
BYTES_PER_SECOND = 10_000
"""An upload comes at this rate while others wait for its place: a slow mobile connection does."""
MAX_BOUNDARY_BYTES = 70
MAX_HEADER_BYTES = 16 * 1024
_places = BodyPlaces(ByteBudget(UPLOADS_AT_ONCE, UPLOADS_OF_ONE_CALLER), BYTES_PER_SECOND)
_FILE_HINT = "send the file as the part 'file' of multipart/form-data: curl -F file=@sample.csv"


@dataclass(frozen=True, slots=True)
class ReceivedForm:
    """A complete form, with its file in the file store."""

    size: int
    """Bytes of the file."""
    digest: str
    """SHA-256 of the file."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The other parts of the form, by name."""
    file_name: str = ""
    """As the caller's machine calls the file; "" if the form does not say."""
    has_file: bool = True

    def require_file(self) -> None:
        """Raise BadInput for a form without a file."""
        if not self.has_file:
            raise BadInput(f"the request has no file; {_FILE_HINT}")


async def receive_upload(
    request: Request, files: FileStore, name: str, max_bytes: int
) -> ReceivedForm:
    """Stream the file of a form into the store under a name, and collect the other parts.

    A form may have no file.

    Holds one block of the file in memory, whatever its size. Discards an upload that is malformed,
    too large or cut off. Raises BadInput, TooLarge, ServerBusy, DiskFull and FileStoreUnavailable.
    """
    form = _Form(_boundary(request), MAX_FIELD_BYTES)
    async with _arriving(request) as chunks:
        return await _receive(chunks, form, FileWriter(files, name), max_bytes)


async def receive_body(
    request: Request, files: FileStore, name: str, max_bytes: int
) -> ReceivedForm:
    """Stream a body that is a file itself into the store, as `receive_upload` does with a form."""
    writer = FileWriter(files, name)
    async with _arriving(request) as chunks:
        try:
            async for chunk in chunks:
                await writer.write(chunk)
                _require_small(writer, max_bytes)
            await writer.close()
        except BaseException:
            await asyncio.shield(writer.discard())
            raise
    return ReceivedForm(writer.size, writer.digest)


def is_form(request: Request) -> bool:
    """Whether the body of a request is a form with files."""
    return request.headers.get("content-type", "").lower().startswith("multipart/")


@asynccontextmanager
async def _arriving(request: Request) -> AsyncIterator[AsyncIterator[bytes]]:
    """The body of a request, once it has a place among those that arrive."""
    owner = owner_of(request)
    # Some uploads arrive at the same time; the others wait.
    try:
        await _places.take(1, owner)
    except TimeoutError as error:
        raise ServerBusy(
            f"openbulk receives {UPLOADS_AT_ONCE} other files at the moment, or "
            f"{UPLOADS_OF_ONE_CALLER} of yours; send it again in a minute"
        ) from error
    try:
        async with aclosing(_places.chunks(request.stream(), owner)) as chunks:
            yield chunks
    except ClientDisconnect as error:
        raise BadInput("the connection closed before the whole file had arrived") from error
    finally:
        _places.budget.give_back(1, owner)


async def _receive(
    chunks: AsyncIterator[bytes], form: "_Form", writer: FileWriter, max_bytes: int
) -> ReceivedForm:
    try:
        async for chunk in chunks:
            form.feed(chunk)
            await _store_file_bytes(form, writer, max_bytes)
        if not form.is_complete:
            raise BadInput("the upload ended before its last boundary; send it again")
        await writer.close()
    except BaseException:
        await asyncio.shield(writer.discard())
        raise
    return ReceivedForm(writer.size, writer.digest, form.fields, form.file_name, form.has_file)


async def read_form_fields(request: Request) -> Mapping[str, str]:
    """The parts of a small form by name, without files. Raises BadInput, TooLarge."""
    form = _Form(_boundary(request), MAX_BODY_BYTES)
    form.feed(await read_body(request))
    if not form.is_complete:
        raise BadInput("the form ended before its last boundary; send it again")
    return form.fields


async def _store_file_bytes(form: "_Form", writer: FileWriter, max_bytes: int) -> None:
    if form.file_bytes:
        await writer.write(b"".join(form.file_bytes))
        form.file_bytes.clear()
    _require_small(writer, max_bytes)


def _require_small(writer: FileWriter, max_bytes: int) -> None:
    if writer.size > max_bytes:
        raise TooLarge(f"the file is larger than {max_bytes} bytes; split it and upload the pieces")


def _boundary(request: Request) -> bytes:
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    boundary = header.get_param("boundary")
    if header.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
        raise BadInput(f"the request is not multipart/form-data; {_FILE_HINT}")
    return boundary.encode(
        "latin-1", errors="replace"
    )  # the encoding of HTTP headers (RFC 9110, 5.5)


class _Form:
    """Separates the bytes of a form into the file and the other parts, in any order."""

    def __init__(self, boundary: bytes, max_field_bytes: int) -> None:
        """`max_field_bytes` bounds all parts beside the file."""
        self._max_field_bytes = max_field_bytes
        self._field_bytes = 0
        self.file_bytes: list[bytes] = []
        self.fields: dict[str, str] = {}
        self.has_file = False
        self.file_name = ""
        self.is_complete = False
        self._header_name = b""
        self._header_value = b""
        self._header_bytes = 0
        self._headers = Message()
        self._part_name = ""
        self._part_is_file = False
        self._value = bytearray()
        callbacks: Any = {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_data,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._complete,
        }
        if not 0 < len(boundary) <= MAX_BOUNDARY_BYTES:
            raise BadInput(
                f"the boundary of the form has {len(boundary)} characters; it has from 1 to "
                f"{MAX_BOUNDARY_BYTES} (RFC 2046, section 5.1.1)"
            )
        self._parser = MultipartParser(boundary, callbacks)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the form. Raises BadInput, TooLarge."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise BadInput(f"the multipart form is malformed ({error}); {_FILE_HINT}") from error

    def _begin(self) -> None:
        self._headers = Message()
        self._header_bytes = 0
        self._value.clear()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]
        self._limit_headers(end - start)

    def _header_data(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]
        self._limit_headers(end - start)

    def _limit_headers(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES:
            raise TooLarge(f"a part's headers are larger than {MAX_HEADER_BYTES} bytes")

    def _header_end(self) -> None:
        name, value = self._header_name.decode("latin-1"), self._header_value
        self._headers[name] = value.decode("utf-8", "replace")
        self._header_name = self._header_value = b""

    def _headers_finished(self) -> None:
        name = self._headers.get_param("name", header="content-disposition")
        # A name encoded by RFC 2231, which RFC 7578 forbids, would be a tuple.
        self._part_name = name if isinstance(name, str) else ""
        self._part_is_file = self._part_name.lower() == "file"
        if self._part_is_file:
            self.file_name = self.file_name or (self._headers.get_filename() or "")
        if self._part_is_file and self.has_file:
            raise BadInput("the request has two files; send one request for each file")
        if self._part_name in self.fields:
            raise BadInput(f"the form has two parts {self._part_name!r}; leave one of them out")
        self.has_file = self.has_file or self._part_is_file

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._part_is_file:
            self.file_bytes.append(data[start:end])
            return
        self._value += data[start:end]
        self._field_bytes += end - start
        if self._field_bytes > self._max_field_bytes:
            raise TooLarge(
                f"the part {self._part_name!r} and those before it are larger than "
                f"{self._max_field_bytes} bytes; {_FILE_HINT}"
            )

    def _end(self) -> None:
        if self._part_is_file:
            return
        if len(self.fields) == MAX_FIELDS:
            raise TooLarge(f"the request has more than {MAX_FIELDS} parts")
        self.fields[self._part_name] = self._value.decode("utf-8", "replace")

    def _complete(self) -> None:
        self.is_complete = True
