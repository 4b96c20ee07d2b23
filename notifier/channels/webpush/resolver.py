"""Resolving push services to public addresses, never to our own network.

Endpoints come from users, so an unchecked one could make our server talk to hosts that
only it can reach (SSRF). We resolve the name, check its addresses and connect to one of
them, not to the name, which might resolve differently the next time (DNS rebinding).
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Hashable, Sequence
from functools import partial

from notifier.channels.webpush.lookups import Lookups
from notifier.outcome import ChannelDown

LOOKUP_TIMEOUT_S = 5.0
# Missing hosts that are remembered; a forgotten one is looked up again.
MOST_MISSING = 1000

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# IPv6 networks whose addresses embed an IPv4 address in their last 32 bits.
_EMBEDDING = [
    ipaddress.IPv6Network(network)
    for network in ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")
]
_IP6_IN_USE = ipaddress.IPv6Network("2000::/3")


class PrivateAddress(Exception):
    """The name has no public address."""

    def __init__(self, host: str) -> None:
        super().__init__(f"{host} is no address on the Internet")


class Resolver:
    """Resolves the hosts of endpoints; those in `allow` may have private addresses.

    An entry of `allow` is host or host:port.
    """

    def __init__(
        self,
        allow: Sequence[str] = (),
        *,
        is_known: Callable[[str], bool] = lambda host: False,
    ) -> None:
        self._allow = frozenset(allow)
        self._is_known = is_known
        # The names of known services wait for no others.
        self._of_known = Lookups()
        self._of_others = Lookups()
        # Hosts of which the last look-up said that there are none.
        self._missing: set[str] = set()

    async def addresses(
        self, host: str, port: int, asker: int | None = None
    ) -> Sequence[str]:
        """The addresses to connect to, checked.

        The asker is the user who has named the host, if it is only one. Raises
        PrivateAddress, or ChannelDown when the name cannot be resolved.
        """
        found = await self._look_up(host, port, asker)
        name = f"[{host}]" if ":" in host else host
        if {name, f"{name}:{port}"} & self._allow:
            return found
        public = [text for text in found if is_public(text)]
        if not public:
            raise PrivateAddress(host)
        return public

    async def _look_up(
        self, host: str, port: int, asker: int | None = None
    ) -> list[str]:
        lookups = self._of_known if self._is_known(host) else self._of_others
        keys: list[Hashable] = [_domain(host)]
        if asker is not None:
            keys.append(asker)
        look_up = partial(_resolve, host, port)
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_S):
                found = await lookups.run(keys, look_up)
        except socket.gaierror as problem:
            self._note(host, is_missing=problem.errno == socket.EAI_NONAME)
            raise ChannelDown(f"{host}: {problem}") from problem
        except TimeoutError:
            self._note(host, is_missing=False)
            raise ChannelDown(f"{host}: looking up the name takes too long") from None
        except (OSError, UnicodeError) as problem:
            raise ChannelDown(f"{host}: {problem}") from problem
        self._note(host, is_missing=False)
        return found

    def is_missing(self, host: str) -> bool:
        """Whether the last look-up said that there is no such host.

        Never while it says so of a known service: then the name server is wrong.
        """
        return host in self._missing and not any(map(self._is_known, self._missing))

    def _note(self, host: str, *, is_missing: bool) -> None:
        if len(self._missing) >= MOST_MISSING:
            self._missing.clear()
        if is_missing:
            self._missing.add(host)
        else:
            self._missing.discard(host)


def _domain(host: str) -> str:
    """The part of the name that one name server, or its owner, answers for."""
    return host if ":" in host else ".".join(host.split(".")[-2:])


def _resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # In the system's order of preference, without duplicates.
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(text: str) -> bool:
    """Whether an address is globally reachable, and means the same host everywhere."""
    address: Address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = _inner(address)
        if inner is not None:
            return is_public(str(inner))
        if address not in _IP6_IN_USE:
            return False
    return address.is_global and not address.is_multicast


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that packets to this IPv6 address are forwarded to."""
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _EMBEDDING):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return None
