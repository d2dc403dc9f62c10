"""Reads the files of `POST /files`: their beginnings at once, and the rest in the background."""

import asyncio
import uuid
from bisect import bisect_right
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import structlog

from openbulk.byte_budget import PlaceOwner
from openbulk.domain.errors import BadInput, Conflict, NotFound, ReaderUnavailable
from openbulk.domain.file_profile import ColumnProfile, LikelyType
from openbulk.domain.file_questions import Question
from openbulk.domain.job import IdempotencyKey
from openbulk.domain.records import Row
from openbulk.domain.uploaded_file import NewFile, UploadedFile
from openbulk.engine.queue.clock import Clock
from openbulk.engine.slices.parts import PartReader
from openbulk.reading.packing import Packed, unpack_row
from openbulk.reading.reader import StoredFile
from openbulk.reading.readers import FileParts, Readers
from openbulk.storage.files import FileStore, Part
from openbulk.storage.uploaded_files import MAX_ATTEMPTS, UploadedFiles

log = structlog.get_logger()

HEAD_ROWS = 1_000
"""Rows of the beginning that are described while the caller waits."""
PAUSE_SECONDS = 30.0
"""Other processes may have left a file unread: this one looks for it so often."""
RENEW_SECONDS = 5.0
"""How often who reads a file says so."""
PAGE_BYTES = 4 * 1024 * 1024
"""A page of rows ends behind so many bytes, packed: a row may have 8 MiB."""
_NOTHING_MORE = "openbulk began to read the file {} times, and never came to its end; {}"
_REMEDY = "send it in several smaller files, or save it again with another program"


@dataclass(frozen=True, slots=True)
class Profile:
    """What a file holds, as far as it was read. `reading.profile_task` makes it."""

    values: Mapping[str, Any]

    @property
    def is_complete(self) -> bool:
        """Whether it is about all rows of the file."""
        return bool(self.values["complete"])

    @property
    def records(self) -> int | None:
        """Rows of the file; None if not all of them were read."""
        return int(self.values["rows"]) if self.is_complete and self.problem is None else None

    @property
    def problem(self) -> str | None:
        """Why no row can be read, in a sentence; None if some can."""
        problem: str | None = self.values["problem"]
        return problem

    @property
    def questions(self) -> Sequence[Question]:
        """What the file leaves open."""
        return [Question.from_json(one) for one in self.values["questions"]]

    @property
    def columns(self) -> Sequence[ColumnProfile]:
        """The columns, in the order of the file."""
        return [_column_of(one) for one in self.values["columns"]]


@dataclass(frozen=True, slots=True)
class RowPage:
    """Some rows of a file."""

    rows: Sequence[Row]
    next_row: int | None
    """The row that follows; None after the last one."""


