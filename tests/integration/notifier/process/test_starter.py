"""The number of started PushProcesses, and the pauses between starts."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config import Settings
from datastore import Datastore
from notifier.dispatchers.process import ProcessDispatcher
from notifier.process.push_process import PushProcess
from notifier.process.slots import Slots, WakeResult
from notifier.process.starter import Starter
from tests.support import web_worker
from tests.support.chats import make_chat, post
from tests.support.fake_engine import CrashingEngines, FakeEngines, pushed
from tests.support.push_processes import is_gone, owners
from tests.support.wait import until


@contextmanager
def _dispatching(settings: Settings, build) -> Iterator[ProcessDispatcher]:
    dispatcher = ProcessDispatcher(settings, build)
    dispatcher.start()
    yield dispatcher
    dispatcher.close()


def _jobs_pushed(settings: Settings) -> set[int]:
    return {job_id for job_id, _ in pushed(settings.run_dir)}


def test_a_storm_of_wake_ups_starts_no_more_processes_than_slots(
    store: Datastore, make_settings
) -> None:
    settings = make_settings(push_slots=3)
    chat_id = make_chat(store, 1)
    jobs = {post(store, chat_id) for _ in range(50)}
    slots = Slots(settings.run_dir, 3)
    started: list[PushProcess] = []

    def make() -> PushProcess:
        started.append(PushProcess(settings, FakeEngines()))
        return started[-1]

    starter = Starter(slots, make, on_exit=lambda: None)

    def send() -> None:
        for _ in range(100):
            if slots.wake() is WakeResult.NO_LISTENER:
                starter.request_start()

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: _jobs_pushed(settings) == jobs)
    starter.close()
    slots.close()

    assert 1 <= len(started) <= 3


def test_web_workers_that_start_together_start_one_process(
    store: Datastore, make_settings
) -> None:
    settings = make_settings(push_slots=4)
    chat_id = make_chat(store, 1)
    with web_worker.start(settings) as one, web_worker.start(settings) as another:
        jobs = {post(store, chat_id) for _ in range(2)}

        for worker, job_id in zip((one, another), sorted(jobs), strict=True):
            worker.dispatch(job_id)
        until(lambda: _jobs_pushed(settings) == jobs)

        assert len(owners(settings.run_dir)) == 1


def test_another_process_starts_when_the_first_has_no_room(
    store: Datastore, make_settings
) -> None:
    settings = make_settings(push_slots=2)
    (settings.run_dir / "hold").touch()
    chats = [make_chat(store, 1) for _ in range(3)]
    with _dispatching(settings, FakeEngines(room=1)) as dispatcher:
        jobs = {post(store, chat_id) for chat_id in chats}

        def two_are_up() -> bool:
            # A full process does not read its socket, so its queue fills up as well.
            dispatcher.dispatch(min(jobs))
            return len(owners(settings.run_dir)) == 2

        until(two_are_up)
        (settings.run_dir / "hold").unlink()

        until(lambda: _jobs_pushed(settings) == jobs)


def test_a_process_that_cannot_run_is_tried_again_and_again_more_slowly(
    store: Datastore, make_settings
) -> None:
    settings = make_settings()
    with _dispatching(settings, CrashingEngines()) as dispatcher:
        job_id = post(store, make_chat(store, 1))
        crashes = Path(settings.run_dir / "crashes")

        dispatcher.dispatch(job_id)
        until(lambda: crashes.exists() and crashes.read_text().count("\n") >= 3)
        (settings.run_dir / "healed").touch()
        until(lambda: _jobs_pushed(settings) == {job_id})

        _, second, third, *_ = map(float, crashes.read_text().split())
        assert third - second > 0.4


def test_without_slots_every_message_has_a_process_of_its_own(
    store: Datastore, make_settings
) -> None:
    settings = make_settings(push_slots=0)
    with _dispatching(settings, FakeEngines()) as dispatcher:
        chat_id = make_chat(store, 1)

        for count in (1, 2, 3):
            dispatcher.dispatch(post(store, chat_id))
            until(lambda count=count: len(_jobs_pushed(settings)) == count)
            pids = {pid for _, pid in pushed(settings.run_dir)}
            # A process that is slow to exit may see the next job, too.
            until(lambda pids=pids: all(is_gone(pid) for pid in pids))

        assert len(pids) == 3


def test_dispatch_takes_microseconds(store: Datastore, make_settings) -> None:
    settings = make_settings(push_slots=2)
    with _dispatching(settings, FakeEngines()) as dispatcher:
        job_id = post(store, make_chat(store, 1))
        dispatcher.dispatch(job_id)
        until(lambda: _jobs_pushed(settings) == {job_id})

        took = []
        for _ in range(500):
            started = time.perf_counter()
            dispatcher.dispatch(job_id)
            took.append(time.perf_counter() - started)

        assert sorted(took)[250] < 0.003


def test_dispatch_does_not_raise_and_recovers_when_the_run_directory_is_lost(
    store: Datastore, make_settings
) -> None:
    settings = make_settings()
    with _dispatching(settings, FakeEngines()) as dispatcher:
        place = settings.run_dir / "push"
        until(lambda: not place.exists() or not any(place.iterdir()))
        place.mkdir(exist_ok=True)
        place.rmdir()
        # No directory can be made here.
        place.touch()
        job_id = post(store, make_chat(store, 1))

        dispatcher.dispatch(job_id)
        place.unlink()
        dispatcher.dispatch(job_id)

        until(lambda: _jobs_pushed(settings) == {job_id})
