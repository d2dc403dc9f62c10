"""Promises about when queues are polled."""

import threading
from concurrent.futures import Future

import pytest

from openbulk.engine.queue import polling as polling_module
from openbulk.engine.queue.polling import Pace, Polling

HOUR = 3_600.0
ANSWER_SECONDS = 60.0


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process stays awake for an hour after each sign of work."""
    monkeypatch.setattr(polling_module, "REST_AFTER_SECONDS", HOUR)


@pytest.fixture
def restful(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process rests as soon as it has no work."""
    monkeypatch.setattr(polling_module, "REST_AFTER_SECONDS", 0.0)


def poll(polling: Polling, queue: str, seconds: float) -> "Future[bool]":
    """Wait in a thread of its own until a queue is due."""
    is_due: Future[bool] = Future()

    def wait() -> None:
        is_due.set_result(polling.wait_for_poll(queue, seconds))

    threading.Thread(target=wait, daemon=True).start()
    return is_due


def test_work_that_is_added_is_polled_at_once(restless: None) -> None:
    polling = Polling()
    is_due = poll(polling, "lanes", HOUR)
    polling.wake("lanes")
    assert is_due.result(ANSWER_SECONDS)


def test_every_queue_is_polled_at_its_interval_after_a_sign_of_work(restless: None) -> None:
    polling = Polling()
    callbacks = poll(polling, "callbacks", 0.0)
    polling.wake("lanes")
    assert callbacks.result(ANSWER_SECONDS)


def test_a_process_without_work_polls_nothing_until_it_is_woken(restful: None) -> None:
    polling = Polling()
    lanes = poll(polling, "lanes", 0.0)
    polling.wake("callbacks")
    assert poll(polling, "callbacks", 0.0).result(ANSWER_SECONDS)
    assert polling.awake_since is None
    assert not lanes.done()
    with polling.work():
        assert polling.awake_since is not None
        assert lanes.result(ANSWER_SECONDS)


def test_a_queue_without_a_sign_of_work_in_it_is_polled_seldom(
    monkeypatch: pytest.MonkeyPatch, restful: None
) -> None:
    """However much other work runs here; a sign of work changes that at once."""
    monkeypatch.setattr(polling_module, "QUIET_SECONDS", HOUR)
    polling = Polling()
    with polling.work():
        lanes = poll(polling, "lanes", 0.0)
        with pytest.raises(TimeoutError):
            lanes.result(0.05)
        monkeypatch.setattr(polling_module, "REST_AFTER_SECONDS", HOUR)
        polling.wake("callbacks")
        assert lanes.result(ANSWER_SECONDS)


def test_behind_a_closed_gate_nothing_is_polled(restful: None) -> None:
    polling = Polling()
    assert polling.close_gate()
    polling.wake("lanes")
    lanes = poll(polling, "lanes", 0.0)
    assert polling.close_gate()
    assert not lanes.done()
    polling.open_gate()
    assert lanes.result(ANSWER_SECONDS)


def test_the_gate_stays_open_while_there_is_work_or_a_poll_may_find_some(restful: None) -> None:
    polling = Polling()
    with polling.work():
        assert not polling.close_gate()
    polling.wake("lanes")
    assert polling.wait_for_poll("lanes", HOUR)  # from here on the queue is polled
    assert not polling.close_gate()
    waiting = poll(polling, "lanes", HOUR)
    while not polling.close_gate():
        threading.Event().wait(0.001)
    polling.stop()
    assert not waiting.result(ANSWER_SECONDS)


def test_each_sign_of_work_is_reported(restful: None) -> None:
    """A process that shares its queues registers then, and opens the gate."""
    polling = Polling()
    signs: list[None] = []
    polling.on_wake(lambda: signs.append(None))
    polling.wake("lanes")
    with polling.work():
        assert len(signs) == 2


def test_a_pace_stands_in_for_the_event_that_stops_a_thread(restless: None) -> None:
    polling = Polling()
    pace = Pace(polling, "lanes")
    polling.wake("lanes")
    assert not pace.wait(timeout=HOUR)
    assert not pace.is_set()
    polling.stop()
    assert pace.wait(timeout=HOUR)
    assert pace.is_set()
