"""Small things that tests of several parts need."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

Serve = Callable[[web.Application], Awaitable[str]]
"""Serves an app on loopback until the test is over; its address."""


async def forget(changes: Mapping[str, str]) -> None:
    """What to hand a connector whose changed credentials do not matter."""
