"""A file of 20,000 rows comes in whole while people write, whatever dies meanwhile."""

from typing import Any

from sqlalchemy import func, select

from models.accounts import Device, User
from models.chats import Chat, Member
from models.imports import ImportJob
from tests.support import push_processes
from tests.support.client import Reply
from tests.support.scene import Scene
from tests.support.uploads import crew, json_lines
from tests.support.wait import until

PEOPLE = 6666
ROWS = 3 * PEOPLE + 1
FILE = json_lines(*crew(PEOPLE)) + b"no row at all\n"


def upload(scene: Scene) -> str:
    """The address under which the import is followed."""
    headers = {"Content-Type": "application/x-ndjson"}
    started = scene.server.client.request("POST", "/import", FILE, headers)
    assert started.status == 202
    return str(started.json["job"]["url"])


def look(scene: Scene, url: str) -> dict[str, Any]:
    found: dict[str, Any] = scene.server.client.get(url).json
    return found


def wait_until_ended(scene: Scene, url: str) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        job = look(scene, url)
        return job if job["state"] in ("completed", "failed") else None

    found = until(ended, 180, what="for the import to end")
    assert found is not None
    return found


def counts(scene: Scene) -> list[int]:
    with scene.store.read() as session:
        return [
            session.scalars(select(func.count()).select_from(model)).one()
            for model in (User, Chat, Device, Member)
        ]


def end(job: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(job[key] for key in ("state", "total", "done", "failed", "changed"))


def test_a_killed_process_loses_nothing_and_doubles_nothing(scene: Scene) -> None:
    talk = scene.talk(3)
    scene.wait_until_ended(talk, talk.post("warm up"))
    before = counts(scene)
    posts: list[Reply] = []

    url = upload(scene)
    until(lambda: posts.append(talk.post()) or look(scene, url)["done"] > 2000)
    for pid in scene.push_processes():
        push_processes.kill(pid)
    killed = look(scene, url)
    until(lambda: posts.append(talk.post()) or look(scene, url)["done"] > 12_000)
    job = wait_until_ended(scene, url)

    assert (killed["state"], killed["done"] < ROWS) == ("processing", True)
    assert end(job) == ("completed", ROWS + 1, ROWS, 1, ROWS)
    assert [bad["line"] for bad in job["errors"]] == [ROWS + 1]
    new = [after - was for after, was in zip(counts(scene), before, strict=True)]
    assert new == [PEOPLE, 1, PEOPLE, PEOPLE]
    jobs = [scene.wait_until_ended(talk, posted) for posted in posts]
    assert {(job["state"], job["accepted"]) for job in jobs} == {("completed", 3)}

    again = wait_until_ended(scene, upload(scene))
    assert end(again) == ("completed", ROWS + 1, ROWS, 1, 0)


def test_a_power_cut_loses_nothing(scene: Scene) -> None:
    url = upload(scene)
    until(lambda: look(scene, url)["done"] > 2000)

    scene.server.kill()
    for pid in scene.push_processes():
        push_processes.kill(pid)
    with scene.store.read() as session:
        done = session.scalars(select(ImportJob.done)).one()
    scene.server.start()

    assert done < ROWS
    job = wait_until_ended(scene, url)
    assert end(job) == ("completed", ROWS + 1, ROWS, 1, ROWS)
    assert counts(scene) == [PEOPLE, 1, PEOPLE, PEOPLE]


def test_imported_devices_are_pushed_to(scene: Scene) -> None:
    rows = json_lines(*crew(20))
    headers = {"Content-Type": "application/x-ndjson"}
    client = scene.server.client
    started = client.request("POST", "/import", rows, headers)
    wait_until_ended(scene, started.json["job"]["url"])
    owner = client.get("/users?external_id=u-0").json["id"]
    token = client.post(f"/users/{owner}/tokens").json["token"]
    sender = client.as_user(token)
    (chat,) = sender.get("/groupchat").json["conversations"]

    body = {"conversation": chat["id"], "message": "hello"}
    posted = sender.post("/groupchat/send", body)

    url = posted.json["job"]["url"]
    until(lambda: sender.get(url).json["state"] == "completed")
    tokens = sorted(push["token"] for push in scene.sandbox.inbox())
    assert tokens == sorted(f"token-{n}" for n in range(1, 20))
