"""Empty texts of a table: `""` in a CSV. Only a field that holds texts can have one."""

from collections.abc import Mapping
from typing import Any

from openbulk.connectors.columns import Columns


class EmptyTexts:
    """Leaves empty texts out of records, except those of fields that hold texts.

    Programs that quote every cell write `""` also for a number or a date that is not there.
    """

    def __init__(self, columns: Columns, schema: Mapping[str, Any]) -> None:
        self._columns = columns
        self._schema = schema
        self._kept: dict[str, bool] = {}

    def leave_out(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The values of a row, by the names of its columns."""
        return {name: value for name, value in values.items() if value != "" or self._keeps(name)}

    def _keeps(self, column: str) -> bool:
        keeps = self._kept.get(column)
        if keeps is None:
            keeps = self._kept[column] = self._is_text(column)
        return keeps

    def _is_text(self, column: str) -> bool:
        """Whether a column means a text, or a field that the object takes unnamed."""
        field: Any = self._schema
        for step in self._columns.path_of(column) or ():
            inner = field.get("items") if isinstance(step, int) else field.get("properties", {})
            field = inner if isinstance(step, int) else inner.get(step)
            if field is None:
                return True
        return field.get("type") == "string" and not {"format", "enum"} & field.keys()
