"""Networks: which addresses are public, and which others this server may call."""

from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
)

Networks = Sequence[IPv4Network | IPv6Network]
"""Networks that this server may call beside public addresses."""
LOOPBACK_AND_PRIVATE: Networks = tuple(
    ip_network(network)
    for network in (
        *("127.0.0.0/8", "::1/128"),
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),  # RFC 1918
        "fc00::/7",  # RFC 4193
    )
)
_METADATA = frozenset({IPv6Address("fd00:ec2::254"), IPv6Address("fd20:ce::254")})
"""Where clouds keep the credentials of their machines on private addresses: AWS, Google. All others
are link-local or special."""

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
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the IPv4 address is in the last 32 bits


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is globally routable unicast.

    An IPv6 address with an IPv4 address inside (mapped, 6to4, NAT64) is as public as that one.
    """
    inner = _inner_address(address)
    is_special = any(inner in network for network in _SPECIAL)
    return inner.is_global and not is_special


def parse_networks(text: str) -> Networks:
    """Parse networks and addresses, with commas or blanks between them: `10.1.0.0/16, fd12::/48`.

    Raises ValueError, with the word that is none.
    """
    return tuple(ip_network(word) for word in text.replace(",", " ").split())


def may_call(address: IPv4Address | IPv6Address, allowed: Networks) -> bool:
    """Whether this server may call an address: it is public, or in one of the allowed networks.

    An address of a cloud's metadata has to be allowed by itself.
    """
    inner = _inner_address(address)
    if inner in _METADATA:
        return any(network.num_addresses == 1 and inner in network for network in allowed)
    return is_public(address) or any(inner in network for network in allowed)


def _inner_address(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv6 address; the address itself if there is none."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
