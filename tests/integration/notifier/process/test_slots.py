"""Slots: who has one, who is awake, and who died in one."""

from pathlib import Path

import pytest

from config import SettingsError
from notifier.process.slots import Slots, WakeResult


@pytest.fixture
def slots(tmp_path: Path):
    slots = Slots(tmp_path, 2)
    yield slots
    slots.close()


def _fill(slots: Slots, live: int) -> None:
    """Send until every live slot's queue is full."""
    qlen = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
    for _ in range((qlen + 1) * live):
        assert slots.wake() is WakeResult.TAKEN


def test_nobody_takes_the_news_when_no_process_is_up(slots: Slots) -> None:
    assert slots.wake() is WakeResult.NO_LISTENER
    assert slots.count_listeners() == 0


def test_the_first_process_takes_all_news(slots: Slots) -> None:
    first, second = slots.take(), slots.take()
    first_news, second_news = first.listen(), second.listen()

    answers = [slots.wake() for _ in range(3)]

    assert answers == [WakeResult.TAKEN] * 3
    assert [first_news.recv(16) for _ in range(3)] == [b"!"] * 3
    with pytest.raises(BlockingIOError):
        second_news.recv(16)
    first.stop_listening()
    second.stop_listening()


def test_news_goes_past_a_process_that_leaves_its_news_unread(slots: Slots) -> None:
    first, second = slots.take(), slots.take()
    first.listen()
    _fill(slots, live=1)
    asked_for_another = slots.wake()
    second_news = second.listen()

    answer = slots.wake()

    assert asked_for_another is WakeResult.NO_LISTENER
    assert answer is WakeResult.TAKEN
    assert second_news.recv(16) == b"!"
    first.stop_listening()
    second.stop_listening()


def test_all_slots_full_means_nothing_to_do(slots: Slots) -> None:
    owned = [slots.take(), slots.take()]
    for slot in owned:
        slot.listen()
    _fill(slots, live=2)

    answers = {slots.wake() for _ in range(1000)}

    assert answers == {WakeResult.BUSY}
    for slot in owned:
        slot.stop_listening()


def test_a_slot_has_one_owner(slots: Slots, tmp_path: Path) -> None:
    elsewhere = Slots(tmp_path, 2)

    taken = [slots.take(), elsewhere.take(), slots.take(), elsewhere.take()]

    assert [slot is not None for slot in taken] == [True, True, False, False]
    taken[0].release()
    assert elsewhere.take() is not None
    elsewhere.close()


def test_the_socket_of_a_killed_process_is_nobody_and_is_replaced(slots: Slots) -> None:
    killed = slots.take()
    # What the kernel does at a SIGKILL: all is closed, nothing is unlinked.
    killed.listen().close()
    killed.release()
    answer = slots.wake()

    successor = slots.take()
    news = successor.listen()

    assert answer is WakeResult.NO_LISTENER
    assert slots.wake() is WakeResult.TAKEN
    assert news.recv(16) == b"!"
    successor.stop_listening()


def test_a_signature_without_an_owner_is_abandoned(slots: Slots) -> None:
    killed, living = slots.take(), slots.take()
    killed.sign("host:0:dead")
    living.sign("host:0:alive")
    killed.release()

    found = []
    for slot in slots.abandoned():
        found.append(slot.owner)
        slot.clear()

    assert found == ["host:0:dead"]
    assert list(slots.abandoned()) == []


def test_a_slot_signed_off_is_not_abandoned(slots: Slots) -> None:
    slot = slots.take()
    slot.sign("host:0:gone")
    slot.clear()
    slot.release()

    assert list(slots.abandoned()) == []


def test_one_starts_a_process_at_a_time(slots: Slots, tmp_path: Path) -> None:
    elsewhere = Slots(tmp_path, 2)

    with slots.start_turn() as ours, elsewhere.start_turn() as theirs:
        pass
    with elsewhere.start_turn() as theirs_later:
        pass

    assert (ours, theirs, theirs_later) == (True, False, True)
    elsewhere.close()


def test_a_run_directory_too_deep_for_sockets_stops_the_start(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)

    with pytest.raises(SettingsError, match=r"BOTTLEPOST_RUN_DIR is .* bytes too long"):
        Slots(deep, 2)
