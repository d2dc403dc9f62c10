"""Sealing, keys and signatures."""

import base64
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbulk import security
from openbulk.domain.errors import SealBroken
from openbulk.security import Sealer

KEYS = st.binary(min_size=32, max_size=32)


@given(KEYS, st.binary(max_size=200), st.text(max_size=20))
def test_a_seal_opens_in_its_own_context_only(key: bytes, plain: bytes, context: str) -> None:
    sealed = Sealer([key]).seal(plain, context)
    assert Sealer([key]).open(sealed, context) == plain
    with pytest.raises(SealBroken):
        Sealer([key]).open(sealed, context + "!")


@given(KEYS, st.binary(max_size=50), st.data())
def test_a_change_of_any_byte_breaks_a_seal(key: bytes, plain: bytes, data: st.DataObject) -> None:
    sealed = bytearray(Sealer([key]).seal(plain, "place"))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealBroken):
        Sealer([key]).open(bytes(sealed), "place")


@given(st.binary(max_size=60))
def test_bytes_that_were_never_sealed_do_not_open(garbage: bytes) -> None:
    with pytest.raises(SealBroken):
        Sealer([bytes(32)]).open(garbage, "place")


def test_the_first_key_seals_and_all_of_them_open() -> None:
    old, new = bytes(32), bytes([1] * 32)
    sealed = Sealer([old]).seal(b"plain", "place")
    ring = Sealer([new, old])
    assert ring.open(sealed, "place") == b"plain"
    assert not ring.is_current(sealed)
    assert ring.is_current(ring.seal(b"plain", "place"))


def test_sealing_the_same_bytes_twice_gives_different_seals() -> None:
    sealer = Sealer([bytes(32)])
    assert len({sealer.seal(b"plain", "place") for _ in range(100)}) == 100


def test_a_key_file_is_made_once_for_its_owner_alone_and_a_rotation_prepends(
    tmp_path: Path,
) -> None:
    path = tmp_path / "made" / "master.key"
    (first,) = security.load_or_make_master_keys(path)
    assert security.load_or_make_master_keys(path) == [first]
    security.rotate_master_key(path)
    second, old = security.load_or_make_master_keys(path)
    assert (old, second == first) == (first, False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["master.key"]


@pytest.mark.parametrize("text", ["not base64!", base64.b64encode(b"short").decode(), ""])
def test_a_text_that_is_not_a_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="master key"):
        Sealer(security.parse_master_keys(text))


def test_a_secret_has_a_fingerprint_of_its_own() -> None:
    secret = security.new_secret()
    assert security.fingerprint(secret) == security.fingerprint(secret)
    assert security.fingerprint(secret + "=") != security.fingerprint(secret)
    assert len(base64.b64decode(secret)) == 32


def test_processes_that_start_at_once_in_one_folder_share_one_key(tmp_path: Path) -> None:
    for attempt in range(20):
        path = tmp_path / str(attempt) / "master.key"
        at_once = threading.Barrier(8)

        def start(path: Path = path, at_once: threading.Barrier = at_once) -> list[bytes]:
            at_once.wait()
            return security.load_or_make_master_keys(path)

        with ThreadPoolExecutor(8) as threads:
            found = [starting.result() for starting in [threads.submit(start) for _ in range(8)]]
        assert found == [security.load_or_make_master_keys(path)] * 8
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [file.name for file in path.parent.iterdir()] == ["master.key"]
