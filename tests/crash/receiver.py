"""A caller's server: it receives callbacks, and refuses the first ones where it is set to."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from support.receiver import Received, Receiver

KEY = "a key that callbacks are signed with"


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback as it came over the wire."""

    tag: str
    """Of the attempt that it is about."""
    headers: Mapping[str, str]
    body: bytes
    status: int
    """Of the receiver's answer."""


class CallbackReceiver(Receiver):
    """Answers `POST /{tag}/{refusals}`: the first so many callbacks of a tag with 500."""

    def __init__(self, give_sign: Callable[[str], None]) -> None:
        """`give_sign` is called in the thread of the receiver."""
        super().__init__()
        self.callbacks: list[Callback] = []
        self._give_sign = give_sign
        self._attempts: Counter[str] = Counter()

    def address(self, tag: str, refusals: int) -> str:
        """The callback URL of an attempt."""
        return f"{self.url}{tag}/{refusals}"

    def status_for(self, received: Received) -> int:
        """Note the callback, and decide about it."""
        _, tag, refusals = received.path.split("/")
        self._attempts[tag] += 1
        status = 500 if self._attempts[tag] <= int(refusals) else 200
        self.callbacks.append(Callback(tag, received.headers, received.body, status))
        self._give_sign(f"notified {tag.rpartition('.')[0]}")
        return status
