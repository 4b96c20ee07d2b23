"""Writers of SQLite wait for a limited time, in order, and are told the truth."""

import multiprocessing
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from datastore import Datastore, write_turn
from datastore.file_lock import LockFile
from datastore.write_turn import BoundedLock, PatientLock
from models.chats import Chat
from tests.support import chats, databases, stuck_writers
from tests.support.wait import until
from tests.support.write_turns import held, is_waited_for

WAIT_S = 0.5
Write = Callable[[Datastore], None]


def add_one(session: Session) -> None:
    session.execute(text("UPDATE chat SET last_seq = last_seq + 1"))


def write_alone(store: Datastore) -> None:
    with store.write() as session:
        add_one(session)


def write_grouped(store: Datastore) -> None:
    store.write_grouped(add_one)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_turn, "WAIT_S", WAIT_S)


@pytest.fixture(params=stuck_writers.KINDS)
def stuck(request: pytest.FixtureRequest) -> Any:
    return stuck_writers.KINDS[request.param]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Datastore]:
    with databases.fresh("sqlite", tmp_path) as store:
        chats.make_chat(store, 1)
        # Its transactions are short, but the disk of a busy machine may be slow.
        yield store


@pytest.fixture
def database(tmp_path: Path, store: Datastore) -> Path:
    return tmp_path / "test.db"


def counter(store: Datastore) -> int:
    with store.read() as session:
        return session.scalars(select(Chat.last_seq)).one()


def is_free(path: Path) -> bool:
    other = LockFile(path)
    found = other.try_lock()
    other.close()
    return found


@pytest.mark.parametrize("write", [write_alone, write_grouped])
def test_each_of_many_writers_gives_up_in_time(
    store: Datastore, database: Path, stuck: Any, write: Write
) -> None:
    write(store)
    started = time.monotonic()
    with stuck(database), ThreadPoolExecutor(12) as threads:
        found = [threads.submit(write, store) for _ in range(12)]
        problems = [each.exception(60) for each in found]
        took_s = time.monotonic() - started
        # A reader waits for none of them.
        assert counter(store) == 1
    write(store)

    assert all(isinstance(problem, OperationalError) for problem in problems)
    assert took_s < 20 * WAIT_S
    assert counter(store) == 2


@pytest.mark.parametrize("write", [write_alone, write_grouped])
def test_a_writer_that_gave_up_writes_nothing_later(
    store: Datastore, database: Path, stuck: Any, write: Write
) -> None:
    with ThreadPoolExecutor(12) as threads:
        with stuck(database):
            refused = threads.submit(write, store)
            refused.exception(60)
            found = [threads.submit(write, store) for _ in range(11)]
        written = [each.exception(60) is None for each in found]
    until(lambda: is_free(Path(f"{database}.lock")))

    assert isinstance(refused.exception(), OperationalError)
    assert counter(store) == sum(written)


def test_the_turn_goes_on_when_every_writer_has_given_up(
    store: Datastore, database: Path
) -> None:
    with stuck_writers.stopped_process(database), pytest.raises(OperationalError):
        write_grouped(store)
    until(lambda: is_free(Path(f"{database}.lock")))

    write_grouped(store)
    assert counter(store) == 1


