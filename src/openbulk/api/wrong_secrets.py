"""Limits how many wrong secrets an address may send, and how many are tried for a user."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TypeVar

import structlog
from prometheus_client import Counter

from openbulk.domain.errors import NotSignedIn, TooManyGuesses
from openbulk.security import fingerprint

Value = TypeVar("Value")
log = structlog.get_logger()
WRONG_SECRETS = Counter(
    "openbulk_wrong_secrets", "Requests with a wrong secret, by what became of them.", ["answer"]
)
GUESSES = 20
"""Wrong secrets that an address may send at once."""
SECONDS_A_GUESS = 6.0
"""Then it may send one more after each of these."""
GUESSES_OF_USER = 10
SECONDS_A_GUESS_OF_USER = 30.0
"""The same for wrong passwords, and for wrong codes, of one user, from all addresses together."""
_REMEMBERED = 10_000
"""Addresses, and callers, that are remembered; those that called longest ago are forgotten."""


class WrongSecretLimit:
    """The wrong secrets of the last minutes, in this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._free_at: OrderedDict[str, float] = OrderedDict()
        """By address, when it may send as many wrong secrets as at first."""
        self._known: OrderedDict[str, None] = OrderedDict()
        """Fingerprints of users' secrets that were right: they are no guesses."""
        self._user_free_at: OrderedDict[str, float] = OrderedDict()
        """By user, when as many passwords may be tried as at first."""
        self._places: OrderedDict[str, None] = OrderedDict()
        """Fingerprints of users, each with an address from which they have signed in."""

    @contextmanager
    def attempt(self, address: str, secret: str) -> Iterator[None]:
        """Try a secret in the block, which raises NotSignedIn for a wrong one.

        Raises TooManyGuesses, as `check` does.
        """
        self.check(address, secret)
        try:
            yield
        except NotSignedIn:
            self.note_wrong(address)
            raise
        self.note_right(secret)

    @contextmanager
    def attempt_password(self, address: str, login: str, password: str) -> Iterator[None]:
        """Try a password in the block, which raises NotSignedIn for a wrong one.

        Raises TooManyGuesses, as `check` does, and after too many wrong ones for this user. The
        user is let through at an address from which they have signed in before: nobody else can
        lock them out there.
        """
        user = f"password of {login.strip().casefold()}"
        place = fingerprint(f"{user} at {_network_of(address)}")
        if place not in self._places:
            self._check_user(user)
        with self._count_for(user), self.attempt(address, f"{login}\n{password}"):
            yield
        _remember(self._places, place, None)

    @contextmanager
    def attempt_code(self, address: str, user_id: int) -> Iterator[None]:
        """Try a code of a user in the block, which raises NotSignedIn for a wrong one.

        A code is short, so no address is let through. Raises TooManyGuesses.
        """
        user = f"codes of {user_id}"
        self.check(address, user)
        self._check_user(user)
        with self._count_for(user):
            try:
                yield
            except NotSignedIn:
                self.note_wrong(address)
                raise

    @contextmanager
    def _count_for(self, user: str) -> Iterator[None]:
        try:
            yield
        except NotSignedIn:
            free_at = max(self._clock(), self._user_free_at.get(user, 0.0))
            _remember(self._user_free_at, user, free_at + SECONDS_A_GUESS_OF_USER)
            raise

    def _check_user(self, user: str) -> None:
        """Raise TooManyGuesses if too much was tried for a user, who may exist or not."""
        now = self._clock()
        free_at = self._user_free_at.get(user, now)
        wait = free_at - now - (GUESSES_OF_USER - 1) * SECONDS_A_GUESS_OF_USER
        if wait > 0:
            WRONG_SECRETS.labels("throttled").inc()
            raise TooManyGuesses(
                "too many wrong passwords or codes were tried for this user; wait, and try again",
                retry_after=wait,
            )

    def check(self, address: str, user_secret: str) -> None:
        """Raise TooManyGuesses if an address has sent too many wrong secrets.

        Callers who have been here before are let through: they may share the address, which is that
        of a whole school or of a proxy.
        """
        wait = self._wait(_network_of(address))
        if wait > 0 and fingerprint(user_secret) not in self._known:
            WRONG_SECRETS.labels("throttled").inc()
            raise TooManyGuesses(
                "too many wrong secrets came from your address; wait, and send the right one",
                retry_after=wait,
            )

    def note_right(self, user_secret: str) -> None:
        """Remember a caller."""
        _remember(self._known, fingerprint(user_secret), None)

    def note_wrong(self, address: str) -> None:
        """Count a wrong secret."""
        network = _network_of(address)
        now = self._clock()
        free_at = max(now, self._free_at.get(network, now)) + SECONDS_A_GUESS
        _remember(self._free_at, network, free_at)
        WRONG_SECRETS.labels("refused").inc()
        is_last = self._wait(network) > 0
        log.warning("too many wrong secrets" if is_last else "wrong secret", address=address)

    def _wait(self, network: str) -> float:
        """Seconds until an address may send a wrong secret; 0 or less if it may now."""
        now = self._clock()
        return self._free_at.get(network, now) - now - (GUESSES - 1) * SECONDS_A_GUESS


def _network_of(address: str) -> str:
    """An IPv4 address, or the network of an IPv6 one: a machine has as many as it likes in it."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    is_whole = not isinstance(parsed, IPv6Address) or parsed.ipv4_mapped is not None
    return address if is_whole else str(ip_network(f"{address.partition('%')[0]}/64", strict=False))


def _remember(kept: OrderedDict[str, Value], key: str, value: Value) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > _REMEMBERED:
        kept.popitem(last=False)
