"""A bench of its own for each test."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from obstore.store import LocalStore

from openbulk.engine.slices import deadline, external_sort
from openbulk.engine.slices import download as download_module
from openbulk.security import Sealer
from openbulk.storage.database import migrate, open_ledger_engine
from openbulk.storage.files import FileStore
from openbulk.storage.ledger import Ledger
from support.downloads import Bench
from support.people import add_organization


@pytest.fixture(autouse=True)
def no_slice_ends_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine does what a quick one does. Tests of time set their own."""
    monkeypatch.setattr(deadline, "SLICE_SECONDS", 3_600.0)
    monkeypatch.setattr(deadline, "MAX_SLICE_SECONDS", 3_600.0)


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(download_module, "RECORDS_PER_PART", 6)
    monkeypatch.setattr(external_sort, "RECORDS_PER_PART", 3)
    monkeypatch.setattr(external_sort, "RUN_BYTES", 20)
    # Two runs are merged at once, so that a sort takes several passes.
    monkeypatch.setattr(external_sort, "MERGED_BYTES", 1)
    monkeypatch.setattr(download_module, "wait_before_resend", lambda resends, chance: 0.0)
    sealer = Sealer([os.urandom(32)])
    engine = open_ledger_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    await migrate(engine)
    await add_organization(engine)
    yield Bench(Ledger(engine), FileStore(LocalStore(tmp_path / "files", mkdir=True), sealer))
    await engine.dispose()
