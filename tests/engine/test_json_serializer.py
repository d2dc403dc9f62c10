"""Reading the queue's rows runs no code, whoever wrote them."""

import base64
import pickle
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from dbos import _serialization as of_dbos

from openbulk.engine.queue.json_serializer import JsonSerializer, refuse_code_in_pickles
from support.harness import Processes


class Attack:
    """A pickle that makes a file when it is read."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._trace,))


def row(data: Any) -> str:
    return base64.b64encode(pickle.dumps(data)).decode()


@pytest.fixture(autouse=True)
def guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        of_dbos.DefaultSerializer, "deserialize", of_dbos.DefaultSerializer.deserialize
    )
    refuse_code_in_pickles()


def test_a_pickle_that_names_code_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    for data in (Attack(trace), {"args": (Attack(trace),), "kwargs": {}}, [print]):
        with pytest.raises(pickle.UnpicklingError, match="may not name"):
            of_dbos.deserialize_args(row(data), "py_pickle", JsonSerializer())
        with pytest.raises(pickle.UnpicklingError, match="may not name"):
            of_dbos.deserialize_value(row(data), "py_pickle", JsonSerializer())
    assert not trace.exists()


def test_the_rows_of_earlier_versions_are_still_read() -> None:
    inputs = of_dbos.deserialize_args(
        row({"args": (17, 3), "kwargs": {}}), "py_pickle", JsonSerializer()
    )
    assert (inputs["args"], inputs["kwargs"]) == ((17, 3), {})


def test_arguments_and_failures_are_kept_as_json() -> None:
    text, name = of_dbos.serialize_args((17, 3), {}, None, JsonSerializer())
    assert (text, name) == ('{"args": [17, 3], "kwargs": {}}', "openbulk_json")
    inputs = of_dbos.deserialize_args(text, name, JsonSerializer())
    assert (list(inputs["args"]), inputs["kwargs"]) == ([17, 3], {})
    text, _ = of_dbos.serialize_exception(ValueError("no such job"), None, JsonSerializer())
    assert text == '"no such job"'


def test_a_server_writes_no_pickle(processes: Processes, tmp_path: Path) -> None:
    server = processes.server(data_dir=tmp_path / "data").instance("memory")
    server.done("records", b"name\nAnn\n")
    server.process.stop()
    with sqlite3.connect(tmp_path / "data" / "lanes.db") as lanes:
        kinds = lanes.execute("SELECT DISTINCT serialization FROM workflow_status").fetchall()
    assert kinds == [("openbulk_json",)]
