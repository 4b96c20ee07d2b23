"""Unanswered pushes: later ones to the same device wait, and keep their order."""

import asyncio

import pytest

from notifier.engine import stragglers
from notifier.engine.stragglers import UnansweredPush


@pytest.fixture(autouse=True)
def _short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stragglers, "SILENCE_S", 0.05)


async def _send_behind(before, push, number: int, sent: list[int]) -> None:
    await before.wait()
    push.sent_behind(before)
    sent.append(number)


async def test_a_push_that_is_not_sent_yet_is_waited_for_beyond_the_silence() -> None:
    first = UnansweredPush(bool, is_sent=True)
    second = UnansweredPush(bool, is_sent=False)

    waiting = asyncio.create_task(second.wait())
    done, _ = await asyncio.wait([waiting], timeout=0.1)
    assert not done
    second.sent_behind(first)

    async with asyncio.timeout(30):
        await waiting


async def test_pushes_that_wait_for_one_silence_are_sent_in_order() -> None:
    pushes = [UnansweredPush(bool, is_sent=not number) for number in range(50)]
    sent: list[int] = []

    # The last ones begin to wait first.
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for number in reversed(range(1, 50)):
            before, push = pushes[number - 1 : number + 1]
            group.create_task(_send_behind(before, push, number, sent))

    assert sent == list(range(1, 50))


async def test_a_push_that_was_given_up_holds_up_nothing() -> None:
    never_sent = UnansweredPush(bool, is_sent=False)

    never_sent.end()

    async with asyncio.timeout(30):
        await never_sent.wait()


class Channel:
    """Waits for a provider token until it is told otherwise."""

    def __init__(self) -> None:
        self.awaits_token = True


@pytest.mark.parametrize("is_held_back", [False, True])
async def test_the_silence_begins_when_the_provider_token_is_there(
    is_held_back: bool,
) -> None:
    channel = Channel()
    before = UnansweredPush(bool, is_sent=True)
    push = UnansweredPush(lambda: channel.awaits_token, is_sent=not is_held_back)
    if is_held_back:
        push.sent_behind(before)

    waiting = asyncio.create_task(push.wait())
    done, _ = await asyncio.wait([waiting], timeout=10 * stragglers.SILENCE_S)
    assert not done
    channel.awaits_token = False
    has_token_at = asyncio.get_running_loop().time()

    async with asyncio.timeout(30):
        await waiting
    silence_s = asyncio.get_running_loop().time() - has_token_at
    assert silence_s >= stragglers.SILENCE_S
