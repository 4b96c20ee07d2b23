"""The watchdog finds work whose wake-up was lost."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from config import Settings
from datastore import Datastore, deletions
from datastore.hashes import sha256
from datastore.migrations import upgrade
from datastore.outbox import claims, due_work
from models.accounts import Device
from models.base import utc_now
from models.chats import Message
from models.deletions import UserDeletion
from models.pushes import PushFailure, PushJob
from notifier.process.phones import Phones
from notifier.process.slots import Slots
from notifier.process.watchdog import Watchdog
from tests.support.chats import make_chat, post
from tests.support.wait import until


class WakeCounter:
    """Counts the calls of `on_due`."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.event = threading.Event()

    def __call__(self) -> None:
        self.times.append(time.monotonic())
        self.event.set()


@contextmanager
def _watching(
    settings: Settings, on_due: Callable[[], None], **more
) -> Iterator[Watchdog]:
    watchdog = Watchdog(settings, on_due, **more)
    yield watchdog
    watchdog.close()


def test_work_that_waits_at_the_start_is_found_at_once(
    store: Datastore, make_settings
) -> None:
    post(store, make_chat(store, 1))
    woken = WakeCounter()

    with _watching(make_settings(), woken):
        assert woken.event.wait(60)


def test_without_work_nothing_is_woken(store: Datastore, make_settings) -> None:
    woken = WakeCounter()

    with _watching(make_settings(watchdog_s=0.02), woken):
        assert not woken.event.wait(0.3)


def test_it_does_not_oversleep_what_is_due_before_its_next_round(
    store: Datastore, make_settings
) -> None:
    chat_id = make_chat(store, 1)
    woken = WakeCounter()
    started = time.monotonic()
    post(store, chat_id, delay_s=0.4)

    with _watching(make_settings(watchdog_s=3600.0), woken):
        assert woken.event.wait(60)

    assert woken.times[0] - started > 0.2


def test_it_goes_on_asking_while_work_stays_due(
    store: Datastore, make_settings
) -> None:
    post(store, make_chat(store, 1))
    woken = WakeCounter()

    with _watching(make_settings(watchdog_s=0.02), woken):
        until(lambda: len(woken.times) >= 3)


def test_work_that_is_still_due_after_a_round_is_overdue(
    store: Datastore, make_settings
) -> None:
    post(store, make_chat(store, 1), delay_s=-60)
    woken, overdue = WakeCounter(), WakeCounter()

    with _watching(make_settings(watchdog_s=0.05), woken, on_overdue=overdue):
        assert overdue.event.wait(60)

    # At the first look no process has had the chance to take it.
    assert len(woken.times) == 1
    assert woken.times[0] < overdue.times[0]


def test_check_now_does_not_wait_for_the_next_round(
    store: Datastore, make_settings
) -> None:
    woken = WakeCounter()
    with _watching(make_settings(watchdog_s=3600.0), woken) as watchdog:
        post(store, make_chat(store, 1))

        watchdog.check_now()

        assert woken.event.wait(60)


def test_a_database_error_is_logged_once_and_the_database_asked_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, make_settings
) -> None:
    later = tmp_path / "later.db"
    settings = make_settings(database_url=f"sqlite:///{later}", watchdog_s=0.02)
    woken = WakeCounter()

    with caplog.at_level(logging.ERROR), _watching(settings, woken):
        until(lambda: "no such table" in caplog.text)
        # Several rounds pass until this is done.
        store = Datastore(settings.database_url)
        upgrade(store)
        post(store, make_chat(store, 1))
        assert woken.event.wait(60)
        store.close()

    assert caplog.text.count("cannot look at the outbox") == 1


def test_it_survives_a_wake_up_that_raises(store: Datastore, make_settings) -> None:
    post(store, make_chat(store, 1))
    woken = WakeCounter()

    def fail() -> None:
        woken()
        raise RuntimeError("the wake-up fails")

    with _watching(make_settings(watchdog_s=0.02), fail):
        until(lambda: len(woken.times) >= 2)


