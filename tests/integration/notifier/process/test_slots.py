"""Slots: their locks, their sockets, and owners that were killed."""

from pathlib import Path

import pytest

from config import SettingsError
from notifier.engine import ANY_JOB
from notifier.process.slots import LONGEST_WAKE_UP, Slots, WakeResult, job_of


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


def test_no_wake_up_is_taken_when_no_process_is_up(slots: Slots) -> None:
    assert slots.wake() is WakeResult.NO_LISTENER
    assert slots.count_listeners() == 0


def test_the_first_process_takes_all_wake_ups(slots: Slots) -> None:
    first, second = slots.take(), slots.take()
    first_socket, second_socket = first.open_socket(), second.open_socket()

    answers = [slots.wake() for _ in range(3)]

    assert answers == [WakeResult.TAKEN] * 3
    assert [first_socket.recv(16) for _ in range(3)] == [b"!"] * 3
    with pytest.raises(BlockingIOError):
        second_socket.recv(16)
    first.close_socket()
    second.close_socket()


def test_a_wake_up_skips_a_process_whose_queue_is_full(slots: Slots) -> None:
    first, second = slots.take(), slots.take()
    first.open_socket()
    _fill(slots, live=1)
    without_room = slots.wake()
    second_socket = second.open_socket()

    answer = slots.wake()

    assert without_room is WakeResult.NO_LISTENER
    assert answer is WakeResult.TAKEN
    assert second_socket.recv(16) == b"!"
    first.close_socket()
    second.close_socket()


def test_all_slots_full_means_nothing_to_do(slots: Slots) -> None:
    owned = [slots.take(), slots.take()]
    for slot in owned:
        slot.open_socket()
    _fill(slots, live=2)

    answers = {slots.wake() for _ in range(1000)}

    assert answers == {WakeResult.BUSY}
    for slot in owned:
        slot.close_socket()


def test_a_slot_has_one_owner(slots: Slots, tmp_path: Path) -> None:
    elsewhere = Slots(tmp_path, 2)

    taken = [slots.take(), elsewhere.take(), slots.take(), elsewhere.take()]

    assert [slot is not None for slot in taken] == [True, True, False, False]
    taken[0].release()
    assert elsewhere.take() is not None
    elsewhere.close()


def test_the_socket_of_a_killed_process_takes_nothing_and_is_replaced(
    slots: Slots,
) -> None:
    killed = slots.take()
    # As after a SIGKILL: the kernel closes everything and unlinks nothing.
    killed.open_socket().close()
    killed.unlock()
    answer = slots.wake()

    successor = slots.take()
    successor_socket = successor.open_socket()

    assert answer is WakeResult.NO_LISTENER
    assert slots.wake() is WakeResult.TAKEN
    assert successor_socket.recv(16) == b"!"
    successor.close_socket()


def test_a_recorded_owner_without_the_lock_makes_a_slot_stale(slots: Slots) -> None:
    killed, living = slots.take(), slots.take()
    killed.set_owner("host:0:dead")
    living.set_owner("host:0:alive")
    killed.unlock()

    found = []
    for slot in slots.stale():
        found.append(slot.owner)
        slot.clear_owner()

    assert found == ["host:0:dead"]
    assert list(slots.stale()) == []


def test_a_released_slot_is_not_stale(slots: Slots) -> None:
    slot = slots.take()
    slot.set_owner("host:0:gone")
    slot.release()

    assert list(slots.stale()) == []


@pytest.mark.parametrize(
    "recorded",
    [b"\0" * 30, b"\xff\xfe garbage", b"host:12", b"\0host:1:a", b"x" * 5000, b"\n"],
)
def test_bytes_that_are_no_name_count_as_no_owner(
    recorded: bytes, slots: Slots, tmp_path: Path
) -> None:
    (tmp_path / "push").mkdir()
    (tmp_path / "push" / "slot-0.lock").write_bytes(recorded)

    slot = slots.take()

    assert slot.owner is None
    slot.set_owner("host:1:new")
    assert slot.owner == "host:1:new"
    slot.release()


def test_one_process_is_started_at_a_time(slots: Slots, tmp_path: Path) -> None:
    elsewhere = Slots(tmp_path, 2)

    with slots.try_start_lock() as ours, elsewhere.try_start_lock() as theirs:
        pass
    with elsewhere.try_start_lock() as theirs_later:
        pass

    assert (ours, theirs, theirs_later) == (True, False, True)
    elsewhere.close()


def test_a_run_directory_too_deep_for_sockets_stops_the_start(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)

    with pytest.raises(SettingsError, match=r"BOTTLEPOST_RUN_DIR is .* bytes too long"):
        Slots(deep, 2)


def test_a_wake_up_names_its_job(slots: Slots) -> None:
    slot = slots.take()
    receiver = slot.open_socket()

    slots.wake(2**63 - 1)
    slots.wake()

    wake_ups = [receiver.recv(LONGEST_WAKE_UP) for _ in range(2)]
    assert [job_of(wake_up) for wake_up in wake_ups] == [2**63 - 1, ANY_JOB]
    slot.close_socket()
