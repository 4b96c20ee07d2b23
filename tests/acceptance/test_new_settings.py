"""A restart with new settings reaches the PushProcesses that are running."""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from datastore import Datastore, migrations
from tests.support import push_processes
from tests.support.dispatcher_host import BIN
from tests.support.matrix import some_of
from tests.support.paths import ROOT
from tests.support.running_system import Conversation, RunningSystem
from tests.support.sandbox import Sandbox
from tests.support.server import Server
from tests.support.steady_traffic import SECRET, SteadyTraffic, pushes_of, shows_text
from tests.support.wait import until

# In which the first push with the new settings has to arrive: 15 seconds, and as many
# for a test machine that is busy.
IN_FORCE_S = 30.0
# A PushProcess that nothing but newer settings ends, and no watchdog that helps.
LONG_LIVED = {
    "BOTTLEPOST_PUSH_LINGER_S": "600",
    "BOTTLEPOST_WATCHDOG_S": "300",
    "BOTTLEPOST_SERVICE_KEY": "the key of both servers",
}
NO_TEXT = {"BOTTLEPOST_PUSH_PREVIEW": "none"}
GUNICORN = (
    f"{sys.executable} -m gunicorn --bind 127.0.0.1:{{port}} --worker-class gthread "
    "--threads 4 --workers 2 server:create_app()"
)
UWSGI = (
    f"{BIN}/uwsgi --http-socket 127.0.0.1:{{port}} --master --need-app --die-on-term "
    "--worker-reload-mercy 5 --enable-threads --threads 4 --processes 2 "
    "--module server:create_app()"
)
OWN = f"{sys.executable} server.py"
HOSTS = {
    "own": OWN,
    "gunicorn": GUNICORN,
    "preload": f"{GUNICORN} --preload",
    "uwsgi": UWSGI,
}
Start = Callable[..., Server]


@pytest.fixture
def start(shared_sandbox: Sandbox, tmp_path: Path) -> Iterator[Start]:
    """Starts servers on one run directory, with further settings."""
    shared_sandbox.reset()
    store = Datastore(f"sqlite:///{tmp_path}/bottlepost.db")
    migrations.upgrade(store)
    store.close()
    servers: list[Server] = []

    def begin(command: str = OWN, **settings: str) -> Server:
        environment = {**shared_sandbox.environment, **LONG_LIVED, **settings}
        servers.append(Server(tmp_path, environment, command.split()))
        return servers[-1]

    yield begin
    for server in servers:
        server.__exit__()
    push_processes.end_all(tmp_path)


def _conversation(server: Server, sandbox: Sandbox, size: int = 3) -> Conversation:
    return RunningSystem(server.run_dir, server, sandbox).conversation(
        size, platforms=("apns",)
    )


def _wait_for_pushes(sandbox: Sandbox, count: int, timeout_s: float = 60) -> None:
    until(lambda: sandbox.summary()["accepted"] >= count, timeout_s, "for pushes")


def _wait_for_any(
    sandbox: Sandbox, conversation: Conversation, messages: Callable[[], set[int]]
) -> None:
    """Until one of the messages has arrived, which takes no longer than allowed."""
    tokens = conversation.tokens
    until(
        lambda: any(pushes_of(sandbox, messages(), tokens).values()),
        IN_FORCE_S,
        "for a push with the new settings",
    )


def _check_pushes(
    sandbox: Sandbox, conversation: Conversation, messages: set[int]
) -> dict[int, bool]:
    """Each message has arrived once at each device; whether its text was shown."""
    tokens = conversation.tokens

    def all_arrived() -> dict[int, list[dict[str, Any]]] | None:
        found = pushes_of(sandbox, messages, tokens)
        return found if all(len(p) >= len(tokens) for p in found.values()) else None

    found = until(all_arrived, what="for the last pushes")
    assert found is not None
    often = {m: len(p) for m, p in found.items() if len(p) != len(tokens)}
    assert often == {}
    return {m: any(map(shows_text, pushes)) for m, pushes in found.items()}


