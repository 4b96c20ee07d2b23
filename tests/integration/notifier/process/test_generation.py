"""Generations of settings: who begins one, and what happens to the file."""

import logging
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from config import Settings
from datastore.file_lock import LockFile
from notifier.process import bell, generation
from notifier.process.bell import Bell
from notifier.process.generation import GenerationFile, Membership, Retirement
from notifier.process.holders import read_holder
from notifier.process.slots import Slots, WakeResult

MakeSettings = Callable[..., Settings]


def _joined(settings: Settings) -> Membership:
    member = Membership(settings)
    member.join()
    return member


@pytest.fixture
def as_server(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes the workers that follow those of this server."""

    def choose(name: str) -> None:
        monkeypatch.setattr(generation, "_server", lambda: name)

    return choose


def test_workers_with_the_same_settings_share_a_generation(
    make_settings: MakeSettings,
) -> None:
    first, second = (_joined(make_settings()) for _ in range(2))

    assert first.number == second.number
    assert not first.is_outdated


def test_other_settings_begin_a_newer_generation_and_the_old_ones_again(
    make_settings: MakeSettings, as_server: Callable[[str], None]
) -> None:
    numbers = []
    for server, preview in enumerate(("full", "none", "full", "none")):
        as_server(f"{server}:0")
        numbers.append(_joined(make_settings(push_preview=preview)).number)

    assert numbers == sorted(set(numbers))


def test_a_server_whose_settings_change_and_change_back_begins_each_time(
    make_settings: MakeSettings, as_server: Callable[[str], None]
) -> None:
    as_server("1:0")

    numbers = [
        _joined(make_settings(push_preview=preview)).number
        for preview in ("full", "none", "full", "none")
    ]

    assert numbers == sorted(set(numbers))


def test_a_worker_that_replaces_one_of_the_older_server_stays_older(
    make_settings: MakeSettings, as_server: Callable[[str], None]
) -> None:
    as_server("1:0")
    older = _joined(make_settings())
    as_server("2:0")
    newer = _joined(make_settings(push_preview="none"))
    as_server("1:0")

    replaced = _joined(make_settings())

    assert (replaced.number, replaced.is_outdated) == (older.number, True)
    assert not newer.is_outdated


def test_an_older_worker_takes_its_settings_back_and_its_siblings_follow(
    make_settings: MakeSettings, as_server: Callable[[str], None]
) -> None:
    as_server("1:0")
    older, sibling = (_joined(make_settings()) for _ in range(2))
    as_server("2:0")
    newer = _joined(make_settings(push_preview="none"))
    as_server("1:0")
    assert sibling.is_outdated

    older.take_back()

    assert older.number > newer.number
    assert not older.is_outdated
    assert not sibling.is_outdated
    assert sibling.number == older.number
    assert newer.is_outdated


@pytest.mark.parametrize(
    "change",
    [
        {"database_url": "sqlite:////elsewhere.db"},
        {"lease_s": 31.0},
        {"smtp_url": "smtp://user:another-password@mail.example.org"},
    ],
)
def test_every_setting_of_the_engine_counts(
    change: dict[str, object],
    make_settings: MakeSettings,
    as_server: Callable[[str], None],
) -> None:
    as_server("1:0")
    before = _joined(make_settings(smtp_url="smtp://user:password@mail.example.org"))
    as_server("2:0")

    assert _joined(make_settings(**change)).number > before.number


def test_the_content_of_a_key_counts_and_not_its_path(
    make_settings: MakeSettings, tmp_path: Path, as_server: Callable[[str], None]
) -> None:
    one, other = tmp_path / "one.p8", tmp_path / "other.p8"
    one.write_text("key")
    other.write_text("key")
    numbers = []
    for server, path in enumerate((one, other, other)):
        as_server(f"{server}:0")
        numbers.append(_joined(make_settings(apns_key_file=path)).number)
        if server == 1:
            other.write_text("another key")

    assert numbers[0] == numbers[1] < numbers[2]


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 80, b"garbage", b"\xff\xfe\n", b"1 abc\n", b"x" * 5000]
)
def test_a_file_that_cannot_be_read_counts_as_other_settings(
    content: bytes, make_settings: MakeSettings
) -> None:
    before = _joined(make_settings())
    path = before.file.directory / "generation"
    if slot := Slots(make_settings().run_dir, 1, number=lambda: before.number).take():
        slot.open_socket()
        retirement = Retirement(make_settings().run_dir, before.number)
        path.write_bytes(content)
        while_unreadable = retirement.has_begun(), before.is_outdated

        after = _joined(make_settings())

        assert while_unreadable == (False, False)
        assert after.number > before.number
        assert retirement.has_begun()


@pytest.mark.parametrize("content", [b"", b"\0" * 64, b"garbage", b"\xff"])
def test_a_key_that_cannot_be_read_is_replaced(
    content: bytes, make_settings: MakeSettings
) -> None:
    before = _joined(make_settings())
    path = before.file.directory / "fingerprint.key"
    path.write_bytes(content)

    first, second = _joined(make_settings()), _joined(make_settings())

    assert before.number < first.number == second.number
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_engine_whose_run_directory_has_gone_retires(
    make_settings: MakeSettings,
) -> None:
    member = _joined(make_settings())
    retirement = Retirement(make_settings().run_dir, member.number)
    before = retirement.has_begun()

    (member.file.directory / "generation").unlink()

    assert (before, retirement.has_begun()) == (False, True)


def test_workers_work_without_a_place_for_the_file(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    settings = make_settings()
    (settings.run_dir / "settings").write_text("in the way")

    member = _joined(settings)

    assert member.number
    assert not member.is_outdated
    assert not Retirement(settings.run_dir, member.number).has_begun()
    assert "running PushProcesses keep their settings" in caplog.text


def _join_and_tell(settings: Settings, numbers: "multiprocessing.Queue[int]") -> None:
    numbers.put(_joined(settings).number)


def test_many_workers_at_once_begin_one_generation(
    make_settings: MakeSettings,
) -> None:
    before = _joined(make_settings(push_preview="none")).number
    context = multiprocessing.get_context("fork")
    numbers: multiprocessing.Queue[int] = context.Queue()
    workers = [
        context.Process(target=_join_and_tell, args=(make_settings(), numbers))
        for _ in range(8)
    ]
    for worker in workers:
        worker.start()

    joined = {numbers.get(timeout=60) for _ in workers}

    for worker in workers:
        worker.join(60)
    assert len(joined) == 1
    assert joined > {before} or min(joined) > before


def test_a_lock_whose_holder_hangs_does_not_stop_a_start(
    make_settings: MakeSettings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(generation, "LOCK_S", 0.05)
    settings = make_settings()
    file = GenerationFile(settings.run_dir)
    file.directory.mkdir()
    held = LockFile(file.directory / "lock")
    held.try_lock()

    member = _joined(settings)

    held.close()
    assert file.look() is not None
    assert member.number
    assert "a process hangs" in caplog.text


def test_no_secret_is_written_or_logged(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = make_settings(
        database_url="postgresql://user:s3cret-1@db.example.org/chat?password=s3cret-2",
        smtp_url="smtp://user:s3cret-3@mail.example.org",
        push_proxy="http://user:s3cret-4@proxy.example.org:8080",
        manager_authkey="s3cret-5 of the manager",
        redis_url="redis://:s3cret-6@127.0.0.1",
        service_key="s3cret-7 of the service",
    )

    member = _joined(settings)
    line = generation.describe(settings)

    written = b"".join(
        path.read_bytes() for path in member.file.directory.iterdir() if path.is_file()
    )
    assert "s3cret" not in line + caplog.text
    assert b"s3cret" not in written
    assert "preview full" in line
    assert "postgresql://db.example.org/chat" in line


def test_two_run_directories_have_different_fingerprints(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    here = generation.describe(make_settings())
    there = generation.describe(make_settings(run_dir=tmp_path / "other"))

    assert here.split(":")[0] == generation.describe(make_settings()).split(":")[0]
    assert here.split(":")[0] != there.split(":")[0]


def test_a_wake_up_goes_to_the_newest_generation_only(tmp_path: Path) -> None:
    number = 5
    sender = Slots(tmp_path, 2, number=lambda: number)
    older = Slots(tmp_path, 2, number=lambda: 5).take()
    newer = Slots(tmp_path, 2, number=lambda: 6).take()
    older_socket, newer_socket = older.open_socket(), newer.open_socket()
    first = sender.wake()
    number = 6
    second = sender.wake()
    newer.close_socket()

    third = sender.wake()

    assert (first, second) == (WakeResult.TAKEN, WakeResult.TAKEN)
    assert third is WakeResult.NO_LISTENER
    assert older_socket.recv(16) == b"!"
    with pytest.raises(BlockingIOError):
        older_socket.recv(16)
    assert newer_socket.fileno() == -1
    older.close_socket()
    sender.close()


def test_workers_that_know_no_generations_reach_every_process(tmp_path: Path) -> None:
    slot = Slots(tmp_path, 1, number=lambda: 7).take()
    receiver = slot.open_socket()

    answer = Slots(tmp_path, 1).wake(12)

    assert answer is WakeResult.TAKEN
    assert receiver.recv(16) == b"!12"
    slot.release()
    assert list((tmp_path / "push").glob("*.sock")) == []


def test_a_slot_that_was_taken_away_stays_the_new_owner_s(tmp_path: Path) -> None:
    older, newer = (Slots(tmp_path, 1, number=lambda n=n: n) for n in (5, 6))
    hanging = older.take()
    hanging.set_owner(f"host:{os.getpid()}:abcdef-5")
    hanging.open_socket()
    (holder,) = newer.holders()

    newer.take_away(holder)
    successor = newer.take()
    receiver = successor.open_socket()
    successor.set_owner(f"host:{os.getpid()}:abcdef-6")
    hanging.release()

    assert newer.wake() is WakeResult.TAKEN
    assert Slots(tmp_path, 1).wake() is WakeResult.TAKEN
    assert receiver.recv(16) == b"!"
    assert [each.number for each in newer.holders()] == [6]
    successor.release()


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        ("host:12:0a1b2c", (12, 0)),
        ("host:12:0a1b2c-6927b3f1", (12, 0x6927B3F1)),
        ("a-host-7:12:0a1b2c-ff", (12, 255)),
    ],
)
def test_a_holder_s_name_tells_its_generation(
    recorded: str, expected: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / "slot-0.lock"
    path.write_text(recorded)

    holder = read_holder(path)

    assert (holder.pid, holder.number) == expected
    assert not holder.has_file_open()


def test_a_bell_is_heard_by_older_workers_and_ends_with_its_worker(
    tmp_path: Path,
) -> None:
    rung = multiprocessing.get_context("fork").Event()
    newer = Bell(tmp_path)
    newer.open(9)
    newer.listen(rung.set)

    answers = [bell.ring(tmp_path, above=9), bell.ring(tmp_path, above=8)]

    assert rung.wait(60)
    assert answers == [False, True]
    assert bell.is_heard(tmp_path, below=10)
    assert not bell.is_heard(tmp_path, below=9)
    newer.open(11)
    assert bell.ring(tmp_path, above=10)
    newer.close()
    assert not bell.ring(tmp_path, above=0)
    assert list(tmp_path.iterdir()) == []
