"""Sessions: a person who has signed in, from one place, for a while."""

from dataclasses import dataclass
from datetime import datetime, timedelta

LIFETIME = timedelta(hours=12)
"""Time for which a session holds. Its use does not make that longer."""
CONFIRMED_FOR = timedelta(minutes=10)
"""Time after a sign-in, or a confirmation, in which a session may do what is dangerous."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a sign-in comes from."""

    address: str
    program: str = ""
    """The browser or program, as it names itself."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session, without its token."""

    id: int
    user_id: int
    origin: Origin
    created_at: datetime
    seen_at: datetime
    """When it was used last, to a minute."""
    expires_at: datetime
    confirmed_at: datetime
    """When the person has last shown that it is they: at the sign-in, or since."""

    def is_confirmed(self, now: datetime) -> bool:
        """Whether the person has shown lately that it is they."""
        return now - self.confirmed_at < CONFIRMED_FOR
