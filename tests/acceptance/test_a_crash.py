"""Whatever dies in the middle, what was answered is delivered."""

from tests.support import push_processes
from tests.support.sandbox import Sandbox
from tests.support.scene import FAST, Scene
from tests.support.server import Server
from tests.support.wait import until


def wait_for_some(scene: Scene, count: int) -> None:
    """Until so many pushes have arrived; the rest is still on its way."""
    until(lambda: scene.sandbox.summary()["accepted"] >= count, what="for some pushes")


def test_a_killed_push_process_repeats_no_more_than_a_batch(scene: Scene) -> None:
    talk = scene.talk(1000)
    scene.sandbox.control(latency_ms=100, max_concurrent_streams=100)

    posted = talk.post()
    wait_for_some(scene, 200)
    for pid in scene.push_processes():
        push_processes.kill(pid)
    scene.sandbox.control(latency_ms=0, max_concurrent_streams=1000)

    job = scene.wait_until_ended(talk, posted)
    pushed = scene.pushed(talk)
    assert (job["state"], job["total"], job["accepted"]) == ("completed", 1000, 1000)
    assert pushed.keys() == talk.tokens
    assert pushed.total() - 1000 <= 1000


def test_a_killed_web_worker_takes_no_push_with_it(scene: Scene) -> None:
    talk = scene.talk(50)

    posted = talk.post()
    scene.server.kill()

    # Nobody is there any more to ask for the job; the phones know.
    until(lambda: scene.pushed(talk).keys() == talk.tokens or restarted(scene))
    until(lambda: scene.pushed(talk).keys() == talk.tokens)
    assert posted.status == 201


def restarted(scene: Scene) -> bool:
    """The worker may have died before it had started a PushProcess."""
    if not scene.push_processes():
        scene.server.start()
    return True


def test_a_message_posted_while_providers_are_away_arrives_later(
    scene: Scene, shared_sandbox: Sandbox
) -> None:
    talk = scene.talk(10)
    shared_sandbox.kill()

    posted = talk.post()
    before = scene.job(talk, posted)
    shared_sandbox.restart()

    job = scene.wait_until_ended(talk, posted)
    assert posted.status == 201
    assert before["state"] in ("queued", "processing")
    assert (job["state"], job["accepted"]) == ("completed", 10)
    assert scene.pushed(talk).keys() == talk.tokens


def test_providers_that_die_in_the_middle_get_the_rest_later(
    scene: Scene, shared_sandbox: Sandbox
) -> None:
    talk = scene.talk(600)
    shared_sandbox.control(latency_ms=100, max_concurrent_streams=50)

    posted = talk.post()
    wait_for_some(scene, 100)
    shared_sandbox.kill()
    shared_sandbox.restart()

    job = scene.wait_until_ended(talk, posted)
    assert (job["state"], job["accepted"], job["failed"]) == ("completed", 600, 0)


def test_a_power_cut_loses_nothing(scene: Scene) -> None:
    talk = scene.talk(300)
    scene.sandbox.control(latency_ms=100, max_concurrent_streams=50)

    posted = talk.post()
    scene.server.kill()
    for pid in scene.push_processes():
        push_processes.kill(pid)
    scene.sandbox.control(latency_ms=0, max_concurrent_streams=1000)
    scene.server.start()

    job = scene.wait_until_ended(talk, posted)
    assert (job["state"], job["accepted"]) == ("completed", 300)
    assert scene.pushed(talk).keys() == talk.tokens


def test_two_hosts_on_one_database_share_the_work(scene: Scene) -> None:
    """The second host has a run directory, slots and processes of its own."""
    other_dir = scene.run_dir / "other"
    other_dir.mkdir()
    database = scene.store.url.render_as_string(hide_password=False)
    environment = {
        **scene.sandbox.environment,
        **FAST,
        "BOTTLEPOST_DATABASE_URL": database,
    }
    talks = [scene.talk(40) for _ in range(6)]

    with Server(other_dir, environment) as other:
        posts = []
        for number, talk in enumerate(talks * 3):
            if number % 2:
                sender = other.client.as_user(talk.sender.token or "")
                body = {"conversation": talk.chat, "message": "from the other"}
                posts.append((talk, sender.post("/groupchat/send", body)))
            else:
                posts.append((talk, talk.post("from here")))
        jobs = [scene.wait_until_ended(talk, posted) for talk, posted in posts]
    push_processes.end_all(other_dir)

    assert {job["state"] for job in jobs} == {"completed"}
    assert {job["accepted"] for job in jobs} == {40}
    # Nobody died, so nothing is pushed twice.
    assert set(scene.pushed(*talks).values()) == {3}
