"""The deletion of users: what is gone, when, and what others notice."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select, update

from datastore import Datastore, deletions, imports
from models.accounts import ApiToken, Device
from models.accounts import User as UserRow
from models.base import utc_now
from models.chats import ClientId, Departure, Member, Message
from models.deletions import UserDeletion
from models.imports import ImportChunk, ImportProblem, Row
from models.pushes import PushFailure, PushJob
from tests.support import chats as rooms
from tests.support.chat_api import ON_EVERY_DATABASE, ChatApi, User
from tests.support.child_processes import Child
from tests.support.deletions import begin, finish

RESPONSE = "550 5.1.1 <{}> unknown"


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests leave all steps to others."""
    monkeypatch.setattr("api.deletions.REQUEST_S", 0.0)


def messages_of(client: Any, chat: int) -> list[tuple[int, str, str]]:
    found = client.get(f"/groupchat/{chat}/messages?limit=200").json["messages"]
    return [(each["sender"], each["sender_name"], each["text"]) for each in found]


@ON_EVERY_DATABASE
def test_all_ends_at_once_that_the_user_could_do(
    chat_api: ChatApi, ann: User, bob: User, chat: int, slow: None
) -> None:
    chat_api.service.post("/users", {"name": "Cid", "external_id": "c-1"})
    [cid] = [chat_api.service.get("/users?external_id=c-1").json["id"]]

    for user_id in (ann.id, cid):
        begin(chat_api.service, user_id)

    assert ann.client.get("/me").code == "unauthorized"
    assert chat_api.say(ann, chat, "hi").status == 401
    users = chat_api.service.get("/users").json["users"]
    assert [user["name"] for user in users] == ["Bob"]
    for method, path, body in (
        ("GET", f"/users/{ann.id}", None),
        ("PATCH", f"/users/{ann.id}", {"name": "x"}),
        ("POST", f"/users/{ann.id}/tokens", {}),
        ("GET", f"/users/{ann.id}/tokens", None),
        ("GET", f"/users/{ann.id}/devices", None),
        ("GET", f"/users/{ann.id}/export", None),
        ("GET", "/users?external_id=c-1", None),
        ("POST", f"/users/{ann.id}/devices", {"platform": "fcm", "token": "x"}),
        ("POST", f"/groupchat/{chat}/members", {"user_ids": [ann.id]}),
        ("POST", "/groupchat", {"name": "x", "members": [ann.id]}),
    ):
        assert chat_api.service.request(method, path, body).status == 404, path
    new = chat_api.service.post("/users", {"name": "New", "external_id": "c-1"})
    assert (new.status, new.json["id"] != cid) == (201, True)


@ON_EVERY_DATABASE
def test_others_see_a_deleted_user_without_texts(
    chat_api: ChatApi, ann: User, bob: User, chat: int
) -> None:
    chat_api.say(ann, chat, "secret")
    chat_api.say(bob, chat, "mine")
    chat_api.say(ann, chat, "secret, too")

    deletion = begin(chat_api.service, ann.id)
    finish(chat_api.store)

    assert messages_of(bob.client, chat) == [
        (ann.id, "Deleted user", ""),
        (bob.id, "Bob", "mine"),
        (ann.id, "Deleted user", ""),
    ]
    shown = chat_api.service.get(f"/deletions/{deletion}").json
    gone = {name: shown[name] for name in ("tokens", "memberships", "messages")}
    assert gone == {"tokens": 1, "memberships": 1, "messages": 2}
    assert (shown["state"], shown["error"]) == ("completed", None)
    [conversation] = bob.client.get("/groupchat").json["conversations"]
    # The only owner has gone.
    assert (conversation["unread"], conversation["role"]) == (0, "owner")
    assert chat_api.service.get(f"/groupchat/{chat}").json["members"] == [bob.id]


