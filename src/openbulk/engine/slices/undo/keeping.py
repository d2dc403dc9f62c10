"""Keeps what the writes of a job overwrite, so that it can be undone."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from openbulk.domain.records import Before, Outcome
from openbulk.domain.undo import Trace
from openbulk.storage.files import FileStore
from openbulk.storage.slice_ledger import SliceLedger
from openbulk.storage.undo import (
    BeforeImageStore,
    UndoPart,
    Undos,
    pack_traces,
    pack_versions,
    runs_of,
)

_ROW, _VERSION = attrgetter("row"), attrgetter("version")
_BEFORE, _IRREVERSIBLE = attrgetter("before"), attrgetter("irreversible")
_TRACE = attrgetter("row", "before", "version", "irreversible")


@dataclass(frozen=True, slots=True)
class UndoStores:
    """Where what jobs overwrite is kept."""

    undos: Undos
    images: BeforeImageStore
    is_kept: bool
    """Whether new jobs can be undone (OPENBULK_KEEP_UNDO_DAYS)."""


class SliceImages:
    """The images of what a slice is about to overwrite, as `BeforeImages`.

    Those that are ready while others are written go together in one transaction.
    """

    def __init__(self, ledger: SliceLedger, store: BeforeImageStore) -> None:
        self._ledger = ledger
        self._store = store
        self._kept: dict[int, Before] = {}
        """Of rows without an outcome."""
        self._pending: dict[int, Before] = {}
        self._writing = asyncio.Lock()

    async def load(self) -> None:
        """Learn what earlier slices have kept of rows without an outcome."""
        self._kept |= await self._ledger.kept_images(self._store)

    async def keep(self, row: int, before: Before) -> None:
        """Keep what a row overwrites. On return it is durable."""
        self._pending[row] = before
        async with self._writing:
            if row not in self._pending:
                return  # another row has taken it along
            images, self._pending = self._pending, {}
            try:
                await self._ledger.keep_images(images, self._store)
            except BaseException:
                self._pending = images | self._pending
                raise
            self._kept |= images

    def image_of(self, row: int) -> Before | None:
        """What was kept of a row without an outcome, by this slice or an earlier one."""
        return self._kept.get(row)

    def forget(self, rows: Iterable[int]) -> None:
        """Forget the images of rows whose outcomes are recorded."""
        for row in self._kept.keys() & rows:
            del self._kept[row]


async def keep_traces(
    files: FileStore,
    file: str,
    fence: int,
    outcomes: Sequence[Outcome],
    restored: Mapping[int, object],
) -> UndoPart | None:
    """Write what these outcomes say for an undo; None if they say nothing.

    `restored` has the states that rows of an undo have put their records back to.
    """
    # Most rows of most files are new: nothing is made for each of them.
    kept = [
        one
        for one in outcomes
        if one.version is not None or one.before is not None or one.irreversible
    ]
    if not kept:
        return None
    kept.sort(key=_ROW)
    rows, runs = list(map(_ROW, kept)), None
    if restored or any(map(_BEFORE, kept)) or any(map(_IRREVERSIBLE, kept)):
        traces = [Trace(*_TRACE(one), restored.get(one.row)) for one in kept]
        content = pack_traces(traces)
    else:
        versions = list(map(_VERSION, kept))
        runs = runs_of(rows, versions)
        content = b"" if runs is not None else pack_versions(rows, versions)
    part = UndoPart(rows[0], rows[-1], fence, runs)
    if runs is None:
        await files.put(part.path(file), content)
    return part
