"""A database of its own for each test, of each kind."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.storage.database import migrate, open_ledger_engine


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    address: str = request.getfixturevalue("database")
    return address


@pytest.fixture
async def empty_engine(url: str) -> AsyncIterator[AsyncEngine]:
    """A database without tables."""
    opened = open_ledger_engine(url)
    yield opened
    await opened.dispose()


@pytest.fixture
async def engine(empty_engine: AsyncEngine) -> AsyncEngine:
    """A ledger's database with its tables."""
    await migrate(empty_engine)
    return empty_engine