def _post(server: Server, conversation: Conversation) -> int:
    client = server.client.as_user(str(conversation.sender.token))
    body = {"conversation": conversation.id, "message": SECRET}
    posted = client.post("/groupchat/send", body)
    assert posted.status == 201
    return int(posted.json["message"]["id"])


def _wait_until_recorded(
    server: Server, conversation: Conversation, message: int
) -> None:
    """Otherwise a process that is killed or stopped now would repeat its pushes."""
    client = server.client.as_user(str(conversation.sender.token))
    # Nothing was posted before it.
    until(lambda: client.get(f"/jobs/{message}").json["state"] == "completed")


def _processes_after(
    start: Start, sandbox: Sandbox, change: Callable[[Server], Server]
) -> tuple[set[int], set[int]]:
    """The PushProcesses before and after a restart under steady traffic."""
    old = start()
    conversation = _conversation(old, sandbox)
    with SteadyTraffic(old, conversation) as traffic:
        _wait_for_pushes(sandbox, 30)
        before = set(push_processes.living(old.run_dir))
        old.stop()
        new = traffic.server = change(old)
        _wait_for_any(sandbox, conversation, lambda: traffic.answered_by(new))
        until(lambda: not before & set(push_processes.living(old.run_dir)))
    _check_pushes(sandbox, conversation, {each.id for each in traffic.posted})
    return before, set(push_processes.living(old.run_dir))


@pytest.mark.parametrize(
    ("host", "slots"),
    some_of(
        [
            ("own", "1"),
            ("own", "2"),
            ("gunicorn", "1"),
            ("preload", "2"),
            ("uwsgi", "1"),
        ],
        always=[("own", "2"), ("gunicorn", "1")],
    ),
)
def test_no_text_is_shown_after_a_restart_that_forbids_it(
    host: str, slots: str, start: Start, shared_sandbox: Sandbox
) -> None:
    old = start(HOSTS[host], BOTTLEPOST_PUSH_SLOTS=slots)
    conversation = _conversation(old, shared_sandbox)
    with SteadyTraffic(old, conversation) as traffic:
        _wait_for_pushes(shared_sandbox, 30)
        old.stop()
        new = start(HOSTS[host], BOTTLEPOST_PUSH_SLOTS=slots, **NO_TEXT)
        traffic.server = new
        _wait_for_any(shared_sandbox, conversation, lambda: traffic.answered_by(new))
        until(lambda: len(traffic.answered_by(new)) > 50)

    of_old, of_new = traffic.answered_by(old), traffic.answered_by(new)
    shown = _check_pushes(shared_sandbox, conversation, of_old | of_new)
    assert {m for m in of_new if shown[m]} == set()
    assert any(shown[m] for m in of_old)


@pytest.mark.parametrize(
    ("host", "slots"),
    some_of([("own", "1"), ("gunicorn", "2")], always=[("gunicorn", "2")]),
)
def test_in_a_rolling_restart_both_servers_have_the_newer_settings(
    host: str, slots: str, start: Start, shared_sandbox: Sandbox
) -> None:
    old = start(HOSTS[host], BOTTLEPOST_PUSH_SLOTS=slots)
    conversation = _conversation(old, shared_sandbox)
    with SteadyTraffic(old, conversation) as at_old:
        _wait_for_pushes(shared_sandbox, 30)
        new = start(HOSTS[host], BOTTLEPOST_PUSH_SLOTS=slots, **NO_TEXT)
        known = at_old.answered_by(old)
        with SteadyTraffic(new, conversation) as at_new:
            _wait_for_any(shared_sandbox, conversation, lambda: at_new.answered_by(new))
            # One that is replaced brings nothing back.
            os.kill(old.workers()[0], signal.SIGKILL)
            until(lambda: len(at_new.answered_by(new)) > 50)
            until(lambda: len(at_old.answered_by(old)) > len(known) + 50)

    of_old, of_new = at_old.answered_by(old), at_new.answered_by(new)
    shown = _check_pushes(shared_sandbox, conversation, of_old | of_new)
    # One may have been on its way when `known` was read.
    of_old_later = sorted(of_old - known)[1:]
    assert {m for m in (*of_new, *of_old_later) if shown[m]} == set()
    assert "web workers with other settings run" in new.log()
    assert "a web server with other settings has started" in old.log()


