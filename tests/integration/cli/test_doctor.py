"""`bottlepost doctor` and `send-test` beside a real server and real providers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datastore import provider_troubles
from models.base import utc_now
from tests.support import chats, databases, tls
from tests.support import sandbox as sandboxes
from tests.support.commands import Commands, Ran
from tests.support.redis_server import RedisServer
from tests.support.running_system import FAST, RunningSystem
from tests.support.sandbox import Sandbox
from tests.support.server import Server, free_port


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory) -> Iterator[Sandbox]:
    with sandboxes.running(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def system(sandbox, tmp_path_factory) -> Iterator[RunningSystem]:
    run_dir = tmp_path_factory.mktemp("run")
    run_dir.chmod(0o700)
    server = Server(run_dir, {**sandbox.environment, **FAST})
    system = RunningSystem(run_dir, server, sandbox)
    yield system
    system.store.close()
    server.stop()


def settings_of(system: RunningSystem, **changes: str) -> Commands:
    own = {
        name.removeprefix("BOTTLEPOST_"): value
        for name, value in system.server.environment.items()
        if name.startswith("BOTTLEPOST_")
    }
    own = {**own, **changes}
    run_dir = own.pop("RUN_DIR")
    return Commands(
        Path(run_dir), system.store.url.render_as_string(hide_password=False), **own
    )


@pytest.fixture
def run(system) -> Commands:
    return settings_of(system)


def findings(ran: Ran, check: str) -> list[dict[str, Any]]:
    return [each for each in ran.json if each["check"] == check]


def problems(ran: Ran) -> dict[str, str]:
    """What is not right, with the remedy; each has one."""
    found = [each for each in ran.json if each["state"] != "ok"]
    assert all(each["remedy"] for each in found)
    return {each["check"]: f"{each['finding']} → {each['remedy']}" for each in found}


def test_nothing_is_wrong_with_a_system_that_works(run, system):
    ran = run("doctor", "--json")

    assert ran.status == 0
    assert problems(ran) == {}
    checked = {each["check"] for each in ran.json}
    assert {"settings", "run directory", "disk", "file limit"} <= checked
    assert {"database", "schema", "queue", "keys", "dispatcher", "sockets"} <= checked
    apns = [each["finding"] for each in findings(ran, "apns")]
    assert len(apns) == 2
    assert all("answers by HTTP/2" in text for text in apns)
    assert any(
        "takes the service account" in f["finding"] for f in findings(ran, "fcm")
    )
    # For people, it is a line for each.
    assert len(run("doctor").out.splitlines()) == len(ran.json) + 1


def test_a_test_push_tells_each_device(run, system):
    user = chats.add_user(system.store, "aa" * 32)
    run.json("device", "add", user, "fcm", "a-token")

    rows = run.json("send-test", user)
    doctor = run("doctor", "--offline", "--push", user, "--json")

    assert {row["platform"]: row["outcome"] for row in rows} == {
        "apns": "accepted",
        "fcm": "accepted",
    }
    pushed = [each["finding"] for each in findings(doctor, "test push")]
    assert len(pushed) == 2
    assert all(text.endswith(": accepted") for text in pushed)
    assert not findings(doctor, "apns")


def test_a_device_that_does_not_accept_is_told_with_the_reason(run, system):
    user = chats.add_user(system.store, "not hexadecimal")

    ran = run("send-test", user, "--json")

    assert ran.status == 1
    (row,) = ran.json
    assert row["outcome"] in ("suspect", "gone", "refused")
    assert row["reason"]


def test_a_user_without_devices_is_told(run, system):
    user = chats.add_user(system.store)

    ran = run("send-test", user)

    assert "no device" in ran.err
    assert run("doctor", "--offline", "--push", user).status == 1
    nobody = run("doctor", "--offline", "--push", 999, "--json")
    (finding,) = findings(nobody, "test push")
    assert (nobody.status, finding["state"]) == (1, "wrong")
    assert findings(nobody, "schema")


def test_providers_out_of_reach_are_told_with_what_helps(system):
    stranger = tls.make_authority()
    nowhere = f"https://127.0.0.1:{free_port()}"
    run = settings_of(system, CA_FILE=str(stranger.ca_file), FCM_URL=nowhere)

    ran = run("doctor", "--json")

    assert ran.status == 1
    apns = findings(ran, "apns")
    assert [each["state"] for each in apns] == ["wrong", "wrong"]
    assert all("CERTIFICATE_VERIFY_FAILED" in each["finding"] for each in apns)
    assert all("BOTTLEPOST_CA_FILE" in each["remedy"] for each in apns)
    fcm = findings(ran, "fcm")[0]
    assert nowhere.removeprefix("https://") in fcm["finding"]
    assert "let this host connect" in fcm["remedy"]
    assert ran.err == ""


def test_a_proxy_that_refuses_is_told(system):
    # Nothing listens there, and what does is no proxy of ours.
    run = settings_of(system, PUSH_PROXY=f"http://me:secret@127.0.0.1:{free_port()}")

    ran = run("doctor", "--json")

    assert {each["state"] for each in findings(ran, "apns")} == {"wrong"}
    assert "secret" not in ran.out


def test_what_is_wrong_on_this_host_is_told(system, tmp_path):
    key = tmp_path / "fcm.json"
    key.write_text('{"project_info": {}}')
    open_file = tmp_path / "vapid.pem"
    open_file.write_text("no key")
    tmp_path.chmod(0o755)
    open_file.chmod(0o644)
    run = settings_of(
        system,
        RUN_DIR=str(tmp_path),
        FCM_CREDENTIALS_FILE=str(key),
        VAPID_SUBJECT="mailto:ops@example.org",
        DISPATCHER="manager",
        MANAGER_AUTHKEY="m" * 16,
        MANAGER_ADDRESS=f"127.0.0.1:{free_port()}",
    )
    database = tmp_path / "empty.db"
    database.touch(mode=0o600)
    run.environ["BOTTLEPOST_DATABASE_URL"] = f"sqlite:///{database}"

    ran = run("doctor", "--offline", "--json")

    assert ran.status == 1
    told = problems(ran)
    assert "chmod 700" in told["run directory"]
    assert "chmod go=" in told["file modes"]
    assert "migrate" in told["schema"]
    assert "dispatcher" in told
    assert "workers" in told
    keys = [f["finding"] for f in findings(ran, "keys") if f["state"] == "wrong"]
    assert any("google-services.json" in text for text in keys)
    assert any("vapid.pem holds no usable private key" in text for text in keys)


def test_a_look_at_nothing_makes_nothing(system, tmp_path):
    run_dir = tmp_path / "run"
    run = settings_of(system, RUN_DIR=str(run_dir))
    run.environ["BOTTLEPOST_DATABASE_URL"] = f"sqlite:///{run_dir}/none.db"

    ran = run("doctor", "--offline", "--json")

    assert "is not there yet → run bottlepost migrate" in problems(ran)["database"]
    assert list(run_dir.iterdir()) == []


def test_bad_settings_are_a_finding(system):
    ran = settings_of(system, PORT="x")("doctor", "--json")

    assert ran.status == 1
    (found,) = ran.json
    assert found["finding"].startswith("BOTTLEPOST_PORT must be a whole number")


def test_troubles_of_the_pushes_are_told(run, system):
    with system.store.write() as session:
        provider_troubles.report(session, "fcm x", "no route", now=utc_now())
    try:
        ran = run("doctor", "--offline", "--json")
    finally:
        with system.store.write() as session:
            provider_troubles.report(session, "fcm x", None, now=utc_now())

    assert "fcm x since" in problems(ran)["pushes"]
    assert ran.status == 1


def test_a_database_server_and_its_clock_are_checked(system, tmp_path):
    with databases.fresh("postgresql", tmp_path) as store:
        run = settings_of(system)
        run.environ["BOTTLEPOST_DATABASE_URL"] = store.url.render_as_string(
            hide_password=False
        )
        ran = run("doctor", "--offline", "--json")

    assert problems(ran) == {}
    (clock,) = findings(ran, "clocks")
    assert "that of the database is 0." in clock["finding"]


def test_a_database_server_that_is_away_is_told(system):
    run = settings_of(system)
    url = f"postgresql+psycopg://me:secret@127.0.0.1:{free_port()}/x"
    run.environ["BOTTLEPOST_DATABASE_URL"] = url

    ran = run("doctor", "--offline", "--json")

    assert ran.status == 1
    assert "database" in problems(ran)
    assert "secret" not in ran.out


@pytest.mark.parametrize("dispatcher", ["script", "rq", "celery"])
def test_the_broker_of_the_dispatcher_is_asked(system, tmp_path, dispatcher):
    redis = RedisServer(tmp_path)
    url = redis.url.replace("redis://", "redis://:s3cret@")
    variables = {"REDIS_URL": redis.url, "BROKER_URL": redis.url}
    run = settings_of(system, DISPATCHER=dispatcher, **variables)
    with_password = settings_of(
        system, DISPATCHER=dispatcher, REDIS_URL=url, BROKER_URL=url
    )
    try:
        up = run("doctor", "--offline", "--json")
    finally:
        redis.stop()
    down = with_password("doctor", "--offline", "--json")

    assert [each["state"] for each in findings(up, "dispatcher")] == ["ok", "ok"]
    assert [each["state"] for each in findings(down, "dispatcher")] == ["ok", "wrong"]
    assert "s3cret" not in down.out
    # No worker of this dispatcher runs here.
    assert ("workers" in problems(up)) == (dispatcher != "script")
