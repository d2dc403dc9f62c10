"""A run that is cut off."""

import asyncio

import pytest

from crash import __main__ as command
from crash.report import Table
from crash.seen import Seen


async def test_a_run_that_is_cut_off_breaks_no_promise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`timeout` also stops its processes: it cannot end as it should."""
    begun = asyncio.Event()

    async def play(*_: object) -> Seen:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            raise OSError("the database system is shutting down")

    monkeypatch.setattr(command, "play", play)
    table = Table()
    playing = asyncio.create_task(command._Runs(iter([2]), table, None).play_all(1))
    await begun.wait()
    playing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await playing
    assert (table.failed, capsys.readouterr().out) == ([], "")
