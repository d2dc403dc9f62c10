"""Custom connectors: a service of the tests' own, imported by its export, from file to record."""

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from custom_connector.service import Service
from support.harness import Processes, Server

EXPORT = Path(__file__).parents[2] / "examples" / "custom_connector" / "acmecrm.json"
START_SECONDS = 10.0


class RunningService:
    """The service, in a thread of its own."""

    def __init__(self) -> None:
        self.service = Service()
        self.url = ""

    def __enter__(self) -> "RunningService":
        started: Future[int] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{started.result(START_SECONDS)}"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self, started: "Future[int]") -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        runner = web.AppRunner(self.service.app(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        started.set_result(int(runner.addresses[0][1]))
        await self._stop.wait()
        await runner.cleanup()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Processes(tmp_path_factory.mktemp("custom")) as processes:
        yield processes.server()


@pytest.fixture
def service() -> Iterator[RunningService]:
    with RunningService() as running:
        yield running


def export_of(key: str, url: str, **more: Any) -> dict[str, Any]:
    """The example's export under a key, for a service at an address."""
    export: dict[str, Any] = json.loads(EXPORT.read_text())
    export["configuration"][0]["defaultValue"] = url
    return {**export, "key": key, **more}


def test_a_file_goes_into_a_service_that_nobody_knew(
    server: Server, service: RunningService
) -> None:
    export = export_of("slice", f"{service.url}/offset")
    reply = server.call("POST", "/elements", json_body=export)
    assert reply.status == 200, reply.body
    made = reply.json
    assert (made["key"], made["hub"]) == ("slice", "crm")
    assert [one["place"] for one in made["leftOut"]] == ["resources[5]"]
    instance = server.instance("slice", {"api.key": "secret"})
    assert instance.call("GET", "/objects").json == ["contacts"]
    rows = "".join(f"p{n}@example.com,P{n},{20 + n}\n" for n in range(7))
    status = instance.done("contacts", f"email,name,age\n{rows}".encode(), {"action": "create"})
    assert (status["status"], status["recordsCount"]) == ("COMPLETE", 7)
    listed = instance.call("GET", "/contacts?pageSize=3")
    assert len(listed.json) == 3
    assert listed.headers["elements-next-page-token"]
