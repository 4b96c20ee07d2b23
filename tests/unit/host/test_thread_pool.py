"""Threads start when they are needed, and survive failing calls."""

import threading

from host.thread_pool import ThreadPool
from tests.support.wait import until


def test_a_failure_costs_no_thread() -> None:
    threads, done = ThreadPool(1), threading.Event()

    def fail() -> None:
        raise SystemExit

    threads.run(fail)
    threads.run(done.set)

    assert done.wait(20)


def test_there_are_never_more_than_there_may_be() -> None:
    threads, go, at_work = ThreadPool(3), threading.Event(), []

    def work() -> None:
        at_work.append(threading.get_ident())
        go.wait(20)

    for _ in range(10):
        threads.run(work)
    until(lambda: len(at_work) == 3)
    go.set()
    until(lambda: len(at_work) == 10)

    assert len(set(at_work)) == 3
