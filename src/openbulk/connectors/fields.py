"""What is wrong with one value of one record, found before a call is spent on it."""

from openbulk.domain.errors import OpenbulkError


class FieldError(OpenbulkError):
    """The service would refuse this value; the message says what would be right. Its record fails, and no other."""

    def __init__(self, field: str | None, message: str) -> None:
        super().__init__(message)
        self.field = field
        """The column or field at fault; None where it is the record as a whole."""
