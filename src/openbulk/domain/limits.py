"""What an organization may use of the installation: its limits, and what it has used of them."""

from dataclasses import dataclass

MAX_LIMIT = 2**53 - 1
"""The largest number that all JSON readers keep exactly."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of an organization, or of all that have none of their own."""

    jobs: int | None = None
    """Unfinished jobs. None, here and below: that of the installation; there, no limit."""
    bytes: int | None = None
    """Bytes of kept files: `storage.limits.OrganizationLimits.kept_bytes`."""
    calls_per_minute: int | None = None
    """Calls of the API in a minute of the clock."""

    def within(self, installation: "Limits") -> "Limits":
        """The limits that hold, with those of the installation in place of missing ones."""
        return Limits(
            installation.jobs if self.jobs is None else self.jobs,
            installation.bytes if self.bytes is None else self.bytes,
            installation.calls_per_minute
            if self.calls_per_minute is None
            else self.calls_per_minute,
        )


NO_OWN_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Usage:
    """What an organization uses at the moment."""

    jobs: int
    bytes: int
    calls_per_minute: int
    """Calls of this minute that its processes have taken; 0 if the calls have no limit."""


@dataclass(frozen=True, slots=True)
class LimitsInUse:
    """The limits of an organization, and what it uses of them."""

    own: Limits
    installation: Limits
    used: Usage

    @property
    def holding(self) -> Limits:
        """The limits that hold."""
        return self.own.within(self.installation)
