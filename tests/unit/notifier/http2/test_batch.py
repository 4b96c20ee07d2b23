"""Batches, and the queue that serves them round robin."""

import asyncio

import pytest

from notifier.http2 import Head, Request, Response
from notifier.http2.batch import MAX_RESENDS, Batch, Queue
from notifier.outcome import ChannelDown

OK = Response(200, (), b"")


def _batch(queue: Queue, count: int, answered: list[int] | None = None) -> Batch:
    recorded = answered if answered is not None else []
    requests = [Request(b"x", b"/")] * count
    batch = Batch(Head(headers=()), requests, lambda i, _: recorded.append(i), queue)
    queue.put(batch)
    return batch


async def test_batches_take_turns():
    queue = Queue(lambda: None)
    large, small = _batch(queue, 5), _batch(queue, 2)
    turns = []

    while (batch := queue.first()) is not None:
        batch.take(2)
        turns.append(batch)
        queue.rotate()

    assert turns == [large, small, large, large]


async def test_a_batch_is_done_when_its_last_request_is_answered():
    answered: list[int] = []
    batch = _batch(Queue(lambda: None), 3, answered)

    for index in reversed(batch.take(3)):
        assert not batch.done.done()
        batch.answer(index, OK)

    await batch.done
    assert answered == [2, 1, 0]


async def test_the_caller_gets_the_first_fault():
    batch = _batch(Queue(lambda: None), 3)
    batch.take(3)

    batch.fail(1, ChannelDown("first"))
    batch.fail(1, ChannelDown("second"))
    batch.answer(2, OK)

    with pytest.raises(ChannelDown, match="first"):
        await batch.done


async def test_a_requeued_request_is_taken_first():
    woken: list[bool] = []
    queue = Queue(lambda: woken.append(True))
    batch = _batch(queue, 4)
    batch.take(3)
    woken.clear()

    batch.requeue(1, "refused")

    assert woken == [True]
    assert batch.waiting == 2
    assert [list(batch.take(1)), list(batch.take(9))] == [[1], [3]]


async def test_a_request_that_is_always_requeued_fails():
    batch = _batch(Queue(lambda: None), 1)

    for _ in range(MAX_RESENDS + 1):
        (index,) = batch.take(1)
        batch.requeue(index, "refused")

    with pytest.raises(ChannelDown, match="refused"):
        await batch.done


async def test_failing_waiting_requests_leaves_open_ones():
    answered: list[int] = []
    batch = _batch(Queue(lambda: None), 5, answered)
    batch.take(2)

    batch.fail_waiting(ChannelDown("no way"))
    batch.answer(0, OK)
    batch.answer(1, OK)

    with pytest.raises(ChannelDown, match="no way"):
        await batch.done
    assert answered == [0, 1]


async def test_a_cancelled_batch_has_nothing_waiting_and_takes_no_answers():
    answered: list[int] = []
    queue = Queue(lambda: None)
    batch = _batch(queue, 2, answered)
    batch.take(1)

    batch.done.cancel()
    batch.answer(0, OK)

    assert answered == []
    assert queue.first() is None


async def test_a_batch_from_which_nothing_is_taken_fails():
    queue = Queue(lambda: None)
    stuck, moving = _batch(queue, 1), _batch(queue, 100)

    for _ in range(4):
        moving.take(1)
        queue.tick(3, ChannelDown("stuck"))

    assert stuck.done.done()
    assert not moving.done.done()
    assert isinstance(stuck.done.exception(), ChannelDown)
    await asyncio.sleep(0)