@ON_EVERY_DATABASE
def test_texts_are_kept_until_another_request_wants_them_gone(
    chat_api: ChatApi, ann: User, bob: User, chat: int
) -> None:
    chat_api.say(ann, chat, "hi", client_id="a-1")

    kept = begin(chat_api.service, ann.id, "keep")
    finish(chat_api.store)
    before = messages_of(bob.client, chat)
    same = begin(chat_api.service, ann.id)
    finish(chat_api.store)

    assert before == [(ann.id, "Deleted user", "hi")]
    assert same == kept
    assert messages_of(bob.client, chat) == [(ann.id, "Deleted user", "")]
    assert chat_api.service.get(f"/deletions/{kept}").json["texts"] == "erase"


@ON_EVERY_DATABASE
def test_nothing_of_the_user_is_left_in_any_table(
    chat_api: ChatApi, ann: User, bob: User, chat: int
) -> None:
    mail = {"platform": "email", "token": "ann@example.org"}
    device = chat_api.service.post(f"/users/{ann.id}/devices", mail).json["id"]
    left = chat_api.chat(bob, ann, name="Left")
    chat_api.say(ann, left, "hi", client_id="a-1")
    ann.client.delete(f"/groupchat/{left}/members/{ann.id}")
    job = chat_api.say(bob, chat, "hi").json["job"]["id"]
    _fail(chat_api.store, job, device, "ann@example.org")
    ended = chat_api.chat(ann, bob, name="Ended")
    chat_api.say(ann, ended, "hi")
    chat_api.service.delete(f"/groupchat/{ended}")

    begin(chat_api.service, ann.id)
    finish(chat_api.store)

    with chat_api.store.read() as session:
        for model, user in (
            (ApiToken, ApiToken.user_id),
            (Device, Device.user_id),
            (Member, Member.user_id),
            (Departure, Departure.user_id),
            (ClientId, ClientId.sender_id),
        ):
            assert not session.scalars(select(model).where(user == ann.id)).all(), model
        texts = select(Message.text).where(Message.sender_id == ann.id)
        assert session.scalars(texts).all() == ["", ""]
        assert session.scalars(select(PushFailure.reason)).all() == [""]
        error = session.scalar(select(PushJob.error).where(PushJob.id == job))
        assert error == "email: the reason was erased with a user"
        [row] = session.scalars(select(UserDeletion)).all()
        assert (row.external_id, row.remembered) == (None, None)


def _fail(store: Datastore, job: int, device: int, address: str) -> None:
    """As the notifier records it when a server refuses an address."""
    reason = RESPONSE.format(address)
    with store.write() as session:
        session.add(
            PushFailure(
                job_id=job,
                device_id=device,
                outcome="refused",
                reason=reason,
                attempts=1,
            )
        )
        ended = {"error": f"email: {reason}", "state": "failed", "due_at": None}
        session.execute(
            update(PushJob)
            .where(PushJob.id == job)
            .values(**ended, finished_at=utc_now())
        )


@ON_EVERY_DATABASE
def test_several_requests_at_once_begin_one_deletion(
    chat_api: ChatApi, ann: User
) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: begin(chat_api.service, ann.id), range(8)))

    finish(chat_api.store)

    assert len(found) == 1


@ON_EVERY_DATABASE
def test_what_the_user_sends_meanwhile_is_refused_or_erased(
    chat_api: ChatApi, ann: User, bob: User, chat: int
) -> None:
    sent, refused = threading.Event(), []

    def send() -> None:
        for number in range(2000):
            reply = chat_api.say(ann, chat, "secret", client_id=f"a-{number}")
            sent.set()
            if reply.status != 201:
                refused.append(reply.status)
                return

    sender = threading.Thread(target=send)
    sender.start()
    assert sent.wait(30)
    begin(chat_api.service, ann.id)
    sender.join(60)
    finish(chat_api.store)

    assert refused[0] in (401, 404)
    with chat_api.store.read() as session:
        assert set(session.scalars(select(Message.text))) == {""}
        assert not session.scalars(select(ClientId.client_id)).all()
    assert chat_api.service.get(f"/groupchat/{chat}").json["members"] == [bob.id]
    assert bob.client.get("/groupchat").json["conversations"][0]["unread"] == 0


