"""Passwords: which ones are good enough, and their hashes."""

import base64
import secrets
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from openbulk.domain.errors import BadInput, ServerBusy
from openbulk.threads import Threads

MIN_CHARACTERS = 12
MAX_CHARACTERS = 200
MIN_DISTINCT_CHARACTERS = 6
AT_ONCE = 2
"""Hashes that are computed at the same time. Each takes 64 MiB, and a tenth of a second."""
MAX_WAITING = 20
"""Others that wait for their turn. Each further one is refused."""
_threads = Threads("passwords", AT_ONCE)


def require_good_password(password: str, email: str) -> None:
    """Raise BadInput for a password that can be guessed."""
    problem = ""
    if len(password) < MIN_CHARACTERS:
        problem = f"it has {len(password)} characters, and needs at least {MIN_CHARACTERS}"
    elif len(password) > MAX_CHARACTERS:
        problem = f"it has {len(password)} characters, and may have at most {MAX_CHARACTERS}"
    elif len(set(password)) < MIN_DISTINCT_CHARACTERS:
        problem = f"it needs at least {MIN_DISTINCT_CHARACTERS} different characters"
    elif password.casefold() == email.casefold():
        problem = "it is the email address"
    if problem:
        raise BadInput(
            f"this password can not be used: {problem}; four or more words make a good one"
        )


class Passwords:
    """Hashes passwords with Argon2id, outside of the event loop.

    The parameters are those of RFC 9106, section 4, for less memory.
    """

    def __init__(self) -> None:
        self._hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._nobodys = _hash_of_nobody()
        self._under_way = 0

    async def hash(self, password: str) -> str:
        """The hash of a password, with its salt and parameters. Raises ServerBusy."""
        self._enter()
        try:
            return await _threads.run(self._hasher.hash, _normalize(password))
        finally:
            self._under_way -= 1

    async def is_right(self, password: str, hashed: str | None) -> bool:
        """Whether a password is the one that was hashed. Raises ServerBusy.

        Without a hash it is none, and finding that out takes as long.
        """
        self._enter()
        try:
            return await _threads.run(self._verify, _normalize(password), hashed)
        finally:
            self._under_way -= 1

    def is_outdated(self, hashed: str) -> bool:
        """Whether a hash has other parameters than new ones have."""
        return self._hasher.check_needs_rehash(hashed)

    def _verify(self, password: str, hashed: str | None) -> bool:
        try:
            self._hasher.verify(hashed or self._nobodys, password)
        except (VerificationError, InvalidHashError):
            return False
        return hashed is not None

    def _enter(self) -> None:
        if self._under_way >= AT_ONCE + MAX_WAITING:
            raise ServerBusy("many people sign in at the moment; try again in a few seconds")
        self._under_way += 1


def _normalize(password: str) -> str:
    """A password in one form, however the keyboard composes its letters (NIST SP 800-63B)."""
    return unicodedata.normalize("NFKC", password[:MAX_CHARACTERS])


def _hash_of_nobody() -> str:
    """A hash with the parameters of all others, which no password has."""
    one = RFC_9106_LOW_MEMORY
    salt, digest = (
        base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=")
        for size in (one.salt_len, one.hash_len)
    )
    cost = f"m={one.memory_cost},t={one.time_cost},p={one.parallelism}"
    return f"$argon2id$v={one.version}${cost}${salt}${digest}"
