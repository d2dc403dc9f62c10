"""Sandboxes in the test's own event loop, and sessions that may call loopback."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiohttp import web

from openbulk.connectors.base import ConnectionContext, Connector
from openbulk.connectors.googlecalendar import GoogleCalendarProvider
from openbulk.notify.egress import guarded_connector
from openbulk.notify.networks import LOOPBACK_AND_PRIVATE
from openbulk.sandbox import google
from support import Serve, forget
from support.google_sandbox import configuration, violations


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    connector = guarded_connector(allowed=LOOPBACK_AND_PRIVATE, limit=100)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield session


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    async with AsyncExitStack() as stack:

        async def start(app: web.Application) -> str:
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            return f"http://127.0.0.1:{runner.addresses[0][1]}"

        yield start


@pytest.fixture
async def url(serve: Serve, http: aiohttp.ClientSession) -> AsyncIterator[str]:
    """Google's sandbox. Every call has to be one that Google's description of its API allows."""
    address = await serve(google.make_app(google.Options()))
    yield address
    assert await violations(http, address) == []


@pytest.fixture
async def connector(http: aiohttp.ClientSession, url: str) -> Connector:
    """A connector to Google's sandbox."""
    return GoogleCalendarProvider().connect(
        ConnectionContext(await configuration(http, url), http, forget)
    )