USER_ROWS = [
    Row(1, "user", {"external_id": "c-1", "name": "Cid"}),
    Row(2, "user", {"external_id": "d-1", "name": "Dora"}),
    Row(3, "device", {"user": "c-1", "platform": "fcm", "token": "of-cid"}),
]


def _upload(store: Datastore, *, closed: bool) -> int:
    now = utc_now()
    with store.write() as session:
        import_id = imports.begin(session, now)
        imports.add(session, import_id, USER_ROWS, [])
        if closed:
            imports.close(session, import_id, now)
    return import_id


@ON_EVERY_DATABASE
@pytest.mark.parametrize("is_deleted_first", [True, False])
def test_an_import_that_runs_does_not_create_the_user_again(
    chat_api: ChatApi, slow: None, is_deleted_first: bool
) -> None:
    new = {"name": "Cid", "external_id": "c-1"}
    cid = chat_api.service.post("/users", new).json["id"]
    import_id = _upload(chat_api.store, closed=True)
    begin(chat_api.service, cid)

    for step in (lambda: finish(chat_api.store), chat_api.work)[
        :: 1 if is_deleted_first else -1
    ]:
        step()
    finish(chat_api.store)

    names = [each["name"] for each in chat_api.service.get("/users").json["users"]]
    assert names == ["Dora"]
    shown = chat_api.service.get(f"/imports/{import_id}").json
    assert (shown["state"], shown["done"], shown["failed"]) == ("completed", 1, 2)
    with chat_api.store.read() as session:
        assert not session.scalars(select(ImportChunk)).all()
        assert len(session.scalars(select(ImportProblem)).all()) == 2


def test_a_deletion_waits_for_an_upload_that_is_being_received(
    chat_api: ChatApi, slow: None
) -> None:
    new = {"name": "Cid", "external_id": "c-1"}
    cid = chat_api.service.post("/users", new).json["id"]
    import_id = _upload(chat_api.store, closed=False)
    deletion = begin(chat_api.service, cid)

    for _ in range(50):
        deletions.go_on(chat_api.store)

    assert chat_api.service.get(f"/deletions/{deletion}").json["state"] == "processing"
    with chat_api.store.write() as session:
        imports.close(session, import_id, utc_now())
    finish(chat_api.store)


@ON_EVERY_DATABASE
def test_what_an_older_version_adds_meanwhile_is_removed_at_the_end(
    chat_api: ChatApi, ann: User, bob: User, chat: int
) -> None:
    begin(chat_api.service, ann.id)
    finish(chat_api.store)
    with chat_api.store.write() as session:
        session.execute(update(UserRow).where(UserRow.id == ann.id).values(name="Ann"))
        session.execute(
            update(UserDeletion).values(
                stage="rest", due_at=utc_now(), state="processing"
            )
        )
        # It posts, too, as the service in the name of the user.
        session.add(
            Member(
                chat_id=chat, user_id=ann.id, role="member", joined_seq=0, read_seq=0
            )
        )
    rooms.post(chat_api.store, chat, text="late")

    finish(chat_api.store)

    assert messages_of(bob.client, chat) == [(ann.id, "Deleted user", "")]
    assert chat_api.service.get(f"/groupchat/{chat}").json["members"] == [bob.id]


