"""Serializes what DBOS stores of openbulk's workflows as JSON, so that reading it runs no code.

DBOS's default is pickle: anyone who can write a row of its tables could run code in this process.
"""

import base64
import io
import json
import pickle
from typing import Any

from dbos._serialization import DefaultSerializer, Serializer


class JsonSerializer(Serializer):
    """Stores the arguments of a workflow as JSON."""

    def serialize(self, data: Any) -> str:
        """The JSON of plain data. Of anything else, such as an exception, its text is kept."""
        return json.dumps(data, default=str)

    def deserialize(self, serialized_data: str) -> Any:
        """The data of a JSON text."""
        return json.loads(serialized_data)

    def name(self) -> str:
        """The name under which DBOS finds this serializer again. Databases store it."""
        return "openbulk_json"


class _PlainUnpickler(pickle.Unpickler):
    """Reads numbers, texts, lists and the like; a pickle that names a class or function fails."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Find nothing."""
        raise pickle.UnpicklingError(f"a workflow may not name {module_name}.{global_name}")


def _read_plain_pickle(_self: DefaultSerializer, serialized_data: str) -> Any:
    return _PlainUnpickler(io.BytesIO(base64.b64decode(serialized_data))).load()


def refuse_code_in_pickles() -> None:
    """Read pickles as plain data in this process.

    A row of DBOS's tables says how it is stored, whatever serializer a process has set (dbos 3.4,
    `_serialization.deserialize_args`). Rows of openbulk's first versions are pickles of numbers.
    """
    DefaultSerializer.deserialize = _read_plain_pickle  # type: ignore[method-assign,assignment]
