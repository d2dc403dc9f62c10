"""Wrong secrets are limited by address, and right ones are not."""

import pytest

from openbulk.api.wrong_secrets import (
    GUESSES,
    GUESSES_OF_USER,
    SECONDS_A_GUESS,
    SECONDS_A_GUESS_OF_USER,
    WrongSecretLimit,
)
from openbulk.domain.errors import NotSignedIn, TooManyGuesses

SECRET = "secret of somebody"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guesses(clock: Clock) -> WrongSecretLimit:
    return WrongSecretLimit(clock)


def guess(guesses: WrongSecretLimit, address: str, count: int) -> None:
    for number in range(count):
        guesses.check(address, f"guess {number}")
        guesses.note_wrong(address)


def test_an_address_may_guess_so_often_and_then_slowly(
    guesses: WrongSecretLimit, clock: Clock
) -> None:
    guess(guesses, "192.0.2.1", GUESSES)
    with pytest.raises(TooManyGuesses) as refused:
        guesses.check("192.0.2.1", "another")
    assert refused.value.retry_after == SECONDS_A_GUESS
    clock.now += SECONDS_A_GUESS + 0.01
    guess(guesses, "192.0.2.1", 1)
    with pytest.raises(TooManyGuesses):
        guesses.check("192.0.2.1", "another")
    clock.now += GUESSES * SECONDS_A_GUESS + 1
    guess(guesses, "192.0.2.1", GUESSES)


def test_another_address_is_not_held_up(guesses: WrongSecretLimit) -> None:
    guess(guesses, "192.0.2.1", GUESSES)
    guesses.check("192.0.2.2", "another")
    guesses.check("::ffff:192.0.2.2", "another")


def test_a_caller_who_has_been_here_is_not_held_up_by_an_address_that_guesses(
    guesses: WrongSecretLimit,
) -> None:
    guesses.note_right(SECRET)
    guess(guesses, "192.0.2.1", GUESSES)
    guesses.check("192.0.2.1", SECRET)
    with pytest.raises(TooManyGuesses):
        guesses.check("192.0.2.1", f"{SECRET}!")


def test_the_addresses_of_one_ipv6_network_count_together(guesses: WrongSecretLimit) -> None:
    for number in range(GUESSES):
        guess(guesses, f"2001:db8:1:2::{number:x}", 1)
    with pytest.raises(TooManyGuesses):
        guesses.check("2001:db8:1:2:ffff::1", "another")
    guesses.check("2001:db8:1:3::1", "another")


def test_what_is_remembered_is_bounded(
    guesses: WrongSecretLimit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openbulk.api.wrong_secrets._REMEMBERED", 100)
    for number in range(1000):
        guesses.note_wrong(f"address {number}")
        guesses.note_right(f"secret {number}")
    assert len(guesses._free_at) == len(guesses._known) == 100


def try_password(
    guesses: WrongSecretLimit, address: str, login: str, *, is_right: bool = False
) -> None:
    with guesses.attempt_password(address, login, "password"):
        if not is_right:
            raise NotSignedIn("wrong")


def test_passwords_of_a_user_are_limited_over_all_addresses(
    guesses: WrongSecretLimit, clock: Clock
) -> None:
    """Whether the user exists or not, and however the address is written."""
    for number in range(GUESSES_OF_USER):
        with pytest.raises(NotSignedIn):
            try_password(guesses, f"192.0.2.{number}", "Ann@example.com")
    with pytest.raises(TooManyGuesses) as refused:
        try_password(guesses, "192.0.2.99", "ann@example.com ", is_right=True)
    assert refused.value.retry_after == SECONDS_A_GUESS_OF_USER
    try_password(guesses, "192.0.2.99", "bob@example.com", is_right=True)
    clock.now += SECONDS_A_GUESS_OF_USER + 0.01
    try_password(guesses, "192.0.2.99", "ann@example.com", is_right=True)


def test_nobody_locks_a_user_out_of_where_they_sign_in(guesses: WrongSecretLimit) -> None:
    try_password(guesses, "198.51.100.1", "ann@example.com", is_right=True)
    for number in range(GUESSES_OF_USER):
        with pytest.raises(NotSignedIn):
            try_password(guesses, f"192.0.2.{number}", "ann@example.com")
    try_password(guesses, "198.51.100.1", "ann@example.com", is_right=True)


def test_codes_of_a_user_are_limited_wherever_they_come_from(guesses: WrongSecretLimit) -> None:
    for number in range(GUESSES_OF_USER):
        with pytest.raises(NotSignedIn), guesses.attempt_code(f"192.0.2.{number}", 7):
            raise NotSignedIn("wrong")
    with pytest.raises(TooManyGuesses), guesses.attempt_code("192.0.2.99", 7):
        pass
    with guesses.attempt_code("192.0.2.99", 8):
        pass
