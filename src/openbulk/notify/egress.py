"""The addresses that this server may call."""

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from openbulk.domain.errors import AddressNotAllowed, BadInput
from openbulk.threads import Threads

MAX_URL_LENGTH = 2048
EXAMPLE = "https://example.com/hooks/openbulk"
_SHOWN_CHARACTERS = 60
"""A message shows at most this much of a URL's path."""
LOCAL_NAMES = frozenset(
    {"localhost", "localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback"}
)
ALLOW = "to allow it, restart the server with OPENBULK_ALLOW_PRIVATE_ADDRESSES=true"

# The standard library's `is_global` follows the registry of its day (Python 3.11.7 calls
# 64:ff9b:1::/48 and 3fff::/20 global), and calls multicast global. This list holds on any Python:
# https://www.iana.org/assignments/iana-ipv4-special-registry, .../iana-ipv6-special-registry and
# .../ipv6-address-space.
_SPECIAL = (
    # Protocol assignments; a cloud keeps its instance metadata at 192.0.0.192.
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),  # relays of 6to4, withdrawn by RFC 7526
    # The host agent of every machine at Azure, on an address that looks public.
    IPv4Network("168.63.129.16/32"),
    IPv4Network("224.0.0.0/4"),  # multicast
    # Global unicast is 2000::/3 alone; these three are all the rest.
    IPv6Network("::/3"),
    IPv6Network("4000::/2"),
    IPv6Network("8000::/1"),
    IPv6Network("2001::/23"),  # protocol assignments, Teredo among them
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("3fff::/20"),  # documentation
)
_THREADS = Threads("names", 8)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the IPv4 address is in the last 32 bits


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is globally routable unicast.

    An IPv6 address with an IPv4 address inside (mapped, 6to4, NAT64) is as public as that one.
    """
    inner = _inner_address(address)
    is_special = any(inner in network for network in _SPECIAL)
    return inner.is_global and not is_special


def _inner_address(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv6 address; the address itself if there is none."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def guarded_connector(
    *, allow_private: bool, limit: int, resolver: AbstractResolver | None = None
) -> aiohttp.TCPConnector:
    """A connector that opens connections to public addresses only; at most `limit` at a time.

    Any other address fails as `ClientConnectorError` with an `AddressNotAllowed` as its `os_error`,
    before a packet is sent. The check sees the address that is about to be connected to, after the
    name is resolved, so a name that resolves differently the next time (DNS rebinding) does not get
    past it. If a host has several addresses, only the public ones are tried. Without `resolver`,
    the system resolves names. Call it inside a running event loop.
    """
    resolver = resolver or _SystemResolver()
    if allow_private:
        return aiohttp.TCPConnector(limit=limit, resolver=resolver)
    guard = _GuardedResolver(resolver)
    return aiohttp.TCPConnector(limit=limit, resolver=guard, socket_factory=_guarded_socket)


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

    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        allowed = [result for result in found if _is_public_text(result["host"])]
        if found and not allowed:
            places = ", ".join(sorted({result["host"] for result in found}))
            raise AddressNotAllowed(f"{host}:{port} is at {places}, a private address; {ALLOW}")
        return allowed

    async def close(self) -> None:
        await self._resolver.close()


async def allowed_address(host: str, port: int, *, allow_private: bool) -> str:
    """The address of a host, for a connection that a database driver opens.

    Raises AddressNotAllowed, and OSError if the host has no address.
    """
    resolver: AbstractResolver = _SystemResolver()
    if not allow_private:
        resolver = _GuardedResolver(resolver)
    found = await resolver.resolve(host, port, socket.AF_UNSPEC)
    if not found:
        raise OSError(f"{host} has no address")
    return found[0]["host"]


def _guarded_socket(address_info: aiohttp.AddrInfoType) -> socket.socket:
    """Make the socket of a connection. Also checks an address that needed no resolver."""
    family, kind, protocol, _, (host, port, *_) = address_info
    if not _is_public_text(str(host)):
        place = f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"
        raise AddressNotAllowed(f"{place} is a private address; {ALLOW}")
    return socket.socket(family, kind, protocol)


def _is_public_text(text: str) -> bool:
    try:
        return is_public(ip_address(text))
    except ValueError:
        return False


def check_url(url: str, name: str, *, allow_private: bool, example: str = EXAMPLE) -> None:
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
    if not allow_private and _looks_private(host):
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


def _looks_private(host: str) -> bool:
    if host in LOCAL_NAMES or host.endswith(".localhost"):
        return True
    try:
        return not is_public(ip_address(host))
    except ValueError:
        return False
