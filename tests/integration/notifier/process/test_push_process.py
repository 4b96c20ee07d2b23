"""PushProcess and the web worker that started it: neither depends on the other."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config import CPU_ANSWERS, CPU_BOTH, Settings
from datastore import Datastore
from models.pushes import PushJob
from notifier.dispatchers.process import ProcessDispatcher
from tests.support import push_processes, web_worker
from tests.support.chats import make_chat, post
from tests.support.fake_engine import FakeEngines, pushed
from tests.support.push_processes import is_alive, is_gone, owners
from tests.support.wait import until

MakeDispatcher = Callable[..., ProcessDispatcher]


@pytest.fixture
def make_dispatcher() -> Iterator[MakeDispatcher]:
    made: list[ProcessDispatcher] = []

    def make(settings: Settings) -> ProcessDispatcher:
        made.append(ProcessDispatcher(settings, FakeEngines()))
        made[-1].start()
        return made[-1]

    yield make
    for dispatcher in made:
        dispatcher.close()


def _state(store: Datastore, job_id: int) -> str:
    with store.read() as session:
        return session.get_one(PushJob, job_id).state


def _only_owner(settings: Settings) -> int:
    return until(lambda: owners(settings.run_dir))[0]


def _pid_that_pushed(settings: Settings, job_id: int) -> int:
    return until(lambda: dict(pushed(settings.run_dir)).get(job_id))


def _begin_held_job(settings: Settings, store: Datastore, dispatch) -> tuple[int, int]:
    """A job that a PushProcess holds while the file `hold` exists; and that process."""
    (settings.run_dir / "hold").touch()
    job_id = post(store, make_chat(store, 1))
    dispatch(job_id)
    until(lambda: _state(store, job_id) == "processing")
    return job_id, _only_owner(settings)


def _let_go(settings: Settings) -> None:
    (settings.run_dir / "hold").unlink()


def test_one_warm_process_takes_message_after_message(
    store: Datastore, make_settings, make_dispatcher: MakeDispatcher
) -> None:
    settings = make_settings(push_slots=2)
    dispatcher = make_dispatcher(settings)
    chat_id = make_chat(store, 1)

    pids = set()
    for _ in range(5):
        job_id = post(store, chat_id)
        dispatcher.dispatch(job_id)
        pids.add(_pid_that_pushed(settings, job_id))

    assert len(pids) == 1


@pytest.mark.parametrize(("first", "nice"), [(CPU_BOTH, 0), (CPU_ANSWERS, 5)])
def test_the_priority_of_a_process_is_the_setting_s(
    store: Datastore,
    make_settings,
    make_dispatcher: MakeDispatcher,
    first: str,
    nice: int,
) -> None:
    settings = make_settings(cpu_first=first)
    job_id = post(store, make_chat(store, 1))

    make_dispatcher(settings).dispatch(job_id)
    pid = _pid_that_pushed(settings, job_id)

    ours = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, pid) == ours + nice


def test_a_process_exits_when_it_has_lingered(
    store: Datastore, make_settings, make_dispatcher: MakeDispatcher
) -> None:
    settings = make_settings(push_linger_s=2.0)
    job_id = post(store, make_chat(store, 1))

    make_dispatcher(settings).dispatch(job_id)
    pid = _pid_that_pushed(settings, job_id)
    started = time.monotonic()
    until(lambda: is_gone(pid))

    assert time.monotonic() - started > 0.4
    assert owners(settings.run_dir) == []


def test_a_killed_process_is_replaced_and_its_jobs_do_not_wait_for_their_leases(
    store: Datastore, make_settings, make_dispatcher: MakeDispatcher
) -> None:
    settings = make_settings(lease_s=600.0)
    dispatcher = make_dispatcher(settings)
    job_id, victim = _begin_held_job(settings, store, dispatcher.dispatch)

    os.kill(victim, signal.SIGKILL)
    _let_go(settings)

    assert _pid_that_pushed(settings, job_id) != victim
    assert is_gone(victim)


def test_sigterm_gives_the_leases_and_the_slot_back(
    store: Datastore, make_settings, make_dispatcher: MakeDispatcher
) -> None:
    settings = make_settings(lease_s=600.0)
    dispatcher = make_dispatcher(settings)
    job_id, told = _begin_held_job(settings, store, dispatcher.dispatch)

    os.kill(told, signal.SIGTERM)
    until(lambda: is_gone(told))
    _let_go(settings)

    # Its host sees it exit and looks at the outbox.
    assert _pid_that_pushed(settings, job_id) != told


def test_a_process_outlives_its_killed_host(store: Datastore, make_settings) -> None:
    settings = make_settings()
    with web_worker.start(settings) as worker:
        job_id, pid = _begin_held_job(settings, store, worker.dispatch)
        worker.process.kill()
        worker.process.wait(60)

        alive_without_host = is_alive(pid)
        _let_go(settings)

        assert alive_without_host
        assert _pid_that_pushed(settings, job_id) == pid


def test_a_host_ends_at_once_and_without_its_process(
    store: Datastore, make_settings
) -> None:
    settings = make_settings()
    with web_worker.start(settings) as worker:
        job_id, pid = _begin_held_job(settings, store, worker.dispatch)

        worker.exit()
        worker.process.wait(60)
        # Its output ends too: a reader of it does not wait for the process.
        worker.process.stdout.read()

        assert is_alive(pid)
        _let_go(settings)
        assert _pid_that_pushed(settings, job_id) == pid


def test_none_of_the_hosts_descriptors_are_held(
    store: Datastore, make_settings
) -> None:
    settings = make_settings()
    with web_worker.start(settings) as worker:
        _, pid = _begin_held_job(settings, store, worker.dispatch)

        held = web_worker.socket_names(pid)
        outputs = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (1, 2)}
        fork_server = push_processes.parent(pid)
        held_by_fork_server = web_worker.socket_names(fork_server)

        assert len(worker.sockets) == 4
        assert set(worker.sockets) & set(held) == set()
        assert set(worker.sockets) & set(held_by_fork_server) == set()
        assert outputs == {f"{settings.run_dir}/push/push.log"}
        assert os.getsid(pid) == pid
        assert Path(f"/proc/{pid}/comm").read_text() == "push-process\n"


def test_the_main_module_of_the_host_is_not_run_again(
    store: Datastore, make_settings
) -> None:
    settings = make_settings()
    with web_worker.start(settings) as worker:
        job_id = post(store, make_chat(store, 1))
        worker.dispatch(job_id)
        _pid_that_pushed(settings, job_id)

        mains = (settings.run_dir / "mains").read_text().split()

        assert mains == [str(worker.process.pid)]


def test_no_zombie_stays_behind(
    store: Datastore, make_settings, make_dispatcher: MakeDispatcher
) -> None:
    settings = make_settings(push_linger_s=0.0)
    dispatcher = make_dispatcher(settings)
    chat_id = make_chat(store, 1)

    for _ in range(3):
        job_id = post(store, chat_id)
        dispatcher.dispatch(job_id)
        pid = _pid_that_pushed(settings, job_id)

        until(lambda pid=pid: is_gone(pid))


def test_work_does_not_wait_for_a_process_that_hangs(
    store: Datastore, make_settings, make_dispatcher: MakeDispatcher
) -> None:
    settings = make_settings(push_slots=2, watchdog_s=0.2)
    dispatcher = make_dispatcher(settings)
    chat_id = make_chat(store, 1)
    first_job = post(store, chat_id)
    dispatcher.dispatch(first_job)
    hanging = _pid_that_pushed(settings, first_job)
    with store.write():
        # Not while it holds the write lock, which no one else could get then.
        os.kill(hanging, signal.SIGSTOP)
        until(lambda: push_processes.state(hanging) == "T")

    job_id = post(store, chat_id)
    dispatcher.dispatch(job_id)

    assert _pid_that_pushed(settings, job_id) != hanging
