"""Endpoints resolve to public addresses, never to our own network."""

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest

from notifier.channels.webpush import lookups, resolver
from notifier.channels.webpush.resolver import PrivateAddress, Resolver, is_public
from notifier.outcome import ChannelDown
from tests.support.wait import eventually


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

    names._look_up = lambda *_: _given(mixed)  # type: ignore[method-assign]

    assert await names.addresses("rebound.example", 443) == [
        "1.1.1.1",
        "2606:4700::1111",
    ]


async def _given(addresses: list[str]) -> list[str]:
    return addresses


# -- name servers that never answer


class HangingNames:
    """Takes the place of the system's resolver; some domains never answer."""

    def __init__(self) -> None:
        self.hanging: list[str] = []
        self.over = threading.Event()

    def resolve(self, host: str, port: int) -> list[str]:
        if "evil" in host:
            self.hanging.append(host)
            self.over.wait()
        return ["1.1.1.1"]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[HangingNames]:
    names = HangingNames()
    monkeypatch.setattr(resolver, "_resolve", names.resolve)
    yield names
    names.over.set()


async def start(
    looks: Resolver, hosts: Sequence[str], asker: int | None = None
) -> None:
    """Begin look-ups that do not end."""
    for host in hosts:
        task = asyncio.ensure_future(looks.addresses(host, 443, asker))
        # Nobody is interested in its end.
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
    await asyncio.sleep(0)


async def test_one_domain_that_never_answers_leaves_threads_to_others(
    names: HangingNames,
) -> None:
    looks = Resolver(is_known=lambda host: host == "known.example")
    await start(looks, [f"n{number}.evil.example" for number in range(40)])
    await eventually(lambda: len(names.hanging) == lookups.MOST_OF_KEY)

    for host in ("good.test", "known.example"):
        assert await looks.addresses(host, 443) == ["1.1.1.1"]

    # Those that are not looked up yet do not wait on threads either.
    assert len(names.hanging) == lookups.MOST_OF_KEY


async def test_one_member_with_many_domains_leaves_threads_to_others(
    names: HangingNames,
) -> None:
    looks = Resolver()
    await start(looks, [f"evil{number}.test" for number in range(40)], asker=7)
    await eventually(lambda: len(names.hanging) == lookups.MOST_OF_KEY)

    assert await looks.addresses("good.example", 443, 8) == ["1.1.1.1"]


async def test_no_number_of_domains_delays_the_browsers_own_services(
    names: HangingNames,
) -> None:
    looks = Resolver(is_known=lambda host: host == "known.example")
    await start(looks, [f"evil{number}.test" for number in range(40)])
    await eventually(lambda: len(names.hanging) == lookups.MOST_THREADS)

    assert await looks.addresses("known.example", 443) == ["1.1.1.1"]


async def test_a_thread_counts_until_it_ends_and_not_until_its_caller_has_gone(
    names: HangingNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver, "LOOKUP_TIMEOUT_S", 0.05)
    looks = Resolver()
    hosts = [f"n{number}.evil.example" for number in range(lookups.MOST_OF_KEY + 1)]

    for host in hosts:
        with pytest.raises(ChannelDown, match="too long"):
            await looks.addresses(host, 443)

    assert len(names.hanging) == lookups.MOST_OF_KEY
    names.over.set()
    await eventually(lambda: not threads_of_lookups())
    assert await looks.addresses(hosts[-1], 443) == ["1.1.1.1"]


def threads_of_lookups() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name == "look-up"]
