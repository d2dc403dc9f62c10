"""A PostgreSQL server that can be killed: one for many runs, with a database for each."""

import asyncio
import os
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

from crash.scenario import Blow
from support import postgres
from support.ports import free_port


class Cluster:
    """A PostgreSQL server."""

    def __init__(self) -> None:
        """Make its data directory, and start it."""
        self._one_at_a_time = asyncio.Lock()
        binaries = postgres.binaries()
        assert binaries is not None, "odd seeds need PostgreSQL, which is not installed"
        self._folder = Path(tempfile.mkdtemp(prefix="openbulk-crash-"))
        # Without fsync: what the kernel has got survives the kill of a process.
        self._cluster = postgres.Cluster(binaries, self._folder, free_port(), fsync=False)
        self._cluster.initialize()
        self._cluster.start()

    def new_database(self) -> str:
        """Make a database. Returns its address."""
        return self._cluster.postgres.url(self._cluster.postgres.new_database())

    def drop(self, database: str) -> None:
        """Drop a database, by its address."""
        self._cluster.postgres.drop_database(database.rpartition("/")[2])

    async def take(self, blow: Blow) -> None:
        """Take a blow, and recover."""
        async with self._one_at_a_time:
            if blow.kind == "freeze":
                self._send(signal.SIGSTOP)
                await asyncio.sleep(blow.seconds)
                self._send(signal.SIGCONT)
                return
            await asyncio.to_thread(self._cluster.kill)
            await asyncio.sleep(blow.seconds)
            await asyncio.to_thread(self._cluster.start)

    def close(self) -> None:
        """Stop it, and remove its data."""
        self._cluster.stop()
        shutil.rmtree(self._folder)

    def _send(self, number: signal.Signals) -> None:
        for process in self._cluster.processes():
            with suppress(ProcessLookupError):
                os.kill(process, number)
