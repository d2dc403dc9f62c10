"""What a download has read: its records, from the parts in which they are kept."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from openbulk.domain.errors import NotFound
from openbulk.storage.files import FileStore, part_path


class Result:
    """The records of a download from one on, in the order in which they were read. Begins anew each time it is gone
    through; for use in a thread: it blocks. Holds one part. Raises NotFound where they are not kept any more.
    """

    def __init__(self, files: FileStore, file: str, first_rows: Sequence[int], begin: int = 1) -> None:
        self._files = files
        self._file = file
        self._first_rows = first_rows
        self._begin = begin

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for first in self._first_rows:
            try:
                lines = self._files.get_now(part_path(self._file, first)).split(b"\n")
            except FileNotFoundError as error:
                raise NotFound("the records of this job are not kept any more; ask for them again") from error
            for line in lines[max(0, self._begin - first) :]:
                yield orjson.loads(line)
