"""Bytes that may be held at the same time, or places."""

import asyncio
from collections import Counter, deque
from collections.abc import Hashable
from dataclasses import dataclass
from itertools import count


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """A place in the queue."""

    number: int
    size: int
    served: asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class PlaceOwner:
    """Who holds bytes or places for an organization: an instance, a service, or all of it."""

    organization_id: int
    part: Hashable = None


def organization_of(owner: Hashable) -> Hashable:
    """The organization of an owner; the owner itself if it is of none."""
    return owner.organization_id if isinstance(owner, PlaceOwner) else owner


class ByteBudget:
    """Bytes are taken before they are held, and given back afterwards.

    Nobody waits for an owner who takes all: each owner holds at most its share, and the next bytes
    go to the organization that holds least, and there to the owner who holds least. Of one owner,
    and of equal ones, who comes first is served first. More than the share is taken once the owner
    holds nothing else, and more than the whole budget is taken alone.

    Once owners of several organizations have come, each organization leaves a quarter to the
    others, however many owners it has.
    """

    def __init__(self, size: int, of_one: int | None = None) -> None:
        """`of_one` is the share of an owner: the whole budget by default."""
        self._size = size
        self._of_one = size if of_one is None else of_one
        self._free = size
        self._of_one_organization = max(self._of_one, size * 3 // 4)
        self._held: Counter[Hashable] = Counter()
        self._held_by_organization: Counter[Hashable] = Counter()
        self._organizations: set[Hashable] = set()
        """Those that have come so far."""
        self._waiting: dict[Hashable, deque[_Place]] = {}
        self._numbers = count()

    async def take(self, size: int, owner: Hashable = None) -> None:
        """Wait until so many bytes are free for an owner, and take them."""
        self._organizations.add(organization_of(owner))
        served = asyncio.get_running_loop().create_future()
        place = _Place(next(self._numbers), min(size, self._size), served)
        self._waiting.setdefault(owner, deque()).append(place)
        self._serve()
        try:
            await served
        except asyncio.CancelledError:
            # The bytes may have been given in the moment in which the task was cancelled.
            if place in self._waiting.get(owner, ()):
                self._leave(owner, place)
            elif not served.cancelled():
                self._note_held(-place.size, owner)
            self._serve()
            raise

    def take_at_once(self, size: int, owner: Hashable = None) -> None:
        """Take bytes even if they are not free: the others wait longer."""
        self._note_held(min(size, self._size), owner)

    def give_back(self, size: int, owner: Hashable = None) -> None:
        """Give back what was taken."""
        self._note_held(-min(size, self._size), owner)
        self._serve()

    def keeps_waiting(self, owner: Hashable, size: int) -> bool:
        """Whether an owner waits for so many bytes because of what its organization holds."""
        wanted, held = min(size, self._size), self._held[owner]
        if held > 0 and held + wanted > self._of_one:
            return True
        together = self._held_by_organization[organization_of(owner)]
        is_shared = len(self._organizations) > 1
        return is_shared and together > 0 and together + wanted > self._of_one_organization

    def _note_held(self, size: int, owner: Hashable) -> None:
        self._free -= size
        for held, who in (
            (self._held, owner),
            (self._held_by_organization, organization_of(owner)),
        ):
            held[who] += size
            if not held[who]:
                del held[who]

    def _leave(self, owner: Hashable, place: _Place) -> None:
        self._waiting[owner].remove(place)
        if not self._waiting[owner]:
            del self._waiting[owner]

    def _serve(self) -> None:
        while (owner := self._next_owner()) is not _NOBODY:
            place = self._waiting[owner][0]
            # A task that was cancelled, and has not run since, waits no more.
            if not place.served.cancelled():
                if place.size > self._free:
                    return
                self._note_held(place.size, owner)
                place.served.set_result(None)
            self._leave(owner, place)

    def _next_owner(self) -> Hashable:
        """The owner whose turn is next, even if there are too few bytes as yet."""
        owners = (
            owner
            for owner, places in self._waiting.items()
            if not self.keeps_waiting(owner, places[0].size)
        )
        return min(owners, key=self._turn, default=_NOBODY)

    def _turn(self, owner: Hashable) -> tuple[int, int, int]:
        of_organization = self._held_by_organization[organization_of(owner)]
        return of_organization, self._held[owner], self._waiting[owner][0].number


_NOBODY = object()
