"""Hashes of passwords: slow, bounded, and as slow for nobody."""

import asyncio

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.profiles import RFC_9106_LOW_MEMORY

from openbulk.domain.errors import BadInput, ServerBusy
from openbulk.identity.passwords import AT_ONCE, MAX_WAITING, Passwords, require_good_password

GOOD = "correct horse battery"


async def test_a_password_is_right_for_its_own_hash_alone() -> None:
    passwords = Passwords()
    first, second = await passwords.hash(GOOD), await passwords.hash(GOOD)
    assert first != second, "each has a salt"
    assert extract_parameters(first) == RFC_9106_LOW_MEMORY
    assert await passwords.is_right(GOOD, first)
    assert not await passwords.is_right(f"{GOOD} ", first)
    assert not await passwords.is_right(GOOD, "no hash")


async def test_a_password_is_the_same_however_its_letters_are_composed() -> None:
    passwords = Passwords()
    hashed = await passwords.hash("schöne grüne Wörter")
    assert await passwords.is_right("scho\u0308ne gru\u0308ne Wo\u0308rter", hashed)


async def test_nobodys_password_costs_a_hash_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the parameters of all others."""
    verified: list[str] = []
    verify = PasswordHasher.verify

    def note(self: PasswordHasher, hash: str, password: str) -> bool:
        verified.append(hash)
        return verify(self, hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", note)
    assert not await Passwords().is_right(GOOD, None)
    (hashed,) = verified
    assert extract_parameters(hashed) == RFC_9106_LOW_MEMORY


async def test_so_many_wait_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash takes 64 MiB: they are not computed all at once."""
    monkeypatch.setattr(PasswordHasher, "verify", lambda *_: True)
    passwords = Passwords()
    tried = [passwords.is_right(GOOD, "hash") for _ in range(AT_ONCE + MAX_WAITING + 3)]
    done = await asyncio.gather(*tried, return_exceptions=True)
    assert sum(isinstance(one, ServerBusy) for one in done) == 3
    assert await passwords.is_right(GOOD, "hash"), "there is room again"


@pytest.mark.parametrize(
    ("password", "says"),
    [
        ("eleven char", "it has 11 characters"),
        ("x" * 201, "at most 200"),
        ("121212121212", "6 different"),
        ("Ann@Example.com", "it is the email address"),
    ],
)
def test_what_can_be_guessed_is_no_password(password: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        require_good_password(password, "ann@example.com")


def test_a_password_needs_neither_digits_nor_signs() -> None:
    for password in (GOOD, "ein langer Satz", "пароль из слов", "a1!" * 4 + "bcd"):
        require_good_password(password, "ann@example.com")
