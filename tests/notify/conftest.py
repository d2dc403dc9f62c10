"""Fixtures of the tests of notifications."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from openbulk.notify.egress import guarded_connector
from openbulk.notify.networks import LOOPBACK_AND_PRIVATE


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that may call loopback."""
    async with aiohttp.ClientSession(
        connector=guarded_connector(allowed=LOOPBACK_AND_PRIVATE, limit=10)
    ) as client:
        yield client


@pytest.fixture
async def guarded() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that may call public addresses only, as by default."""
    async with aiohttp.ClientSession(connector=guarded_connector(allowed=(), limit=10)) as client:
        yield client
