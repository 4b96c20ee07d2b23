"""Bounds what one client may hold of what all clients share."""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple


class Client(NamedTuple):
    """A request's origin, as far as it can be told before it is authenticated."""

    # The client's, also behind a trusted proxy.
    address: str = ""
    # A digest of its credentials; empty without any.
    caller: str = ""
    # It has the service key, so it may take all that is free.
    is_service: bool = False
    # The address itself, for the log; the one above may be a network.
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How much all clients, those of one address, and one caller may hold."""

    total: int
    address: int
    caller: int
    # Of the total, what only the service may take.
    kept: int = 0


class Shares:
    """Counts what is held; its user sees to it that one thread calls it at a time."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._total = 0
        self._by_address: Counter[str] = Counter()
        self._by_caller: Counter[str] = Counter()

    def fits(self, client: Client, amount: int = 1) -> bool:
        bounds = self._bounds
        if client.is_service:
            return self._total + amount <= bounds.total
        return (
            self._total + amount <= bounds.total - bounds.kept
            and self._by_address[client.address] + amount <= bounds.address
            and (
                not client.caller
                or self._by_caller[client.caller] + amount <= bounds.caller
            )
        )

    def take(self, client: Client, amount: int = 1) -> None:
        self._total += amount
        # What the service holds is nobody's share: others may come from its address.
        if not client.is_service:
            self._by_address[client.address] += amount
            self._by_caller[client.caller] += amount

    def give_back(self, client: Client, amount: int = 1) -> None:
        self._total -= amount
        if not client.is_service:
            _subtract(self._by_address, client.address, amount)
            _subtract(self._by_caller, client.caller, amount)


def _subtract(counter: Counter[str], key: str, amount: int) -> None:
    counter[key] -= amount
    if counter[key] <= 0:
        del counter[key]
