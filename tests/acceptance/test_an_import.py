"""A file of 20,000 rows comes in whole while people write, whatever dies meanwhile."""

from typing import Any

from sqlalchemy import func, select

from models.accounts import Device, User
from models.chats import Chat, Member
from models.imports import ImportJob
from tests.support import push_processes
from tests.support.client import Reply
from tests.support.running_system import RunningSystem
from tests.support.uploads import crew, json_lines
from tests.support.wait import until

PEOPLE = 6666
ROWS = 3 * PEOPLE + 1
FILE = json_lines(*crew(PEOPLE)) + b"no row at all\n"


def upload(system: RunningSystem) -> str:
    """The address under which the import is followed."""
    headers = {"Content-Type": "application/x-ndjson"}
    started = system.server.client.request("POST", "/import", FILE, headers)
    assert started.status == 202
    return str(started.json["job"]["url"])


def look(system: RunningSystem, url: str) -> dict[str, Any]:
    found: dict[str, Any] = system.server.client.get(url).json
    return found


def wait_until_ended(system: RunningSystem, url: str) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        job = look(system, url)
        return job if job["state"] in ("completed", "failed") else None

    found = until(ended, 180, what="for the import to end")
    assert found is not None
    return found


def counts(system: RunningSystem) -> list[int]:
    with system.store.read() as session:
        return [
            session.scalars(select(func.count()).select_from(model)).one()
            for model in (User, Chat, Device, Member)
        ]


def end(job: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(job[key] for key in ("state", "total", "done", "failed", "changed"))


def test_a_killed_process_loses_nothing_and_doubles_nothing(
    system: RunningSystem,
) -> None:
    conversation = system.conversation(3)
    system.wait_until_ended(conversation, conversation.post("warm up"))
    before = counts(system)
    posts: list[Reply] = []

    url = upload(system)
    until(lambda: posts.append(conversation.post()) or look(system, url)["done"] > 2000)
    for pid in system.push_processes():
        push_processes.kill(pid)
    killed = look(system, url)
    until(
        lambda: posts.append(conversation.post()) or look(system, url)["done"] > 12_000
    )
    job = wait_until_ended(system, url)

    assert (killed["state"], killed["done"] < ROWS) == ("processing", True)
    assert end(job) == ("completed", ROWS + 1, ROWS, 1, ROWS)
    assert [bad["line"] for bad in job["errors"]] == [ROWS + 1]
    new = [after - was for after, was in zip(counts(system), before, strict=True)]
    assert new == [PEOPLE, 1, PEOPLE, PEOPLE]
    jobs = [system.wait_until_ended(conversation, posted) for posted in posts]
    assert {(job["state"], job["accepted"]) for job in jobs} == {("completed", 3)}

    again = wait_until_ended(system, upload(system))
    assert end(again) == ("completed", ROWS + 1, ROWS, 1, 0)


def test_a_power_cut_loses_nothing(system: RunningSystem) -> None:
    url = upload(system)
    until(lambda: look(system, url)["done"] > 2000)

    system.server.kill()
    for pid in system.push_processes():
        push_processes.kill(pid)
    with system.store.read() as session:
        done = session.scalars(select(ImportJob.done)).one()
    system.server.start()

    assert done < ROWS
    job = wait_until_ended(system, url)
    assert end(job) == ("completed", ROWS + 1, ROWS, 1, ROWS)
    assert counts(system) == [PEOPLE, 1, PEOPLE, PEOPLE]


def test_imported_devices_are_pushed_to(system: RunningSystem) -> None:
    rows = json_lines(*crew(20))
    headers = {"Content-Type": "application/x-ndjson"}
    client = system.server.client
    started = client.request("POST", "/import", rows, headers)
    wait_until_ended(system, started.json["job"]["url"])
    owner = client.get("/users?external_id=u-0").json["id"]
    token = client.post(f"/users/{owner}/tokens").json["token"]
    sender = client.as_user(token)
    (chat,) = sender.get("/groupchat").json["conversations"]

    body = {"conversation": chat["id"], "message": "hello"}
    posted = sender.post("/groupchat/send", body)

    url = posted.json["job"]["url"]
    until(lambda: sender.get(url).json["state"] == "completed")
    tokens = sorted(push["token"] for push in system.sandbox.inbox())
    assert tokens == sorted(f"token-{n}" for n in range(1, 20))
