"""What tests of several parts share."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

Serve = Callable[[web.Application], Awaitable[str]]
"""Serves an app on loopback until the test is over. Returns its address."""


async def forget(changes: Mapping[str, str]) -> None:
    """A `save` for connectors whose changed credentials do not matter."""
