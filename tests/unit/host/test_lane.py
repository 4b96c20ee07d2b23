"""A lane takes a few threads of the pool, and leaves the others alone."""

import threading

from host.lane import Lane
from host.thread_pool import ThreadPool
from tests.support.wait import until


def test_calls_that_wait_leave_threads_to_others() -> None:
    threads, go, begun = ThreadPool(3), threading.Event(), []
    lane = Lane(threads, 2)

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
    lane = Lane(threads, 1)

    def fail() -> None:
        raise SystemExit

    lane.run(fail)
    for number in range(100):
        lane.run(lambda number=number: seen.append(number))
    lane.run(done.set)

    assert done.wait(20)
    assert seen == list(range(100))