def test_jobs_of_a_killed_process_are_due_before_their_lease_ends(
    store: Datastore, make_settings
) -> None:
    settings = make_settings(push_slots=2)
    slots = Slots(settings.run_dir, 2)
    owner = "host:0:dead"
    slot = slots.take()
    slot.set_owner(owner)
    slot.unlock()
    post(store, make_chat(store, 1))
    now = utc_now()
    with store.write() as session:
        lease_until = now + timedelta(hours=1)
        claims.claim(session, owner, limit=1, now=now, lease_until=lease_until)
    woken = WakeCounter()

    with _watching(settings, woken, slots=slots):
        assert woken.event.wait(60)

    assert list(slots.stale()) == []
    slots.close()


@pytest.mark.parametrize("recorded", [bytes(40), b"\xff\xfe\xfd", b"no name"])
def test_bytes_that_are_no_name_are_cleared_and_work_is_found(
    recorded: bytes, store: Datastore, make_settings
) -> None:
    settings = make_settings(push_slots=2)
    slots = Slots(settings.run_dir, 2)
    lock = settings.run_dir / "push" / "slot-1.lock"
    lock.parent.mkdir()
    lock.write_bytes(recorded)
    post(store, make_chat(store, 1))
    woken = WakeCounter()

    with _watching(settings, woken, slots=slots):
        assert woken.event.wait(60)
        until(lambda: not lock.stat().st_size)

    slots.close()


def test_work_is_found_although_the_slots_cannot_be_read(
    store: Datastore, make_settings
) -> None:
    settings = make_settings(push_slots=1, watchdog_s=0.02)
    slots = Slots(settings.run_dir, 1)
    # A directory in the place of the lock file.
    lock = settings.run_dir / "push" / "slot-0.lock"
    (lock / "x").mkdir(parents=True)
    post(store, make_chat(store, 1))
    woken = WakeCounter()

    with _watching(settings, woken, slots=slots):
        until(lambda: len(woken.times) >= 2)

    slots.close()
    (lock / "x").rmdir()
    lock.rmdir()


def test_a_lease_given_while_a_clock_was_ahead_does_not_last(
    store: Datastore, make_settings
) -> None:
    post(store, make_chat(store, 1))
    ahead = utc_now() + timedelta(hours=1)
    with store.write() as session:
        lease_until = ahead + timedelta(seconds=30)
        claims.claim(
            session, "host:0:ahead", limit=1, now=ahead, lease_until=lease_until
        )
    woken = WakeCounter()

    with _watching(make_settings(lease_s=30.0), woken):
        assert woken.event.wait(60)

    with store.read() as session:
        assert due_work.next_due(session).at_once is not None


def _put_off(store: Datastore, until: datetime, **values: Any) -> int:
    """A job whose push waits for another try until then."""
    job_id = post(store, make_chat(store, 1))
    with store.write() as session:
        of_job = update(PushJob).where(PushJob.id == job_id)
        session.execute(of_job.values({"due_at": until, "attempts": 1} | values))
        session.add(
            PushFailure(
                job_id=job_id,
                device_id=1,
                outcome="later",
                reason="503",
                attempts=1,
                next_attempt_at=until,
            )
        )
    return job_id


def test_a_retry_planned_while_a_clock_was_ahead_comes_now(
    store: Datastore, make_settings
) -> None:
    job_id = _put_off(store, utc_now() + timedelta(days=1))
    woken = WakeCounter()

    with _watching(make_settings(), woken):
        assert woken.event.wait(60)

    with store.read() as session:
        job = session.get_one(PushJob, job_id)
        retry = session.get_one(PushFailure, (job_id, 1))
    assert job.due_at is not None
    assert retry.next_attempt_at is not None
    assert max(job.due_at, retry.next_attempt_at) <= utc_now()


@pytest.mark.parametrize(
    ("hours", "values"),
    [
        # A provider may ask for an hour, and the jitter is another one.
        (1.95, {}),
        # It has a delivery time, and was never claimed.
        (48, {"attempts": 0}),
        # An engine has it.
        (3, {"lease_owner": "host:0:alive"}),
    ],
)
def test_what_is_planned_for_later_stays_there(
    store: Datastore, make_settings, hours: float, values: dict[str, Any]
) -> None:
    until = utc_now() + timedelta(hours=hours)
    job_id = _put_off(store, until, **values)
    woken = WakeCounter()

    with _watching(make_settings(watchdog_s=0.02, lease_s=1800.0), woken):
        assert not woken.event.wait(0.3)

    with store.read() as session:
        assert session.get_one(PushJob, job_id).due_at == until


