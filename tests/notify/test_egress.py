"""Which addresses this server may call."""

import asyncio
import re
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from openbulk.domain.errors import AddressNotAllowed, BadInput
from openbulk.notify.egress import check_url, guarded_connector
from openbulk.notify.networks import (
    LOOPBACK_AND_PRIVATE,
    is_public,
    may_call,
    parse_networks,
)
from support.receiver import Receiver

# From the IANA registries of special-purpose addresses, typed out here so that the tests do not
# rely on the library that the code uses.
# https://www.iana.org/assignments/iana-ipv4-special-registry, .../iana-ipv6-special-registry,
# .../ipv6-address-space
SPECIAL_V4 = [
    "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24",
    "192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24",
    "224.0.0.0/4 240.0.0.0/4",
]
SPECIAL_V6 = [
    "::/128 ::1/128 ::/96 64:ff9b:1::/48 100::/64 2001::/23 2001::/32 2001:db8::/32 3fff::/20",
    "4000::/3 5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8",
]
NETWORKS_V4 = [IPv4Network(network) for line in SPECIAL_V4 for network in line.split()]
NETWORKS_V6 = [IPv6Network(network) for line in SPECIAL_V6 for network in line.split()]

special_v4 = (
    st.sampled_from(NETWORKS_V4)
    .flatmap(lambda network: st.ip_addresses(network=network))
    .map(IPv4Address)
)
special_v6 = (
    st.sampled_from(NETWORKS_V6)
    .flatmap(lambda network: st.ip_addresses(network=network))
    .map(IPv6Address)
)


@given(special_v4)
def test_no_special_ipv4_address_may_be_called(address: IPv4Address) -> None:
    assert not is_public(address)


@given(special_v6)
def test_no_special_ipv6_address_may_be_called(address: IPv6Address) -> None:
    assert not is_public(address)


@given(special_v4)
def test_an_ipv6_address_does_not_hide_a_special_ipv4_address(address: IPv4Address) -> None:
    assert not is_public(IPv6Address(f"::ffff:{address}"))
    assert not is_public(IPv6Address(f"64:ff9b::{address}"))
    assert not is_public(IPv6Address(0x2002 << 112 | int(address) << 80 | 1))


@given(st.ip_addresses(v=4), st.ip_addresses(v=6))
def test_what_may_be_called_is_in_no_special_network(v4: IPv4Address, v6: IPv6Address) -> None:
    assert not is_public(v4) or not any(v4 in network for network in NETWORKS_V4)
    assert not is_public(v6) or not any(v6 in network for network in NETWORKS_V6)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "93.184.215.14", "192.31.196.1", "223.255.255.255"]
)
def test_public_ipv4_addresses_may_be_called_however_they_are_written(address: str) -> None:
    assert is_public(IPv4Address(address))
    assert is_public(IPv6Address(f"::ffff:{address}"))
    assert is_public(IPv6Address(f"64:ff9b::{address}"))


@pytest.mark.parametrize(
    "address", ["2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "2001:4860:4860::8888"]
)
def test_public_ipv6_addresses_may_be_called(address: str) -> None:
    assert is_public(IPv6Address(address))


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16"]
)
def test_the_metadata_services_of_the_clouds_may_not_be_called(address: str) -> None:
    assert not is_public(IPv4Address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "::ffff:169.254.169.254", "fe80::1"),
        *("168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254"),
        *("224.0.0.1", "0.0.0.0", "::"),
    ],
)
def test_private_networks_are_neither_link_local_nor_the_metadata_of_a_cloud(address: str) -> None:
    assert not may_call(ip_address(address), LOOPBACK_AND_PRIVATE)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "fd12:3456::1"]
)
def test_private_networks_are_loopback_and_those_of_organizations(address: str) -> None:
    assert may_call(ip_address(address), LOOPBACK_AND_PRIVATE)
    assert not may_call(ip_address(address), ())