@ON_EVERY_DATABASE
def test_queued_pushes_of_and_to_the_user_end(
    chat_api: ChatApi, ann: User, bob: User, chat: int
) -> None:
    ann.client.post("/devices", {"platform": "fcm", "token": "of-ann"})
    jobs = [
        chat_api.say(who, chat, "hi").json["job"]["id"] for who in (ann, bob, ann, bob)
    ]

    begin(chat_api.service, ann.id)
    finish(chat_api.store)
    chat_api.work()

    seen = [chat_api.service.get(f"/jobs/{job}").json for job in jobs]
    # Nobody is left to whom Bob's messages are pushed.
    assert [(job["state"], job["total"]) for job in seen][1::2] == [
        ("completed", 0)
    ] * 2
    assert rooms.open_jobs(chat_api.store) == 0


def test_what_is_said_about_a_push_under_way_is_erased_too(
    chat_api: ChatApi, ann: User, bob: User, chat: int
) -> None:
    mail = {"platform": "email", "token": "ann@example.org"}
    device = chat_api.service.post(f"/users/{ann.id}/devices", mail).json["id"]
    job = chat_api.say(bob, chat, "hi").json["job"]["id"]
    of_job = update(PushJob).where(PushJob.id == job)
    with chat_api.store.write() as session:
        session.execute(of_job.values(lease_owner="an engine"))

    deletion = begin(chat_api.service, ann.id)
    for _ in range(20):
        deletions.go_on(chat_api.store)
    during = chat_api.service.get(f"/deletions/{deletion}").json["state"]
    _fail(chat_api.store, job, device, "ann@example.org")
    with chat_api.store.write() as session:
        session.execute(of_job.values(lease_owner=None))
    finish(chat_api.store)

    assert during == "processing"
    with chat_api.store.read() as session:
        assert session.scalars(select(PushFailure.reason)).all() == [""]


@ON_EVERY_DATABASE
def test_a_killed_process_is_followed_by_the_next_one(
    chat_api: ChatApi, ann: User, bob: User, chat: int, slow: None
) -> None:
    for n in range(30):
        chat_api.say(ann, chat, "secret", client_id=f"a-{n}")
    begin(chat_api.service, ann.id)
    url = chat_api.store.url.render_as_string(hide_password=False)
    steps = 0

    for lines in (1, 2, 3):
        child = Child(["tests.support.deletions"], {"DATABASE_URL": url})
        assert child.receive() == "ready"
        for _ in range(lines):
            child.send("go on")
            steps += child.receive() == "True"
        # In the middle of a step, or before it.
        child.send("go on")
        child.kill()
    finish(chat_api.store)

    assert steps == 6
    assert {text for _, _, text in messages_of(bob.client, chat)} == {""}
    assert chat_api.service.get(f"/groupchat/{chat}").json["members"] == [bob.id]
    assert bob.client.get("/groupchat").json["conversations"][0]["unread"] == 0


def test_a_deletion_that_fails_is_put_off_and_holds_up_no_other(
    chat_api: ChatApi, ann: User, bob: User, slow: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = begin(chat_api.service, ann.id), begin(chat_api.service, bob.id)
    usual = deletions.deletion_stages.STEPS["access"]

    def step(session: Any, deletion: UserDeletion, now: Any) -> bool:
        if deletion.id == first:
            raise ValueError("broken")
        return usual(session, deletion, now)

    steps = {**deletions.deletion_stages.STEPS, "access": step}
    monkeypatch.setattr(deletions.deletion_stages, "STEPS", steps)
    for _ in range(50):
        deletions.go_on(chat_api.store)

    shown = [
        chat_api.service.get(f"/deletions/{each}").json for each in (first, second)
    ]
    assert [each["state"] for each in shown] == ["queued", "completed"]
    assert shown[0]["error"] == "internal error; see the log"


@pytest.mark.parametrize("query", ["texts=some", "texts=", "text=keep"])
def test_an_unknown_choice_is_refused(chat_api: ChatApi, ann: User, query: str) -> None:
    assert chat_api.service.delete(f"/users/{ann.id}?{query}").status == 400
    assert ann.client.get("/me").status == 200


def test_an_unknown_user_cannot_be_deleted(chat_api: ChatApi) -> None:
    assert chat_api.service.delete("/users/999").status == 404