@pytest.mark.parametrize(
    "dispatcher", some_of(["thread", "pool", "script"], always=["pool"])
)
def test_engines_of_an_older_server_leave_the_work_to_the_newer_one(
    dispatcher: str, start: Start, shared_sandbox: Sandbox
) -> None:
    old = start(BOTTLEPOST_DISPATCHER=dispatcher)
    conversation = _conversation(old, shared_sandbox)
    first = _post(old, conversation)
    _wait_for_any(shared_sandbox, conversation, lambda: {first})
    new = start(BOTTLEPOST_DISPATCHER=dispatcher, **NO_TEXT)

    messages = {_post(server, conversation) for server in (new, old, new, old)}

    _wait_for_any(shared_sandbox, conversation, lambda: messages)
    shown = _check_pushes(shared_sandbox, conversation, messages)
    assert not any(shown.values())


def test_old_workers_reach_the_newer_process_when_there_is_none_yet(
    start: Start, shared_sandbox: Sandbox
) -> None:
    old = start()
    conversation = _conversation(old, shared_sandbox)
    new = start(**NO_TEXT)

    message = _post(old, conversation)

    _wait_for_any(shared_sandbox, conversation, lambda: {message})
    assert _check_pushes(shared_sandbox, conversation, {message}) == {message: False}
    assert new.is_running()


def test_the_older_server_pushes_again_when_the_newer_one_has_gone(
    start: Start, shared_sandbox: Sandbox
) -> None:
    old = start()
    conversation = _conversation(old, shared_sandbox)
    new = start(**NO_TEXT)
    first = _post(new, conversation)
    _wait_for_any(shared_sandbox, conversation, lambda: {first})
    _wait_until_recorded(new, conversation, first)
    new.stop()
    push_processes.end_all(old.run_dir)

    second = _post(old, conversation)

    _wait_for_any(shared_sandbox, conversation, lambda: {second})
    shown = _check_pushes(shared_sandbox, conversation, {first, second})
    assert shown == {first: False, second: True}
    assert "pushes have the settings of this one again" in old.log()


def test_settings_that_are_changed_back_are_in_force_again(
    start: Start, shared_sandbox: Sandbox
) -> None:
    server = start()
    conversation = _conversation(server, shared_sandbox)
    shown: list[bool] = []

    for settings in ({}, NO_TEXT, {}):
        server.stop()
        server = start(**settings)
        message = _post(server, conversation)
        _wait_for_any(shared_sandbox, conversation, lambda m=message: {m})
        shown += _check_pushes(shared_sandbox, conversation, {message}).values()

    assert shown == [True, False, True]


def test_a_restart_with_the_same_settings_keeps_the_warm_process(
    start: Start, shared_sandbox: Sandbox
) -> None:
    old = start()
    conversation = _conversation(old, shared_sandbox)
    first = _post(old, conversation)
    _wait_for_any(shared_sandbox, conversation, lambda: {first})
    before = push_processes.living(old.run_dir)
    old.stop()

    # What only the web server reads makes no difference.
    new = start(BOTTLEPOST_WORKERS="2", BOTTLEPOST_USER_SENDS_PER_MINUTE="600")
    second = _post(new, conversation)
    _wait_for_any(shared_sandbox, conversation, lambda: {second})

    assert push_processes.living(old.run_dir) == before


