"""Keys that are wrong, or a provider that is not who it claims to be, lose nobody."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile

from tests.support import device_outcomes, push_processes, tls
from tests.support.client import Reply
from tests.support.running_system import FAST, Conversation, RunningSystem
from tests.support.sandbox import Sandbox
from tests.support.server import Server
from tests.support.wait import until

APNS_KEY, FCM_KEY = "BOTTLEPOST_APNS_KEY_FILE", "BOTTLEPOST_FCM_CREDENTIALS_FILE"
DEVICES = 10


@contextmanager
def running(run_dir: Path, sandbox: Sandbox, **changes: str) -> Iterator[RunningSystem]:
    sandbox.reset()
    environment = {**sandbox.environment, **FAST, **changes}
    with Server(run_dir, environment) as server:
        yield RunningSystem(run_dir, server, sandbox)
    push_processes.end_all(run_dir)


def start_anew(system: RunningSystem) -> None:
    """As an operator does who has mended something."""
    system.server.stop()
    for pid in system.push_processes():
        push_processes.stop(pid)
    system.server.start()


def wait_until_all_wait(
    system: RunningSystem, posted: Reply
) -> dict[str, device_outcomes.DeviceOutcome]:
    job_id = posted.json["job"]["id"]
    until(lambda: len(device_outcomes.of_job(system.store, job_id)) == DEVICES)
    until(lambda: device_outcomes.is_idle(system.store, job_id))
    return device_outcomes.of_job(system.store, job_id)


def deliver(system: RunningSystem, conversation: Conversation, posted: Reply) -> None:
    """The time for another try has come, and nobody was forgotten."""
    device_outcomes.make_retries_due(system.store, posted.json["job"]["id"])
    job = system.wait_until_ended(conversation, posted)
    assert (job["state"], job["error"]) == ("completed", None)
    assert (job["accepted"], job["failed"]) == (DEVICES, 0)
    assert system.pushed(conversation) == dict.fromkeys(conversation.tokens, 1)


def test_wrong_keys_keep_every_device_and_are_told_until_they_are_mended(
    shared_sandbox: Sandbox, tmp_path: Path
) -> None:
    right = shared_sandbox.environment
    # The keys of other accounts: those of a sandbox that nobody has started.
    other = Sandbox(tmp_path / "other").start()
    other.kill()
    keys = {name: str(tmp_path / name) for name in (APNS_KEY, FCM_KEY)}
    copyfile(other.environment[APNS_KEY], keys[APNS_KEY])
    account = Path(right[FCM_KEY]).read_text()
    wrong = Path(other.environment[FCM_KEY]).read_text()
    Path(keys[FCM_KEY]).write_text(with_the_key_of(account, wrong))

    with running(tmp_path, shared_sandbox, **keys) as system:
        conversation = system.conversation(DEVICES)
        posted = conversation.post()
        waiting = wait_until_all_wait(system, posted)

        job = system.job(conversation, posted)
        assert {end.outcome for end in waiting.values()} == {"credentials"}
        assert (job["state"], job["failed"]) == ("processing", 0)
        assert job["error"]
        assert device_outcomes.disabled(system.store, conversation.tokens) == set()
        check_troubles(system)

        for name, copy in keys.items():
            copyfile(right[name], copy)
        start_anew(system)
        deliver(system, conversation, posted)
        until(lambda: system.server.client.get("/readyz").json["troubles"] == [])


def with_the_key_of(account: str, other: str) -> str:
    mine, theirs = json.loads(account), json.loads(other)
    return json.dumps(mine | {"private_key": theirs["private_key"]})


def check_troubles(system: RunningSystem) -> None:
    """Where an operator looks; the job is looked at by its sender."""
    ready = system.server.client.get("/readyz")
    routes = sorted(trouble["route"].split()[0] for trouble in ready.json["troubles"])
    log = (system.run_dir / "push" / "push.log").read_text()
    assert ready.status == 200
    assert routes == ["apns", "fcm"]
    assert "InvalidProviderToken" in log
    assert "invalid_grant" in log


def test_a_provider_with_a_foreign_certificate_is_given_no_token(
    shared_sandbox: Sandbox, tmp_path: Path
) -> None:
    right = shared_sandbox.environment["BOTTLEPOST_CA_FILE"]
    ca_file = tmp_path / "trusted.pem"
    copyfile(tls.authority().ca_file, ca_file)

    with running(tmp_path, shared_sandbox, BOTTLEPOST_CA_FILE=str(ca_file)) as system:
        conversation = system.conversation(DEVICES)
        posted = conversation.post()
        waiting = wait_until_all_wait(system, posted)

        assert {(end.outcome, end.attempts) for end in waiting.values()} == {
            ("later", 0)
        }
        assert all("CERTIFICATE" in end.reason.upper() for end in waiting.values())
        assert device_outcomes.disabled(system.store, conversation.tokens) == set()
        assert shared_sandbox.stats()["apns_jwts_seen"] == 0
        assert shared_sandbox.stats()["oauth_tokens_issued"] == 0

        copyfile(right, ca_file)
        start_anew(system)
        deliver(system, conversation, posted)
