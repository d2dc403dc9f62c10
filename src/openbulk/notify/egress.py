"""The addresses that this server may call."""

import socket
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from openbulk.domain.errors import AddressNotAllowed, BadInput
from openbulk.notify.networks import Networks, may_call
from openbulk.threads import Threads

MAX_URL_LENGTH = 2048
EXAMPLE = "https://example.com/hooks/openbulk"
_SHOWN_CHARACTERS = 60
"""A message shows at most this much of a URL's path."""
LOCAL_NAMES = frozenset(
    {"localhost", "localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback"}
)
ALLOW = (
    "to allow it, restart the server with its network in OPENBULK_ALLOWED_NETWORKS, such as "
    "10.1.0.0/16; OPENBULK_ALLOW_PRIVATE_ADDRESSES=true allows loopback and private networks"
)
_THREADS = Threads("names", 32)
"""The system looks for a name of a dead name server for 10 s and more, and nothing ends it."""


def guarded_connector(
    *, allowed: Networks, limit: int, of_one: int = 0, resolver: AbstractResolver | None = None
) -> aiohttp.TCPConnector:
    """A connector that opens connections to public and allowed addresses only.

    It has at most `limit` at a time, and `of_one` of them to one host and port: a service that does
    not answer holds no more. 0 is no bound.

    Any other address fails as `ClientConnectorError` with an `AddressNotAllowed` as its `os_error`,
    before a packet is sent. The check sees the address that is about to be connected to, after the
    name is resolved, so a name that resolves differently the next time (DNS rebinding) does not get
    past it. If a host has several addresses, only the public ones are tried. Without `resolver`,
    the system resolves names. Call it inside a running event loop.
    """
    guard = _GuardedResolver(resolver or _SystemResolver(), allowed)

    def open_socket(address_info: aiohttp.AddrInfoType) -> socket.socket:
        return _guarded_socket(address_info, allowed)

    return aiohttp.TCPConnector(
        limit=limit, limit_per_host=of_one, resolver=guard, socket_factory=open_socket
    )


class _SystemResolver(AbstractResolver):
    """Asks the system, in threads of its own: a name server that is slow holds nothing else."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await _THREADS.run(
            socket.getaddrinfo,
            host,
            port,
            family,
            socket.SOCK_STREAM,
            flags=socket.AI_ADDRCONFIG,
        )
        return [
            ResolveResult(
                hostname=host,
                host=_address_text(address),
                port=port,
                family=family,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for family, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        pass


def _address_text(address: tuple[Any, ...]) -> str:
    """An address as text; a link-local one of IPv6 with its network interface."""
    numeric, _ = socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    return numeric


class _GuardedResolver(AbstractResolver):
    """Leaves out addresses that openbulk may not call.

    The socket factory alone would be safe, but its errors unclear: if all of several addresses
    fail, aiohappyeyeballs raises one plain OSError for all of them, without the host's name.
    """

    def __init__(self, resolver: AbstractResolver, allowed: Networks) -> None:
        self._resolver = resolver
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        allowed = [result for result in found if _may_call(result["host"], self._allowed)]
        if found and not allowed:
            # The address stays unsaid: a caller could ask for the names of an internal network.
            raise AddressNotAllowed(f"{host}:{port} is at a private address; {ALLOW}")
        return allowed

    async def close(self) -> None:
        await self._resolver.close()


async def allowed_address(host: str, port: int, *, allowed: Networks) -> str:
    """The address of a host, for a connection that a database driver opens.

    Raises AddressNotAllowed, and OSError if the host has no address.
    """
    resolver = _GuardedResolver(_SystemResolver(), allowed)
    found = await resolver.resolve(host, port, socket.AF_UNSPEC)
    if not found:
        raise OSError(f"{host} has no address")
    return found[0]["host"]


def _guarded_socket(address_info: aiohttp.AddrInfoType, allowed: Networks) -> socket.socket:
    """Make the socket of a connection. Also checks an address that needed no resolver."""
    family, kind, protocol, _, (host, port, *_) = address_info
    if not _may_call(str(host), allowed):
        place = f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"
        raise AddressNotAllowed(f"{place} is a private address; {ALLOW}")
    return socket.socket(family, kind, protocol)


def _may_call(text: str, allowed: Networks) -> bool:
    try:
        return may_call(ip_address(text), allowed)
    except ValueError:
        return False


def check_url(url: str, name: str, *, allowed: Networks, example: str = EXAMPLE) -> None:
    """Refuse a URL that cannot be called. Raises BadInput.

    The message names the key or header that holds the URL, and shows the example.
    It does not resolve names: `guarded_connector` checks their addresses at each call.
    """
    if len(url) > MAX_URL_LENGTH:
        raise BadInput(f"{name} has {len(url)} characters; at most {MAX_URL_LENGTH} are allowed")
    parts = _parse_url(url)
    if parts is None:
        raise BadInput(
            f"{name} is malformed (host, port, or a blank in it); write it like {example}"
        )
    problem = _problem_of(parts)
    if problem is not None:
        raise BadInput(f"{name} {problem}; write it like {example}")
    host = _host_of(parts)
    if not _may_be_called(host, allowed):
        raise BadInput(f"{name} is at {host}, a private address; {ALLOW}")


def _problem_of(parts: SplitResult) -> str | None:
    """What is wrong with a URL, as the end of a sentence; None if nothing is."""
    # The service that openbulk replaces also takes URLs of its own platform, without a scheme:
    # /formulas/instances/1/executions.
    if not parts.scheme:
        return f"{parts.path[:_SHOWN_CHARACTERS]!r} is not a whole URL"
    if parts.scheme not in {"http", "https"}:
        return "begins with neither https:// nor http://"
    if parts.username is not None:
        return "has a user name or password in it"
    if not _host_of(parts):
        return "has no host"
    return None


def _host_of(parts: SplitResult) -> str:
    return (parts.hostname or "").rstrip(".")


def _parse_url(url: str) -> SplitResult | None:
    """The parts of a URL; None if it is malformed."""
    # The library's own messages quote the URL, which may hold a secret: leave them out.
    try:
        parts = urlsplit(url)
        _host_of(parts).encode("idna")
        is_readable = url.isprintable() and " " not in url and parts.port != 0
    except ValueError:
        return None
    return parts if is_readable else None


def _may_be_called(host: str, allowed: Networks) -> bool:
    """Whether a host may be called, as far as it shows before its name is resolved."""
    if host in LOCAL_NAMES or host.endswith(".localhost"):
        return _may_call("127.0.0.1", allowed) or _may_call("::1", allowed)
    try:
        return may_call(ip_address(host), allowed)
    except ValueError:
        return True
