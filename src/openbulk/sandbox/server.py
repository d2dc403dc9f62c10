"""Runs a sandbox until a signal stops it."""

import asyncio
import signal

from aiohttp import web

NAME = web.AppKey("NAME", str)
"""The name that a sandbox prints when it listens."""


def run(app: web.Application, host: str, port: int) -> None:
    """Serve an app, print its address on one line, and stop cleanly on SIGTERM or SIGINT.

    Port 0 takes any free port.
    """
    asyncio.run(_serve(app, host, port))


async def _serve(app: web.Application, host: str, port: int) -> None:
    # Open connections get a second to finish before they are closed.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        print(f"{app[NAME]} listens on http://{host}:{runner.addresses[0][1]}", flush=True)  # noqa: T201
        await _wait_for_signal()
    finally:
        await runner.cleanup()


async def _wait_for_signal() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
