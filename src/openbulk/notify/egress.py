"""Which addresses this server may call."""

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from openbulk.domain.errors import AddressNotAllowed, BadInput

MAX_URL_LENGTH = 2048
EXAMPLE = "https://example.com/hooks/openbulk"
LOCAL_NAMES = frozenset(
    {"localhost", "localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback"}
)
ALLOW = "private addresses are called only where OPENBULK_ALLOW_PRIVATE_ADDRESSES=true"

# `is_global` of the standard library follows the registry of its day (Python 3.11.7 calls 64:ff9b:1::/48 and
# 3fff::/20 global), and multicast counts as global in it. These hold on any Python:
# https://www.iana.org/assignments/iana-ipv4-special-registry and .../iana-ipv6-special-registry.
_SPECIAL_V4 = (
    IPv4Network(
        "192.0.0.0/24"
    ),  # protocol assignments; a cloud keeps its instance metadata at 192.0.0.192
    IPv4Network("192.88.99.0/24"),  # relays of 6to4, withdrawn by RFC 7526
    IPv4Network(
        "168.63.129.16/32"
    ),  # the host agent of every machine at Azure, on an address that looks public
)
_SPECIAL_V6 = (
    IPv6Network("2001::/23"),  # protocol assignments, Teredo among them
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("3fff::/20"),  # documentation
)
_UNICAST_V6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the IPv4 address is in the last 32 bits


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is globally routable unicast.

    An IPv6 address that carries an IPv4 address (mapped, 6to4, NAT64) is as public as the one it carries.
    """
    carried = _carried(address) if isinstance(address, IPv6Address) else address
    if isinstance(carried, IPv4Address):
        special = any(carried in network for network in _SPECIAL_V4)
        return carried.is_global and not carried.is_multicast and not special
    return (
        carried.is_global
        and carried in _UNICAST_V6
        and not any(carried in network for network in _SPECIAL_V6)
    )


def _carried(address: IPv6Address) -> IPv4Address | IPv6Address:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def guarded_connector(
    *, allow_private: bool, limit: int, resolver: AbstractResolver | None = None
) -> aiohttp.TCPConnector:
    """A connector that opens connections to public addresses only; at most `limit` at a time.

    Anything else fails as `ClientConnectorError` with an `AddressNotAllowed` as its `os_error`, before a packet
    is sent. The check is made on the very address that is connected to, after the name was resolved: a name
    that answers differently the next time (DNS rebinding) has no gap to slip through. Of a host with several
    addresses only the public ones are tried. Names are resolved by the system unless a resolver is handed in.
    Must be called inside a running event loop.
    """
    if allow_private:
        return aiohttp.TCPConnector(limit=limit, resolver=resolver)
    guard = _GuardedResolver(resolver or aiohttp.ThreadedResolver())
    return aiohttp.TCPConnector(limit=limit, resolver=guard, socket_factory=_guarded_socket)


class _GuardedResolver(AbstractResolver):
    """Leaves out what may not be called.

    The socket factory alone would be safe, but not clear: where each of several addresses fails with a sentence
    of its own, aiohappyeyeballs raises a plain OSError of them all, and the host's name is not known down there.
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
            raise AddressNotAllowed(
                f"{host}:{port} is at {places}, which is not a public address; {ALLOW}"
            )
        return allowed

    async def close(self) -> None:
        await self._resolver.close()


async def allowed_address(host: str, port: int, *, allow_private: bool) -> str:
    """The address of a host, for connections that are opened elsewhere. Raises AddressNotAllowed, OSError."""
    resolver: AbstractResolver = aiohttp.ThreadedResolver()
    found = await (resolver if allow_private else _GuardedResolver(resolver)).resolve(
        host, port, socket.AF_UNSPEC
    )
    if not found:
        raise OSError(f"{host} has no address")
    return found[0]["host"]


def _guarded_socket(address_info: aiohttp.AddrInfoType) -> socket.socket:
    """Called for every connection, for addresses written as numbers as well, just before it is opened."""
    family, kind, protocol, _, (host, port, *_) = address_info
    if not _is_public_text(str(host)):
        place = f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"
        raise AddressNotAllowed(f"{place} is not a public address; {ALLOW}")
    return socket.socket(family, kind, protocol)


def _is_public_text(text: str) -> bool:
    try:
        return is_public(ip_address(text))
    except ValueError:
        return False


def check_url(url: str, *, allow_private: bool) -> None:
    """Refuse what can be seen to be no callable address before anything is done. Raises BadInput.

    Names are not resolved here: what a name stands for is checked when it is called, by `guarded_connector`.
    """
    if len(url) > MAX_URL_LENGTH:
        raise BadInput(f"the address has {len(url)} characters; at most {MAX_URL_LENGTH} are taken")
    parts = _parts(url)
    if not parts.scheme:
        # The service we replace also took addresses of its own platform, such as /formulas/instances/1/executions.
        raise BadInput(
            f"the address is relative, which is not supported; write all of it, such as {EXAMPLE}"
        )
    if parts.scheme not in {"http", "https"}:
        raise BadInput(
            f"the address begins with neither https:// nor http://; addresses look like {EXAMPLE}"
        )
    if parts.username is not None or parts.password is not None:
        raise BadInput(
            "the address has a user name or password in it; put them in the instance's configuration"
        )
    host = (parts.hostname or "").rstrip(".")
    if not host:
        raise BadInput(f"the address has no host; addresses look like {EXAMPLE}")
    if not allow_private and _is_seen_to_be_private(host):
        raise BadInput(f"{host} is not a public address; {ALLOW}")


def _parts(url: str) -> SplitResult:
    # The library's own messages would repeat the address, and with it what secrets are in it.
    try:
        parts = urlsplit(url)
        (parts.hostname or "").rstrip(".").encode("idna")
        is_readable = url.isprintable() and " " not in url and parts.port != 0
    except ValueError:
        is_readable = False
    if not is_readable:
        raise BadInput(
            f"the address is malformed (host, port, or a blank in it); addresses look like {EXAMPLE}"
        )
    return parts


def _is_seen_to_be_private(host: str) -> bool:
    if host in LOCAL_NAMES or host.endswith(".localhost"):
        return True
    try:
        return not is_public(ip_address(host))
    except ValueError:
        return False
