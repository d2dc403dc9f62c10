"""JSON objects, one in each line (JSON Lines, also known as NDJSON)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, BinaryIO

from openbulk.domain.errors import BadInput
from openbulk.domain.records import Problem, Row
from openbulk.formats.encoding_detection import detect_encoding
from openbulk.formats.json_recovery import find_list
from openbulk.formats.json_values import (
    ValueDecoder,
    describe_syntax_error,
    encode_records,
    find_surrogate,
    make_row,
    require_few_values,
)
from openbulk.formats.options import ENCODING
from openbulk.formats.text import CutLine, describe_damage, text_lines

_SAMPLE_BYTES = 1024 * 1024
"""The lines that show whether the file is one object over several lines have so many bytes."""
_OPEN_ENDS = (b"{", b"[", b",", b":")
"""What the first line of an object over several lines ends in."""
_NAMES_OF_LISTS = frozenset(
    (
        *("content", "data", "elements", "entries", "items", "list", "objects"),
        *("records", "result", "results", "rows", "value", "values"),
    )
)
"""What services call the list in an answer. A record's own lists have other names."""


class Jsonl:
    """Reads and writes JSON Lines."""

    name = "jsonl"
    looks_like = 'a JSON Lines file has an object in each line: {"summary": "Lesson"}'
    options = (ENCODING,)
    is_binary = False
    names_are_paths = False

    def recognizes(self, head: bytes) -> bool:
        """The first line begins an object."""
        return head.lstrip()[:1] == b"{"

    def read(self, file: BinaryIO, options: Mapping[str, Any]) -> Iterator[Row]:
        """The objects. Any other line is a broken row; blank lines are skipped.

        Raises BadInput if the file is one object over several lines, or one that is around a list.
        """
        encoding = detect_encoding(file, options)
        lines = text_lines(file, encoding)
        sample = _take_sample(lines)
        _require_object_per_line(sample, is_stated=options.get("format") == self.name)
        return self._rows(chain(sample, lines), encoding)

    def write(
        self, records: Iterable[Mapping[str, Any]], fields: Sequence[str] = ()
    ) -> Iterator[bytes]:
        """An object in each line."""
        return (lines + b"\n" for lines in encode_records(records, b"\n"))

    def _rows(self, lines: Iterator[bytes], encoding: str) -> Iterator[Row]:
        decoder = ValueDecoder()
        number = 0
        for line_number, line in enumerate(lines, 1):
            if line.isspace():
                continue
            number += 1
            value, problem = _decode_line(line, decoder, encoding)
            text = "" if problem is None and isinstance(value, dict) else _shown_text(line)
            yield make_row(number, line_number, value, problem, text, self.looks_like)


def _decode_line(line: bytes, decoder: ValueDecoder, encoding: str) -> tuple[Any, Problem | None]:
    """The value of a line, and its problem."""
    if isinstance(line, CutLine):
        return None, Problem(f"the line is longer than {len(line)} bytes; shorten the record")
    try:
        text = line.decode()
        require_few_values(text)
        return decoder.decode(text)
    except BadInput as error:
        return None, Problem(error.message)
    except UnicodeDecodeError as error:
        return None, Problem(describe_damage(line, error, encoding), _damaged_field(line))
    except (ValueError, RecursionError) as error:
        reason = describe_syntax_error(error)
        return None, Problem(f"the line is not JSON: {reason}; {Jsonl.looks_like}")


def _shown_text(line: bytes) -> str:
    return line.decode(errors="replace").strip()


def _damaged_field(line: bytes) -> str | None:
    return find_surrogate(_decode_object(line))


def _decode_object(text: bytes) -> dict[str, Any] | None:
    """The only object of a text; None if it is something else."""
    decoded = text.decode(errors="surrogateescape")
    try:
        require_few_values(decoded)
        value, _ = ValueDecoder().decode(decoded)
    except (ValueError, RecursionError, BadInput):
        return None
    if not isinstance(value, dict):
        return None
    return value


# --- files that are one object ---


def _take_sample(lines: Iterator[bytes]) -> list[bytes]:
    sample: list[bytes] = []
    size = 0
    while size < _SAMPLE_BYTES:
        line = next(lines, None)
        if line is None:
            break
        sample.append(line)
        size += len(line)
    return sample


def _require_object_per_line(lines: Sequence[bytes], *, is_stated: bool) -> None:
    """Raise BadInput if these first lines are, or begin, one object.

    `is_stated` says that the caller calls the file JSON Lines: an object in one line is a record.
    """
    filled = [line for line in lines if not line.isspace()]
    if not filled:
        return
    text = b"".join(filled)
    first = _decode_object(filled[0])
    if first is not None:
        if len(filled) == 1 and not is_stated:
            _refuse_wrapper(text)
        return
    if len(filled) == 1 or not filled[0].rstrip().endswith(_OPEN_ENDS):
        return
    # The first record may be cut off: then the next line is a record, and all together are none.
    if _decode_object(filled[1]) is None or _decode_object(text) is not None:
        raise BadInput(f"the file has a JSON object over several lines; {_what_to_send(text)}")


def _refuse_wrapper(text: bytes) -> None:
    path = find_list(text.decode(errors="replace"))
    if path is not None and path.rpartition(".")[2].lower() in _NAMES_OF_LISTS:
        raise BadInput(
            f"the file is one JSON object; {_what_to_send(text)}; "
            "if the object is a record, set metaData.format to jsonl"
        )


def _what_to_send(text: bytes) -> str:
    path = find_list(text.decode(errors="replace"))
    if path is None:
        return "write it in one line, or put [ and ] around all objects and commas between them"
    return f"its list is in {path!r}: send that list alone, [{{...}}, {{...}}]"