class FileProfiles:
    """Profiles of files, and their rows by page. Both are kept in the file store."""

    def __init__(
        self,
        uploaded: UploadedFiles,
        files: FileStore,
        inspectors: Readers,
        background: Readers,
        clock: Clock,
    ) -> None:
        """`inspectors` read for callers who wait, `background` give way to all others."""
        self._uploaded = uploaded
        self._files = files
        self._inspectors = inspectors
        self._background = background
        self._now = clock.now
        self._wake = asyncio.Event()

    async def read_head(
        self,
        file: StoredFile,
        options: Mapping[str, Any],
        *,
        takes_events: bool,
        owner: Hashable,
        reading: str = "",
    ) -> Profile:
        """Read the beginning of a file, and keep its profile and rows under the reading's name.

        Raises BadInput if the file cannot be read, and ReaderUnavailable.
        """
        name = f"{file.name}/{reading}" if reading else file.name
        kept = _KeptRows(self._files, name)
        async with self._inspectors.profile(
            file, options, first_rows=HEAD_ROWS, takes_events=takes_events, owner=owner
        ) as parts:
            while part := await parts.next_part():
                await kept.add(part)
        await kept.close()
        await self._files.put_json(_profile_path(name), parts.answer)
        return Profile(parts.answer)

    async def add(
        self,
        new: NewFile,
        *,
        organization_id: int,
        instance_id: int | None,
        takes_events: bool,
        idempotency_key: IdempotencyKey | None,
    ) -> UploadedFile:
        """Remember a file whose head is read, and read the rest. Raises IdempotencyKeyTaken."""
        file = await self._uploaded.add(
            new,
            organization_id=organization_id,
            instance_id=instance_id,
            takes_events=takes_events,
            now=self._now(),
            idempotency_key=idempotency_key,
        )
        log.info("file added", file=file.id, size=file.size, format=file.file_format)
        self._wake.set()
        return file

    async def read_again(
        self,
        file: UploadedFile,
        options: Mapping[str, Any],
        *,
        owner: Hashable,
        require: Callable[[str], None],
    ) -> tuple[UploadedFile, Profile]:
        """Read a file with other options: its beginning now, and the rest in the background.

        Jobs that use it already keep the options that they have. `require` raises BadInput for
        options that do not fit the format that was found. Raises BadInput if the file cannot be
        read so, and Conflict if another request changes it.
        """
        reading = uuid.uuid4().hex
        try:
            profile = await self.read_head(
                StoredFile(file.file, file.size),
                options,
                takes_events=file.takes_events,
                owner=owner,
                reading=reading,
            )
            require(profile.values["format"])
            new = replace(
                file,
                options=options,
                file_format=profile.values["format"],
                records=profile.records,
                problem=profile.problem,
            )
            changed = await self._uploaded.read_again(file, new, reading)
        except BaseException:
            await asyncio.shield(self._files.give_up(f"{file.file}/{reading}"))
            raise
        log.info("file read in another way", file=file.id, format=changed.file_format)
        await self._forget_reading(file)
        self._wake.set()
        return changed, profile

    async def _forget_reading(self, file: UploadedFile) -> None:
        """Delete the rows of a reading that nobody looks at any more."""
        await self._files.give_up(file.read_as if file.reading else f"{file.file}/parts")

    async def profile_of(self, file: UploadedFile) -> Profile:
        """What is known of a file."""
        return Profile(await self._get(file, _profile_path(file.read_as)))

    async def _get(self, file: UploadedFile, path: str) -> Any:
        """What is kept of a file. Raises NotFound if it was deleted or changed a moment ago."""
        try:
            return await self._files.get_json(path)
        except FileNotFoundError:
            raise _deletion_error(file) from None

    async def page_of(self, file: UploadedFile, first: int, limit: int) -> RowPage:
        """Rows of a file from a row on: `limit` at most, fewer if they are large.

        Raises Conflict if the file was not read so far yet, and BadInput if it cannot be.
        """
        index = await self._get(file, _index_path(file.read_as))
        if first > index["rows"]:
            _require_read(file, index["rows"])
            return RowPage((), None)
        try:
            rows = await self._read_rows(file.read_as, index["parts"], first, limit)
        except FileNotFoundError:
            raise _deletion_error(file) from None
        following = rows[-1].number + 1
        is_last = file.is_read and following > index["rows"]
        return RowPage(rows, None if is_last else following)

    async def _read_rows(
        self, name: str, parts: Sequence[int], first: int, limit: int
    ) -> Sequence[Row]:
        rows: list[Row] = []
        room = PAGE_BYTES
        for begin in parts[bisect_right(parts, first) - 1 :]:
            reader = PartReader(await self._files.get(Part(begin).path(name)))
            number = max(begin, first + len(rows))
            reader.skip(number - begin)
            while (line := reader.next_line()) is not None:
                rows.append(unpack_row(number, line))
                number += 1
                room -= len(line)
                if len(rows) == limit or room <= 0:
                    return rows
        return rows

    # --- whole files, in the background ---

    async def begin_alone(self) -> None:
        """Read what a process that was killed has left: no other process can be reading it."""
        await self._uploaded.give_all_claims_back()

    async def until_next(self) -> None:
        """Wait until there may be a file to read."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PAUSE_SECONDS):
                await self._wake.wait()

    async def read_all(self) -> None:
        """Read all files that nobody reads and that were not read to their end."""
        self._wake.clear()
        while file := await self._uploaded.claim(self._now()):
            await self._read(file)

    async def _read(self, file: UploadedFile) -> None:
        attempts = await self._uploaded.attempts(file.id)
        if attempts > MAX_ATTEMPTS:
            problem = _NOTHING_MORE.format(MAX_ATTEMPTS, _REMEDY)
            await self._finish(file, {"format": file.file_format}, None, problem)
            return
        try:
            await self._read_to_end(file)
        except BadInput as error:
            await self._finish(file, {"format": file.file_format}, None, error.message)
        except ReaderUnavailable as error:
            log.warning("file is read later", file=file.id, reason=error.message)
        except asyncio.CancelledError:
            await asyncio.shield(self._uploaded.give_claim_back(file))
            raise

    async def _read_to_end(self, file: UploadedFile) -> None:
        stored = StoredFile(file.file, file.size)
        kept = _KeptRows(self._files, file.read_as)
        async with self._background.profile(
            stored,
            file.options,
            first_rows=None,
            takes_events=file.takes_events,
            owner=PlaceOwner(file.organization_id),
        ) as parts:
            if not await self._keep_rows(file, parts, kept):
                await self._forget_if_left(file)
                return
        await kept.close()
        answer = parts.answer
        await self._files.put_json(_profile_path(file.read_as), answer)
        profile = Profile(answer)
        await self._finish(file, answer, profile.records, profile.problem)

    async def _keep_rows(self, file: UploadedFile, parts: FileParts, kept: "_KeptRows") -> bool:
        """Keep the rows of a file; False if it was deleted meanwhile."""
        now = asyncio.get_running_loop().time
        renew_at = now() + RENEW_SECONDS
        while part := await parts.next_part():
            await kept.add(part)
            if now() >= renew_at:
                renew_at = now() + RENEW_SECONDS
                await kept.close()
                if not await self._uploaded.renew_claim(file, self._now()):
                    return False
        return True

    async def _finish(
        self,
        file: UploadedFile,
        answer: Mapping[str, Any],
        records: int | None,
        problem: str | None,
    ) -> None:
        await self._uploaded.finish(
            file, file_format=answer["format"], records=records, problem=problem
        )
        log.info("file is read", file=file.id, records=records, problem=problem)
        await self._forget_if_left(file)

    async def _forget_if_left(self, file: UploadedFile) -> None:
        """Delete what was written of a file that was deleted, or changed, meanwhile."""
        current = await self._uploaded.file(file.id)
        if current is None:
            await self._files.delete(file.file)
        elif current.reading != file.reading:
            await self._forget_reading(file)


class _KeptRows:
    """The rows of a file, in parts. They can be read up to the last `close`."""

    def __init__(self, files: FileStore, name: str) -> None:
        self._files = files
        self._name = name
        self._parts: list[int] = []
        self._rows = 0

    async def add(self, part: Packed) -> None:
        """Write a part."""
        await self._files.put(Part(self._rows + 1).path(self._name), part.content)
        self._parts.append(self._rows + 1)
        self._rows += part.records

    async def close(self) -> None:
        """Let readers find the parts that were written."""
        index = {"parts": self._parts, "rows": self._rows}
        await self._files.put_json(_index_path(self._name), index)


def _deletion_error(file: UploadedFile) -> NotFound:
    return NotFound(
        f"file {file.id} was deleted, or is read in another way since a moment ago; fetch it "
        "again, or send it again"
    )


def _require_read(file: UploadedFile, rows: int) -> None:
    if file.problem is not None:
        raise BadInput(f"{file.problem} (the first {rows:,} rows could be read)")
    if not file.is_read:
        raise Conflict(
            f"file {file.id} is read up to row {rows:,} so far; ask for these rows in a moment"
        )


def _column_of(value: Mapping[str, Any]) -> ColumnProfile:
    types = tuple(LikelyType(**one) for one in value["types"])
    return ColumnProfile(**{**value, "samples": tuple(value["samples"]), "types": types})


def _profile_path(name: str) -> str:
    return f"{name}/profile"


def _index_path(name: str) -> str:
    return f"{name}/index"
