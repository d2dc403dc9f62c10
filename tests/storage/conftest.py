"""A database of its own for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from openbulk.storage.database import migrate, open_ledger_engine


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    opened = open_ledger_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    await migrate(opened)
    yield opened
    await opened.dispose()
