"""Whatever dies in the middle, what was answered is delivered."""

from tests.support import push_processes
from tests.support.running_system import FAST, RunningSystem
from tests.support.sandbox import Sandbox
from tests.support.server import Server
from tests.support.wait import until


def wait_for_some(system: RunningSystem, count: int) -> None:
    """Until so many pushes have arrived; the rest is still on its way."""
    until(lambda: system.sandbox.summary()["accepted"] >= count, what="for some pushes")


def test_a_killed_push_process_repeats_no_more_than_a_batch(
    system: RunningSystem,
) -> None:
    conversation = system.conversation(1000)
    system.sandbox.control(latency_ms=100, max_concurrent_streams=100)

    posted = conversation.post()
    wait_for_some(system, 200)
    for pid in system.push_processes():
        push_processes.kill(pid)
    system.sandbox.control(latency_ms=0, max_concurrent_streams=1000)

    job = system.wait_until_ended(conversation, posted)
    pushed = system.pushed(conversation)
    assert (job["state"], job["total"], job["accepted"]) == ("completed", 1000, 1000)
    assert pushed.keys() == conversation.tokens
    assert pushed.total() - 1000 <= 1000


def test_a_killed_web_worker_takes_no_push_with_it(system: RunningSystem) -> None:
    conversation = system.conversation(50)

    posted = conversation.post()
    system.server.kill()

    # Nobody is there any more to ask for the job; the phones know.
    until(
        lambda: (
            system.pushed(conversation).keys() == conversation.tokens
            or restarted(system)
        )
    )
    until(lambda: system.pushed(conversation).keys() == conversation.tokens)
    assert posted.status == 201


def restarted(system: RunningSystem) -> bool:
    """The worker may have died before it had started a PushProcess."""
    if not system.push_processes():
        system.server.start()
    return True


def test_a_message_posted_while_providers_are_away_arrives_later(
    system: RunningSystem, shared_sandbox: Sandbox
) -> None:
    conversation = system.conversation(10)
    shared_sandbox.kill()

    posted = conversation.post()
    before = system.job(conversation, posted)
    shared_sandbox.restart()

    job = system.wait_until_ended(conversation, posted)
    assert posted.status == 201
    assert before["state"] in ("queued", "processing")
    assert (job["state"], job["accepted"]) == ("completed", 10)
    assert system.pushed(conversation).keys() == conversation.tokens


def test_providers_that_die_in_the_middle_get_the_rest_later(
    system: RunningSystem, shared_sandbox: Sandbox
) -> None:
    conversation = system.conversation(600)
    shared_sandbox.control(latency_ms=100, max_concurrent_streams=50)

    posted = conversation.post()
    wait_for_some(system, 100)
    shared_sandbox.kill()
    shared_sandbox.restart()

    job = system.wait_until_ended(conversation, posted)
    assert (job["state"], job["accepted"], job["failed"]) == ("completed", 600, 0)


def test_a_power_cut_loses_nothing(system: RunningSystem) -> None:
    conversation = system.conversation(300)
    system.sandbox.control(latency_ms=100, max_concurrent_streams=50)

    posted = conversation.post()
    system.server.kill()
    for pid in system.push_processes():
        push_processes.kill(pid)
    system.sandbox.control(latency_ms=0, max_concurrent_streams=1000)
    system.server.start()

    job = system.wait_until_ended(conversation, posted)
    assert (job["state"], job["accepted"]) == ("completed", 300)
    assert system.pushed(conversation).keys() == conversation.tokens


def test_two_hosts_on_one_database_share_the_work(system: RunningSystem) -> None:
    """The second host has a run directory, slots and processes of its own."""
    other_dir = system.run_dir / "b"
    other_dir.mkdir()
    database = system.store.url.render_as_string(hide_password=False)
    environment = {
        **system.sandbox.environment,
        **FAST,
        "BOTTLEPOST_DATABASE_URL": database,
    }
    conversations = [system.conversation(40) for _ in range(6)]

    with Server(other_dir, environment) as other:
        posts = []
        for number, conversation in enumerate(conversations * 3):
            if number % 2:
                sender = other.client.as_user(conversation.sender.token or "")
                body = {"conversation": conversation.id, "message": "from the other"}
                posts.append((conversation, sender.post("/groupchat/send", body)))
            else:
                posts.append((conversation, conversation.post("from here")))
        jobs = [
            system.wait_until_ended(conversation, posted)
            for conversation, posted in posts
        ]
    push_processes.end_all(other_dir)

    assert {job["state"] for job in jobs} == {"completed"}
    assert {job["accepted"] for job in jobs} == {40}
    # Nobody died, so nothing is pushed twice.
    assert set(system.pushed(*conversations).values()) == {3}
