"""What a file leaves open, and only its owner knows: asked, and never guessed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from openbulk.domain.errors import BadInput


@dataclass(frozen=True, slots=True)
class Choice:
    """An answer to a question."""

    value: str
    """The value for `metaData`."""
    shown: str = ""
    """How the example is read with it."""


@dataclass(frozen=True, slots=True)
class Example:
    """A place in a file that leaves a question open."""

    row: int | None
    """None for what is not in a row of records: the header, a line of the file's text."""
    column: str | None
    text: str
    """As the file has it, or its beginning."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a file leaves open."""

    key: str
    """The key of `metaData` that answers it."""
    message: str
    """What is open, in a sentence."""
    choices: Sequence[Choice] = ()
    """The answers that are possible; none if any text may be one."""
    example: Example | None = None
    is_required: bool = True
    """Whether a job is refused without an answer; otherwise it has a rule, which `message` says."""

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Question":
        """Of what `to_json` has made."""
        example = value["example"]
        return cls(
            value["key"],
            value["message"],
            tuple(Choice(**one) for one in value["choices"]),
            None if example is None else Example(**example),
            value["is_required"],
        )


class OpenQuestion(BadInput):
    """A file leaves open how it is read. The message has the choices."""

    def __init__(self, question: Question) -> None:
        super().__init__(question.message)
        self.question = question
