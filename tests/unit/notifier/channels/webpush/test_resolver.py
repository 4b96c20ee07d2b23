"""Endpoints resolve to public addresses, never to our own network."""

import pytest

from notifier.channels.webpush.resolver import PrivateAddress, Resolver, is_public
from notifier.outcome import ChannelDown


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.0.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::10.0.0.1",
        "2002:7f00:1::",
        "2002:c0a8:101::1",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
        "2001:db8::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "100::1",
    ],
)
def test_an_address_of_our_own_network_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "142.250.74.74", "2606:4700::1111", "2a00:1450::1", "64:ff9b::1.1.1.1"],
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


async def test_a_name_of_this_host_is_refused() -> None:
    with pytest.raises(PrivateAddress, match="localhost"):
        await Resolver().addresses("localhost", 443)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001"])
async def test_no_way_to_write_an_address_helps(host: str) -> None:
    with pytest.raises(PrivateAddress):
        await Resolver().addresses(host, 443)


@pytest.mark.parametrize("allowed", ["localhost", "localhost:8443"])
async def test_a_host_that_is_allowed_may_be_anywhere(allowed: str) -> None:
    found = await Resolver([allowed]).addresses("localhost", 8443)

    assert "127.0.0.1" in found


async def test_another_port_of_an_allowed_host_is_not_allowed() -> None:
    with pytest.raises(PrivateAddress):
        await Resolver(["localhost:8443"]).addresses("localhost", 22)


async def test_an_allowed_ip6_address_is_written_in_brackets() -> None:
    assert await Resolver(["[::1]:8443"]).addresses("::1", 8443) == ["::1"]


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..b"])
async def test_a_name_that_cannot_be_looked_up_is_tried_later(host: str) -> None:
    with pytest.raises(ChannelDown):
        await Resolver().addresses(host, 443)


async def test_only_the_public_ones_of_a_name_are_connected_to() -> None:
    names = Resolver()
    mixed = ["10.0.0.1", "1.1.1.1", "::1", "2606:4700::1111"]

    names._look_up = lambda host, port: _given(mixed)  # type: ignore[method-assign]

    assert await names.addresses("rebound.example", 443) == [
        "1.1.1.1",
        "2606:4700::1111",
    ]


async def _given(addresses: list[str]) -> list[str]:
    return addresses
