"""A lane takes a few threads of the pool, and leaves the others alone."""

import threading
from functools import partial

import pytest

from host.lane import Lane
from host.shares import Bounds, Client
from host.thread_pool import ThreadPool
from tests.support.wait import until


def _hold(go: threading.Event) -> None:
    go.wait(20)


def test_calls_that_wait_leave_threads_to_others() -> None:
    threads, go, begun = ThreadPool(3), threading.Event(), []
    lane = Lane(threads, Bounds(total=2, address=2, caller=2))

    def work() -> None:
        begun.append(threading.get_ident())
        go.wait(20)

    for _ in range(10):
        lane.run(work)
    until(lambda: len(begun) == 2)
    answered = threading.Event()
    threads.run(answered.set)

    assert answered.wait(20)
    assert len(begun) == 2
    go.set()
    until(lambda: len(begun) == 10)
    assert len(set(begun)) == 2


def test_calls_run_in_their_order_after_a_failure() -> None:
    threads, seen, done = ThreadPool(2), [], threading.Event()
    lane = Lane(threads, Bounds(total=1, address=1, caller=1))

    def fail() -> None:
        raise SystemExit

    lane.run(fail)
    for number in range(100):
        lane.run(lambda number=number: seen.append(number))
    lane.run(done.set)

    assert done.wait(20)
    assert seen == list(range(100))


def test_callers_and_addresses_take_turns() -> None:
    threads, go = ThreadPool(1), threading.Event()
    seen: list[str] = []
    lane = Lane(threads, Bounds(total=1, address=1, caller=1))
    lane.run(partial(_hold, go), Client("a", "ann"))

    for number in range(3):
        for client in (Client("a", "ann"), Client("a", "bob"), Client("b", "eve")):
            name = f"{client.caller} {number}"
            lane.run(partial(seen.append, name), client)
    go.set()

    until(lambda: len(seen) == 9)
    # Eve is alone at her address, so she has every second turn.
    assert seen[:6] == ["ann 0", "eve 0", "bob 0", "eve 1", "ann 1", "eve 2"]
    assert seen[6:] == ["bob 1", "ann 2", "bob 2"]


@pytest.mark.parametrize(
    "others",
    [[Client("a", "ann")] * 9, [Client("a", str(number)) for number in range(9)]],
    ids=["a caller", "an address"],
)
def test_a_share_leaves_room(others: list[Client]) -> None:
    threads, go, answered = ThreadPool(8), threading.Event(), threading.Event()
    lane = Lane(threads, Bounds(total=6, address=4, caller=2))

    for client in others:
        lane.run(partial(_hold, go), client)
    lane.run(answered.set, Client("b", "bob"))

    assert answered.wait(20)
    go.set()


def test_the_service_takes_what_is_free() -> None:
    threads, go, answered = ThreadPool(8), threading.Event(), threading.Event()
    lane = Lane(threads, Bounds(total=4, address=2, caller=1))

    for _ in range(9):
        lane.run(partial(_hold, go), Client("a", "ann"))
    lane.run(answered.set, Client("a", "key", is_service=True))

    assert answered.wait(20)
    go.set()
