"""What the tests of notifications may ask for."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from notify.receiver import Receiver
from openbulk.notify.egress import guarded_connector


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver on loopback that thanks for everything until it is told otherwise."""
    async with Receiver() as started:
        yield started


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that may call loopback."""
    async with aiohttp.ClientSession(
        connector=guarded_connector(allow_private=True, limit=10)
    ) as client:
        yield client


@pytest.fixture
async def guarded() -> AsyncIterator[aiohttp.ClientSession]:
    """A client as a server has it that was not told to allow private addresses."""
    async with aiohttp.ClientSession(
        connector=guarded_connector(allow_private=False, limit=10)
    ) as client:
        yield client
