"""Places for long bodies: shares of addresses and callers, and the service's own."""

import asyncio
from itertools import count

import pytest

from host.places import Places
from host.shares import Bounds, Client

PLACES = Bounds(total=6, address=3, caller=2, kept=1)
QUEUE = Bounds(total=4, address=3, caller=2)
SERVICE = Client("a", "key", is_service=True)
SOON_S = 0.01
_numbers = count()


def somebody(address: str = "", caller: str = "") -> Client:
    """A client of an address or caller of its own, unless given."""
    number = next(_numbers)
    return Client(address or f"address {number}", caller or f"caller {number}")


@pytest.fixture
def places() -> Places:
    return Places(PLACES, QUEUE)


async def count_taken(places: Places, clients: list[Client]) -> int:
    return sum([await places.take(client, SOON_S) for client in clients])


@pytest.mark.parametrize(
    ("clients", "taken"),
    [
        ([somebody() for _ in range(9)], 5),
        ([somebody(address="a") for _ in range(9)], 3),
        ([somebody(caller="x") for _ in range(9)], 2),
        ([Client("a", "") for _ in range(9)], 3),
        ([SERVICE] * 9, 6),
        ([*[somebody() for _ in range(9)], SERVICE, SERVICE], 6),
        # What the service has is not its address's share.
        ([*[SERVICE] * 2, *[somebody(address="a") for _ in range(9)]], 5),
    ],
    ids=["all", "address", "caller", "anonymous", "service", "kept", "together"],
)
async def test_each_client_gets_its_share(places, clients, taken) -> None:
    assert await count_taken(places, clients) == taken


async def test_a_place_goes_to_the_first_who_may_have_it(places) -> None:
    greedy = [somebody(address="a") for _ in range(3)]
    others = [somebody(), somebody()]
    assert await count_taken(places, [*greedy, *others]) == 5
    one_more = asyncio.create_task(places.take(somebody(address="a"), 60))
    next_one = asyncio.create_task(places.take(somebody(), 60))
    await asyncio.sleep(0)

    places.give_back(others[0])

    assert await next_one
    assert not one_more.done()
    places.give_back(greedy[0])
    assert await one_more


async def test_one_client_cannot_fill_the_queue(places) -> None:
    assert await count_taken(places, [somebody() for _ in range(5)]) == 5
    waiting = [
        asyncio.create_task(places.take(somebody(caller="x"), 60)) for _ in range(5)
    ]
    await asyncio.sleep(0)
    refused = [each for each in waiting if each.done() and not each.result()]
    patient = asyncio.create_task(places.take(somebody(), 60))
    await asyncio.sleep(0)

    assert len(refused) == 3
    assert not patient.done()
    for each in [*waiting, patient]:
        each.cancel()
    await asyncio.gather(*waiting, patient, return_exceptions=True)


async def test_who_has_waited_in_vain_leaves_nothing_behind(places) -> None:
    first = [somebody() for _ in range(5)]
    await count_taken(places, first)
    assert await count_taken(places, [somebody() for _ in range(9)]) == 0

    for client in first:
        places.give_back(client)

    assert await count_taken(places, [somebody() for _ in range(9)]) == 5