def test_another_key_in_the_same_file_reaches_the_process(
    start: Start, shared_sandbox: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "apns.p8"
    key = Path(shared_sandbox.environment["BOTTLEPOST_APNS_KEY_FILE"]).read_text()
    path.write_text(key)

    def restart(old: Server) -> Server:
        path.write_text(f"{key}\n")
        return start(BOTTLEPOST_APNS_KEY_FILE=str(path))

    before, after = _processes_after(
        lambda **more: start(BOTTLEPOST_APNS_KEY_FILE=str(path), **more),
        shared_sandbox,
        restart,
    )

    assert before
    assert after
    assert not before & after


def test_new_code_reaches_the_process(
    start: Start, shared_sandbox: Sandbox, tmp_path: Path
) -> None:
    newer = tmp_path / "newer"
    for name in (
        "api",
        "bottlepost",
        "config",
        "datastore",
        "host",
        "models",
        "notifier",
        "web",
    ):
        shutil.copytree(ROOT / name, newer / name)
    shutil.copy(ROOT / "server.py", newer)
    with (newer / "notifier" / "outcome.py").open("a") as source:
        source.write("# A newer version.\n")

    before, after = _processes_after(
        start,
        shared_sandbox,
        lambda _: start(f"{sys.executable} {newer}/server.py", PYTHONPATH=str(newer)),
    )

    assert before
    assert after
    assert not before & after


@pytest.mark.parametrize("slots", some_of(["1", "2"], always=["2"]))
def test_a_process_that_hangs_does_not_keep_the_new_one_waiting(
    slots: str, start: Start, shared_sandbox: Sandbox
) -> None:
    old = start(BOTTLEPOST_PUSH_SLOTS=slots)
    conversation = _conversation(old, shared_sandbox)
    first = _post(old, conversation)
    _wait_for_any(shared_sandbox, conversation, lambda: {first})
    _wait_until_recorded(old, conversation, first)
    (hanging,) = push_processes.living(old.run_dir)
    os.kill(hanging, signal.SIGSTOP)
    old.stop()

    new = start(BOTTLEPOST_PUSH_SLOTS=slots, **NO_TEXT)
    second = _post(new, conversation)

    _wait_for_any(shared_sandbox, conversation, lambda: {second})
    shown = _check_pushes(shared_sandbox, conversation, {first, second})
    assert shown == {first: True, second: False}
    until(lambda: not push_processes.is_alive(hanging))


def test_a_process_that_went_to_sleep_with_a_claim_shows_nothing_afterwards(
    start: Start, shared_sandbox: Sandbox
) -> None:
    old = start(BOTTLEPOST_PUSH_SLOTS="2")
    conversation = _conversation(old, shared_sandbox)
    with SteadyTraffic(old, conversation) as traffic:
        _wait_for_pushes(shared_sandbox, 30)
        (hanging,) = push_processes.living(old.run_dir)
        os.kill(hanging, signal.SIGSTOP)
        old.stop()
        new = traffic.server = start(BOTTLEPOST_PUSH_SLOTS="2", **NO_TEXT)
        until(lambda: len(traffic.answered_by(new)) > 10)
        os.kill(hanging, signal.SIGCONT)
        until(lambda: not push_processes.is_alive(hanging), IN_FORCE_S)

    of_new = traffic.answered_by(new)
    shown = _check_pushes(shared_sandbox, conversation, of_new)
    assert {m for m in of_new if shown[m]} == set()


def test_a_generation_that_cannot_be_read_counts_as_another_one(
    start: Start, shared_sandbox: Sandbox
) -> None:
    old = start()
    conversation = _conversation(old, shared_sandbox)
    first = _post(old, conversation)
    _wait_for_any(shared_sandbox, conversation, lambda: {first})
    (old.run_dir / "settings" / "generation").write_bytes(b"\0" * 40)
    between = _post(old, conversation)
    _wait_for_any(shared_sandbox, conversation, lambda: {between})
    old.stop()

    new = start(**NO_TEXT)
    second = _post(new, conversation)

    _wait_for_any(shared_sandbox, conversation, lambda: {second})
    shown = _check_pushes(shared_sandbox, conversation, {first, between, second})
    assert shown == {first: True, between: True, second: False}
