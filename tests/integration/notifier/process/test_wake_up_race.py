"""No wake-up is lost, at whatever step of a PushProcess it arrives.

The watchdog would find the work in the end, but in these tests there is none.
"""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from config import Settings
from datastore import Datastore
from notifier.process.push_process import PushProcess
from notifier.process.slots import Slots, WakeResult
from notifier.process.starter import Starter
from tests.support.chats import make_chat, post
from tests.support.fake_engine import FakeEngines, pushed
from tests.support.push_processes import PausingProcess, is_gone
from tests.support.wait import until

STEPS_OUT = ("close_socket", "release", "last_look")


def _pid_that_pushed(settings: Settings, job_id: int) -> int | None:
    return dict(pushed(settings.run_dir)).get(job_id)


@contextmanager
def _starting(settings: Settings) -> Iterator[tuple[Slots, Starter]]:
    slots = Slots(settings.run_dir, settings.push_slots)
    starter = Starter(
        slots, lambda: PushProcess(settings, FakeEngines()), on_exit=lambda: None
    )
    yield slots, starter
    starter.close()
    slots.close()


@pytest.mark.parametrize("step", STEPS_OUT)
def test_a_wake_up_during_the_exit_is_covered_by_the_last_look(
    step: str, store: Datastore, make_settings
) -> None:
    settings = make_settings(push_linger_s=0.0)
    slots = Slots(settings.run_dir, 1)
    leaving = PausingProcess(settings, FakeEngines(), step)
    leaving.start()
    leaving.wait_until_there()

    job_id = post(store, make_chat(store, 1))
    taken = slots.wake() is WakeResult.TAKEN
    leaving.go()

    pid = until(lambda: _pid_that_pushed(settings, job_id))
    assert pid == leaving.pid
    # Senders believe that it has the wake-up only while its socket is open.
    assert taken == (step == "close_socket")


@pytest.mark.parametrize("step", ["open_socket", "close_socket", "release"])
def test_a_process_without_a_slot_leaves_the_work_to_the_owner(
    step: str, store: Datastore, make_settings
) -> None:
    settings = make_settings(push_linger_s=0.0)
    owner = PausingProcess(settings, FakeEngines(), step)
    owner.start()
    owner.wait_until_there()

    job_id = post(store, make_chat(store, 1))
    second = PushProcess(settings, FakeEngines())
    second.start()
    second.join(60)
    pushed_by_second = _pid_that_pushed(settings, job_id)
    owner.go()

    assert second.exitcode == 0
    assert pushed_by_second is None
    assert until(lambda: _pid_that_pushed(settings, job_id)) == owner.pid


@pytest.mark.parametrize("step", ["last_look", "exit"])
def test_a_released_slot_serves_the_next_process(
    step: str, store: Datastore, make_settings
) -> None:
    settings = make_settings(push_linger_s=0.0)
    leaving = PausingProcess(settings, FakeEngines(), step)
    leaving.start()
    leaving.wait_until_there()

    job_id = post(store, make_chat(store, 1))
    with _starting(settings) as (slots, starter):
        answer = slots.wake()
        starter.request_start()
        pid = until(lambda: _pid_that_pushed(settings, job_id))
    leaving.go()
    leaving.join(60)

    assert answer is WakeResult.NO_LISTENER
    assert pid != leaving.pid
    assert leaving.exitcode == 0


@pytest.mark.parametrize("slots_count", [1, 2])
def test_no_wake_up_is_lost_while_processes_come_and_go(
    slots_count: int, store: Datastore, make_settings
) -> None:
    settings = make_settings(push_linger_s=0.004, push_slots=slots_count)
    chat_id = make_chat(store, 1)
    clock = threading.Event()

    with _starting(settings) as (slots, starter):
        for number in range(30):
            job_id = post(store, chat_id)
            if slots.wake() is WakeResult.NO_LISTENER:
                starter.request_start()
            pid = until(lambda job=job_id: _pid_that_pushed(settings, job))
            if number % 4 == 3:
                # On a busy machine no process would exit between two messages.
                until(lambda pid=pid: is_gone(pid))
            else:
                # Aims the next one at the moment when the process decides to exit.
                clock.wait(random.uniform(0.002, 0.012))

    pids = {pid for _, pid in pushed(settings.run_dir)}
    assert len(pids) > 5, "the race was not met: processes hardly came and went"
    until(lambda: all(is_gone(pid) for pid in pids))
