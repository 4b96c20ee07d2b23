"""A client's address, also behind proxies that are trusted to tell it."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any

Network = IPv4Network | IPv6Network
# What a host that listens on a Unix socket has in place of an address; whoever may
# connect to it is a proxy.
UNIX = "unix"
# The part of an IPv6 address that one client has to itself.
CLIENT_BITS = 64


class ClientAddresses:
    """Finds the address of a request's client.

    The proxies in front append to X-Forwarded-For, or to Forwarded (RFC 7239), the
    address that they see. So the list is read from its end, and what stands before the
    first address that is no trusted proxy may be invented.
    """

    def __init__(self, trusted: Sequence[str] = ()) -> None:
        self._trusts_unix = UNIX in trusted
        self._networks: list[Network] = [
            ip_network(each) for each in trusted if each != UNIX
        ]
        self._is_any = bool(trusted)
        self.is_proxy = lru_cache(4096)(self._is_proxy)

    def of_environ(self, environ: dict[str, Any]) -> str:
        """The address in a WSGI environ."""
        peer = environ.get("REMOTE_ADDR") or ""
        if not self._is_any:
            return peer
        return self.find(
            peer,
            environ.get("HTTP_X_FORWARDED_FOR", ""),
            environ.get("HTTP_FORWARDED", ""),
        )

    def find(self, peer: str, forwarded_for: str, forwarded: str) -> str:
        """The client's address; `peer` is the address of the connection."""
        if not self.is_proxy(peer):
            return peer
        found = [
            self._first_stranger(peer, chain)
            for chain in (listed(forwarded_for), _senders(forwarded))
            if chain
        ]
        # A proxy writes one of the headers, and may pass on what the client has put
        # into the other one.
        return found[0] if found and len(set(found)) == 1 else peer

    def _first_stranger(self, peer: str, chain: list[str]) -> str:
        last = peer
        for each in reversed(chain):
            address = _plain(each)
            if address is None:
                return last
            last = address
            if not self.is_proxy(address):
                break
        return last

    def hops(self, peer: str, chain: Sequence[str]) -> int:
        """How many proxies that we trust in a row have added to a list of clients."""
        if not self.is_proxy(peer):
            return 0
        count = 1
        for each in reversed(chain):
            address = _plain(each)
            if address is None or not self.is_proxy(address):
                break
            count += 1
        return count

    def _is_proxy(self, address: str) -> bool:
        """Whether an address is that of a trusted proxy."""
        if not self._is_any:
            return False
        if not address:
            return self._trusts_unix
        parsed = _parse(address)
        return parsed is not None and any(parsed in each for each in self._networks)


@lru_cache(4096)
def share_of(address: str) -> str:
    """What limits count: an IPv4 address, or the network of an IPv6 client."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, CLIENT_BITS), strict=False))
    return address


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    # A socket for both families shows IPv4 addresses as ::ffff:192.0.2.1.
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _plain(text: str) -> str | None:
    """An address without quotes, brackets and port; None if it is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    parsed = _parse(text)
    return None if parsed is None else str(parsed)


def listed(header: str | None) -> list[str]:
    """The parts of a header that is a list."""
    return [each.strip() for each in header.split(",")] if header else []


def elements(header: str) -> list[dict[str, str]]:
    """The elements of Forwarded, each with its parameters, whose quotes are removed."""
    return [
        {
            name.strip().lower(): value.strip().strip('"')
            for name, _, value in (pair.partition("=") for pair in element.split(";"))
        }
        for element in listed(header)
    ]


def _senders(header: str) -> list[str]:
    """The `for` of each element of Forwarded; empty where it is missing."""
    return [each.get("for", "") for each in elements(header)]
