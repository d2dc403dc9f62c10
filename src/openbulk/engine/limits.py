"""Refuses what goes beyond the limits of an organization."""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from openbulk.domain.errors import DiskFull, LimitReached, Unavailable
from openbulk.domain.limits import Limits, LimitsInUse, Usage
from openbulk.storage.limits import OrganizationLimits

SHARES_OF_A_MINUTE = 60
"""A process takes such a part of a minute's calls at a time: as many statements a minute."""
MINUTE = 60
_RAISE = "an administrator of the installation can raise the limit"


@dataclass(slots=True)
class _Share:
    """The calls of one minute that this process has taken for an organization."""

    minute: int = 0
    limit: int = 0
    left: int = 0
    is_used_up: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class LimitCheck:
    """The limits of all organizations, for this process."""

    def __init__(
        self, store: OrganizationLimits, installation: Limits, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._installation = installation
        self._clock = clock
        self._shares: dict[int, _Share] = {}

    async def in_use(self, organization_id: int) -> LimitsInUse:
        """The limits of an organization, and what it uses of them."""
        own = await self._store.limits(organization_id)
        holding = own.within(self._installation).calls_per_minute
        calls = 0
        if holding is not None:
            minute = int(self._clock() // MINUTE)
            # Of a share that is used up, other processes have taken more than there is.
            calls = min(holding, await self._store.taken_calls(organization_id, minute))
        used = Usage(
            await self._store.unfinished_jobs(organization_id),
            await self._store.kept_bytes(organization_id),
            calls,
        )
        return LimitsInUse(own, self._installation, used)

    async def change(self, organization_id: int, changes: Mapping[str, int | None]) -> LimitsInUse:
        """Change an organization's own limits, by their names in `Limits`.

        None is the limit of the installation.
        """
        own = await self._store.limits(organization_id)
        await self._store.set_limits(organization_id, replace(own, **changes))
        return await self.in_use(organization_id)

    # --- jobs and bytes ---

    async def require_job(self, organization_id: int, own: Limits) -> None:
        """Raise LimitReached if an organization may not have another unfinished job."""
        limit = own.within(self._installation).jobs
        if limit is None:
            return
        used = await self._store.unfinished_jobs(organization_id)
        if used >= limit:
            raise LimitReached(
                f"the organization has {used:,} unfinished jobs, and its limit is {limit:,}; wait "
                f"until some are finished, or cancel some (GET /bulk/jobs lists them); {_RAISE}"
            )

    async def has_room_for_job(self, organization_id: int) -> bool:
        """Whether an organization may have another unfinished job, and keep another file."""
        own = await self._store.limits(organization_id)
        try:
            await self.require_job(organization_id, own)
            await self.require_bytes(organization_id, own, None)
        except LimitReached:
            return False
        return True

    async def require_bytes(self, organization_id: int, own: Limits, size: int | None) -> None:
        """Raise LimitReached if an organization may not keep so many bytes more.

        None for what has no size yet: it may begin while there is any room.
        """
        limit = own.within(self._installation).bytes
        if limit is None:
            return
        used = await self._store.kept_bytes(organization_id)
        if used + (1 if size is None else size) > limit:
            raise self._too_many_bytes(used, limit, size or 0)

    @staticmethod
    def _too_many_bytes(used: int, limit: int, size: int) -> LimitReached:
        more = f", and this file has {size:,} more" if size else ""
        return LimitReached(
            f"the organization keeps {used:,} bytes of files and downloads{more}; its limit is "
            f"{limit:,}. Delete finished jobs (DELETE /bulk/{{id}}) and files "
            f"(DELETE /files/{{id}}) that you no longer need, or wait until they are; {_RAISE}",
            retry_after=MINUTE,
        )

    # --- calls ---

    async def take_call(self, organization_id: int, own: Limits) -> None:
        """Take a call of this minute. Raises LimitReached if there is none left."""
        limit = own.within(self._installation).calls_per_minute
        if limit is None:
            return
        share = self._shares.setdefault(organization_id, _Share())
        if not self._take_from(share, limit):
            async with share.lock:
                # Another call may have taken a share for all that wait here.
                if not self._take_from(share, limit):
                    await self._take_share(organization_id, share, limit)

    def _take_from(self, share: _Share, limit: int) -> bool:
        """Take a call of a share, if it has one. Raises LimitReached if the minute has none."""
        now = self._clock()
        minute = int(now // MINUTE)
        if share.minute < minute or share.limit != limit:
            share.minute, share.limit = minute, limit
            share.left, share.is_used_up = 0, False
        if share.left:
            share.left -= 1
            return True
        if share.is_used_up:
            raise LimitReached(
                f"the organization has made {limit:,} calls in this minute, which is its limit; "
                f"send the request again in the next one; {_RAISE}",
                retry_after=max(1, math.ceil((share.minute + 1) * MINUTE - now)),
            )
        return False

    async def _take_share(self, organization_id: int, share: _Share, limit: int) -> None:
        count = max(1, limit // SHARES_OF_A_MINUTE)
        try:
            taken = await self._store.take_calls(organization_id, share.minute, count)
        except (DiskFull, Unavailable):
            # Whether the call can be answered is for the call itself to say.
            taken = count
        share.left = max(0, min(count, limit - taken + count))
        share.is_used_up = share.left < count
        self._take_from(share, limit)