def test_an_allowed_network_opens_its_own_addresses_and_no_others() -> None:
    allowed = parse_networks("10.1.0.0/16, 169.254.7.7,fd12::/48 fd00:ec2::254")
    for address in ("10.1.255.1", "::ffff:10.1.0.1", "169.254.7.7", "fd12::9", "fd00:ec2::254"):
        assert may_call(ip_address(address), allowed)
    for address in ("10.2.0.1", "127.0.0.1", "169.254.169.254", "fd13::1", "fd20:ce::254"):
        assert not may_call(ip_address(address), allowed)
    assert may_call(ip_address("8.8.8.8"), allowed)


@pytest.mark.parametrize("text", ["10.1.2.3/16", "intranet.example", "10.1.0.0/33", "10.1"])
def test_networks_that_cannot_be_understood_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        parse_networks(text)


async def test_a_call_reaches_an_allowed_network_alone(receiver: Receiver) -> None:
    connector = guarded_connector(allowed=parse_networks("127.0.0.1"), limit=1)
    async with aiohttp.ClientSession(connector=connector) as client:
        async with client.post(f"http://127.0.0.1:{receiver.port}/") as response:
            assert response.status == 200
        await _refusal(client, f"http://127.0.0.2:{receiver.port}/")
    assert len(receiver.received) == 1