def test_a_lease_of_ordinary_length_is_left_alone(
    store: Datastore, make_settings
) -> None:
    post(store, make_chat(store, 1))
    now = utc_now()
    with store.write() as session:
        lease_until = now + timedelta(seconds=100)
        claims.claim(session, "host:0:alive", limit=1, now=now, lease_until=lease_until)
    woken = WakeCounter()

    with _watching(make_settings(lease_s=30.0, watchdog_s=0.02), woken):
        assert not woken.event.wait(0.3)


def test_jobs_of_a_living_process_are_left_to_it(
    store: Datastore, make_settings
) -> None:
    settings = make_settings(watchdog_s=0.02, lease_s=600.0)
    slots = Slots(settings.run_dir, 1)
    slot = slots.take()
    slot.set_owner("host:0:alive")
    post(store, make_chat(store, 1))
    now = utc_now()
    with store.write() as session:
        lease_until = now + timedelta(hours=1)
        claims.claim(session, "host:0:alive", limit=1, now=now, lease_until=lease_until)
    woken = WakeCounter()

    with _watching(settings, woken, slots=slots):
        assert not woken.event.wait(0.3)

    slot.release()
    slots.close()


def test_it_joins_the_rows_of_phones_that_older_versions_stored_twice(
    store: Datastore, make_settings
) -> None:
    make_chat(store, 4, tokens=["ab" * 32, "AB" * 32, "CD" * 32, "Phone-1"])
    with store.write() as session:
        for device in session.scalars(select(Device)):
            device.token_hash = sha256(device.token)

    def are_joined() -> bool:
        with store.read() as session:
            tokens = list(session.scalars(select(Device.token)))
        # And the sender's own.
        return len(tokens) == 4 and {"Phone-1", "ab" * 32, "cd" * 32} < set(tokens)

    with _watching(make_settings(watchdog_s=0.1), WakeCounter()):
        until(are_joined)


def test_it_joins_a_token_and_the_id_of_its_installation(
    store: Datastore, make_settings
) -> None:
    fid = "cXf3_h-0QzWm1a2b3c4d5e"
    tokens = [f"{fid}:APA91bFirst", fid]
    make_chat(store, 2, platforms=["fcm"], tokens=tokens)
    with store.write() as session:
        for device in session.scalars(select(Device)):
            device.token_hash = sha256(device.token)

    def are_joined() -> bool:
        with store.read() as session:
            found = session.scalars(select(Device.token)).all()
        # And the sender's own.
        return len(found) == 2 and fid in found

    with _watching(make_settings(watchdog_s=0.1), WakeCounter()):
        until(are_joined)


def test_joining_the_rows_of_phones_goes_on_after_an_error(store: Datastore) -> None:
    make_chat(store, 2, tokens=["AB" * 32, "CD" * 32])
    with store.write() as session:
        for device in session.scalars(select(Device)):
            device.token_hash = sha256(device.token)
    phones = Phones()
    broken = Datastore("sqlite:////nowhere/at/all.db")

    with pytest.raises(OperationalError):
        phones.join_some(broken)
    broken.close()
    phones.join_some(store)

    with store.read() as session:
        tokens = set(session.scalars(select(Device.token)))
    assert {"ab" * 32, "cd" * 32} <= tokens


def test_it_deletes_users(store: Datastore, make_settings) -> None:
    chat_id = make_chat(store, 2)
    post(store, chat_id, text="secret")
    with store.write() as session:
        begun = deletions.begin(session, 1, keep_texts=False, now=utc_now())

    def is_done() -> bool:
        with store.read() as session:
            # PostgreSQL's transactions get a minute for their end.
            stage = session.get_one(UserDeletion, begun.id).stage
            return stage in ("rest", "files")

    with _watching(make_settings(watchdog_s=0.02), WakeCounter()):
        until(is_done)

    with store.read() as session:
        assert session.scalars(select(Message.text)).all() == [""]