def test_writers_wait_for_a_shorter_time_once_one_has_waited_in_vain(
    store: Datastore, database: Path, stuck: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stuck(database):
        with pytest.raises(OperationalError):
            write_grouped(store)
        monkeypatch.setattr(write_turn, "WAIT_S", 600.0)
        for write in (write_alone, write_grouped):
            with pytest.raises(OperationalError):
                write(store)
    until(lambda: is_free(Path(f"{database}.lock")))
    write_grouped(store)

    lock = BoundedLock(f"{database}.lock")
    deadline = lock.deadline()
    assert deadline is not None
    assert deadline > time.monotonic() + 60


def test_an_engine_waits_as_long_as_it_takes(store: Datastore, database: Path) -> None:
    engines = Datastore(store.url.render_as_string(), durable=False)
    with ThreadPoolExecutor(1) as threads:
        with stuck_writers.stopped_process(database):
            found = threads.submit(write_alone, engines)
            with pytest.raises(OperationalError):
                write_alone(store)
            assert not found.done()
        assert found.exception(60) is None
    engines.close()


def test_a_patient_writer_waits_among_those_that_give_up(
    store: Datastore, database: Path
) -> None:
    def write_patiently() -> None:
        with store.write(patient=True) as session:
            add_one(session)

    with ThreadPoolExecutor(2) as threads:
        with stuck_writers.stopped_process(database):
            found = threads.submit(write_patiently)
            with pytest.raises(OperationalError):
                write_alone(store)
            assert not found.done()
        assert found.exception(60) is None
    assert counter(store) == 1


def test_a_child_forked_while_writers_wait_has_turns_of_its_own(
    store: Datastore, database: Path
) -> None:
    fork = multiprocessing.get_context("fork")
    with ThreadPoolExecutor(2) as threads:
        with stuck_writers.stopped_process(database):
            found = threads.submit(store.write_grouped, add_one)
            until(lambda: is_waited_for(Path(f"{database}.lock")))
            child = fork.Process(target=write_when_free, args=(store,))
            child.start()
        written = found.exception(60) is None
        child.join(60)

    assert child.exitcode == 0
    assert counter(store) == 1 + written


def write_when_free(store: Datastore) -> None:
    with store.write(patient=True) as session:
        add_one(session)


def test_a_closed_lock_lets_its_writers_and_its_thread_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    ours, others = BoundedLock(str(path)), PatientLock(str(path))
    # Stores of other tests may have a thread, too.
    before = set(threading.enumerate())
    with ThreadPoolExecutor(1) as threads, held(others):
        waiting = threads.submit(ours.acquire, None)
        until(lambda: is_waited_for(path))
        own = set(threading.enumerate()) - before
        ours.close()
        assert isinstance(waiting.exception(60), OperationalError)
    others.close()

    until(lambda: not any(t.is_alive() for t in own if t.name == "write-turn"))
    assert is_free(path)


def hammer(url: str, wait_s: float, times: int, done: Any) -> None:
    """Several threads write, and many give up; tells how many writes there were."""
    write_turn.WAIT_S = write_turn.WAIT_WHILE_STUCK_S = wait_s
    store = Datastore(url)

    def work(number: int) -> int:
        write = write_alone if number % 4 == 0 else write_grouped
        written = 0
        for _ in range(times):
            try:
                write(store)
            except OperationalError:
                continue
            written += 1
        return written

    with ThreadPoolExecutor(8) as threads:
        done.put((os.getpid(), sum(threads.map(work, range(8)))))
    store.close()


@pytest.mark.parametrize("wait_s", [0.0005, 0.002, 0.01])
def test_every_writer_is_told_whether_it_has_written(
    store: Datastore, wait_s: float
) -> None:
    spawn = multiprocessing.get_context("forkserver")
    done = spawn.Queue()
    url = store.url.render_as_string()
    children = [
        spawn.Process(target=hammer, args=(url, wait_s, 60, done)) for _ in range(2)
    ]
    for child in children:
        child.start()
    written = sum(done.get(timeout=120)[1] for _ in children)
    for child in children:
        child.join(60)

    assert counter(store) == written


def test_a_turn_that_comes_just_when_its_writer_gives_up_goes_on(
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "lock")
    locks = [BoundedLock(path), BoundedLock(path)]
    busy: list[int] = []
    given_up: list[int] = []

    def work(number: int) -> None:
        chance = random.Random(number)
        for _ in range(400):
            try:
                with held(locks[number % 2], time.monotonic() + chance.random() / 2000):
                    busy.append(number)
                    assert busy == [number]
                    time.sleep(chance.random() / 5000)
                    busy.clear()
            except OperationalError:
                given_up.append(number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))

    assert 0 < len(given_up) < 8 * 400
    for lock in locks:
        with held(lock, time.monotonic() + 60):
            pass
        lock.close()


def take_turns(path: str, threads: int, start: Any, done: Any) -> None:
    """Take turns until they are over, and tell their times."""
    lock = BoundedLock(path)
    write_turn.WAIT_S = 600.0
    turns: list[tuple[float, int]] = []

    def work(_: int) -> None:
        for _ in range(300 // threads):
            with held(lock, lock.deadline()):
                turns.append((time.monotonic(), os.getpid()))
                # As long as a commit takes.
                time.sleep(0.0005)

    start.wait(60)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    done.put(turns)


@pytest.mark.parametrize("threads", [1, 6])
def test_processes_take_turns(tmp_path: Path, threads: int) -> None:
    """Neither gets far ahead of the other while both want to write."""
    spawn = multiprocessing.get_context("forkserver")
    done, start = spawn.Queue(), spawn.Barrier(2)
    arguments = (str(tmp_path / "lock"), threads, start, done)
    children = [spawn.Process(target=take_turns, args=arguments) for _ in range(2)]
    for child in children:
        child.start()
    turns = [done.get(timeout=120) for _ in children]
    for child in children:
        child.join(60)

    first_end = min(max(turns[0])[0], max(turns[1])[0])
    behind = min(sum(at <= first_end for at, _ in each) for each in turns)
    assert behind > 100