class Answers(AbstractResolver):
    """A resolver that gives one answer after the other, and then the last one again and again."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        addresses = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=_family(address), proto=0, flags=0
            )
            for address in addresses
        ]

    async def close(self) -> None:
        pass


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


async def _refusal(client: aiohttp.ClientSession, url: str) -> str:
    """Why a call was refused; fails where it was not refused for its address."""
    with pytest.raises(aiohttp.ClientConnectorError) as caught:
        await client.post(url, data=b"{}")
    assert isinstance(caught.value.os_error, AddressNotAllowed)
    return str(caught.value.os_error)


HOSTS = [
    "127.0.0.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "localhost",
    "0.0.0.0",
    "[::]",
    "0x7f.1",
]


@pytest.mark.parametrize("host", HOSTS)
async def test_loopback_is_refused_by_default_however_it_is_written(
    guarded: aiohttp.ClientSession, receiver: Receiver, host: str
) -> None:
    refusal = await _refusal(guarded, f"http://{host}:{receiver.port}/")
    assert f":{receiver.port} is" in refusal
    assert "OPENBULK_ALLOW_PRIVATE_ADDRESSES=true" in refusal
    assert receiver.received == []


async def test_loopback_is_called_where_that_is_allowed(
    http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    async with http.post(f"http://localhost:{receiver.port}/") as response:
        assert response.status == 200
    assert len(receiver.received) == 1


async def test_a_host_with_only_private_addresses_is_refused_by_its_name(
    receiver: Receiver,
) -> None:
    connector = guarded_connector(
        allowed=(), limit=1, resolver=Answers(["127.0.0.1", "::1", "10.0.0.1", "fd00::1"])
    )
    async with aiohttp.ClientSession(connector=connector) as client:
        refusal = await _refusal(client, f"http://hooks.example.com:{receiver.port}/")
    assert f"hooks.example.com:{receiver.port} is at a private address" in refusal
    # Its addresses stay unsaid: a caller could ask for the names of an internal network.
    assert not any(address in refusal for address in ("127.0.0.1", "10.0.0.1", "::1"))
    assert receiver.received == []


# A sink of the AS112 project: globally routable, and nobody's server.
PUBLIC = "192.31.196.1"


async def _call_briefly(client: aiohttp.ClientSession, url: str) -> None:
    """Try a public address. It may be out of reach of a test machine, but it is not refused."""
    try:
        async with client.post(url, timeout=aiohttp.ClientTimeout(sock_connect=0.3)):
            pass
    except TimeoutError:
        pass
    except aiohttp.ClientConnectorError as error:
        assert not isinstance(error.os_error, AddressNotAllowed)


@pytest.mark.parametrize("addresses", [["127.0.0.1", PUBLIC, "::1"], [PUBLIC, "127.0.0.1"]])
async def test_of_several_addresses_only_the_public_ones_are_tried(
    receiver: Receiver, addresses: list[str]
) -> None:
    connector = guarded_connector(allowed=(), limit=1, resolver=Answers(addresses))
    async with aiohttp.ClientSession(connector=connector) as client:
        await _call_briefly(client, f"http://hooks.example.com:{receiver.port}/")
    assert receiver.received == []


async def test_a_name_that_is_public_at_first_and_loopback_later_gets_no_request(
    receiver: Receiver,
) -> None:
    connector = guarded_connector(allowed=(), limit=1, resolver=Answers([PUBLIC], ["127.0.0.1"]))
    url = f"http://rebind.example.com:{receiver.port}/"
    check_url(url, "base.url", allowed=())
    async with aiohttp.ClientSession(connector=connector) as client:
        await _call_briefly(client, url)
        connector.clear_dns_cache()
        refusal = await _refusal(client, url)
        assert f"rebind.example.com:{receiver.port} is at a private address" in refusal
    assert receiver.received == []


async def test_a_connection_that_is_refused_costs_no_place_among_the_limit(
    guarded: aiohttp.ClientSession, receiver: Receiver
) -> None:
    async with asyncio.timeout(60):
        for _ in range(20):
            await _refusal(guarded, receiver.url)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hooks/openbulk?job=1",
        "http://example.com:8080",
        "https://bücher.example/",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]:8443/",
        "HTTPS://EXAMPLE.COM./",
    ],
)
def test_addresses_that_can_be_called_are_taken(url: str) -> None:
    check_url(url, "base.url", allowed=())


@pytest.mark.parametrize(
    ("url", "what_is_said"),
    [
        ("/formulas/instances/7/executions", "is not a whole URL"),
        ("//example.com/hook", "is not a whole URL"),
        (
            "example.com/hook",
            "base.url 'example.com/hook' is not a whole URL; write it like https://",
        ),
        ("", "is not a whole URL"),
        ("ftp://example.com/", "neither https:// nor http://"),
        ("file:///etc/passwd", "neither https:// nor http://"),
        ("https://ann:secret@example.com/", "user name or password"),
        ("https://ann@example.com/", "user name or password"),
        ("https://", "no host"),
        ("https:///hook", "no host"),
        ("https://example.com:99999/", "malformed"),
        ("https://example.com:0/", "malformed"),
        ("https://exam ple.com/", "malformed"),
        ("https://example.com/\r\nX-Header:1", "malformed"),
        ("https://exam\tple.com/", "malformed"),
        ("https://[::1/", "malformed"),
        ("https://a..b/", "malformed"),
        (f"https://{'a' * 64}.com/", "malformed"),
        ("https://example.com/" + "a" * 2048, "2048"),
        ("http://127.0.0.1/", "base.url is at 127.0.0.1, a private address"),
        ("http://127.0.0.1./", "a private address"),
        ("http://10.1.2.3:8080/", "a private address"),
        ("http://169.254.169.254/latest/meta-data/", "OPENBULK_ALLOW_PRIVATE_ADDRESSES=true"),
        ("http://[::1]/", "a private address"),
        ("http://[::ffff:192.168.0.1]/", "a private address"),
        ("http://[fe80::1%25eth0]/", "a private address"),
        ("http://localhost:3000/", "base.url is at localhost, a private address"),
        ("http://LOCALHOST/", "a private address"),
        ("http://app.localhost./", "a private address"),
    ],
)
def test_an_address_that_cannot_be_called_is_refused_with_what_would_be_right(
    url: str, what_is_said: str
) -> None:
    with pytest.raises(BadInput, match=what_is_said) as caught:
        check_url(url, "base.url", allowed=())
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/", "http://localhost/", "http://[::1]/", "http://10.1.2.3/"]
)
def test_private_addresses_are_taken_where_they_are_allowed(url: str) -> None:
    check_url(url, "base.url", allowed=LOOPBACK_AND_PRIVATE)


def test_a_relative_address_is_refused_where_private_ones_are_allowed() -> None:
    with pytest.raises(BadInput, match=r"https://example\.com/hooks/openbulk"):
        check_url("/formulas/instances/7/executions", "base.url", allowed=LOOPBACK_AND_PRIVATE)


@given(st.text(max_size=60) | st.text(max_size=40).map("https://".__add__))
def test_any_text_is_either_taken_or_refused(text: str) -> None:
    try:
        check_url(text, "base.url", allowed=())
    except BadInput as refused:
        assert refused.message
