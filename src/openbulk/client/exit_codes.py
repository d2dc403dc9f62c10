"""How the commands of the terminal end."""

from enum import IntEnum

from openbulk.domain.errors import OpenbulkError


class ExitCode(IntEnum):
    """The exit codes of the commands; docs/reference/cli.md lists them."""

    DONE = 0
    """All rows arrived."""
    FAILED = 1
    USAGE = 2
    ROWS_FAILED = 3
    """The job is finished, and rows of it failed."""
    SIGN_IN = 4
    TRY_LATER = 5
    CHANGES = 6
    """`plan --check`: the plan would change records."""
    DRIFTED = 7
    """Records have changed since the plan, and were left as they are."""
    LIMIT = 8
    INTERRUPTED = 130


class CommandFailed(OpenbulkError):
    """A command of the terminal cannot go on, and ends with this exit code."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.code = code
