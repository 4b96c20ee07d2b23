"""After the deletion of a user, SQLite's files hold nothing of what the user was."""

import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from sqlalchemy import update

from datastore import deletions, imports, sqlite
from models.base import utc_now
from models.imports import Row
from models.pushes import PushFailure, PushJob
from tests.support.chat_api import ChatApi, User
from tests.support.deletions import begin, finish

# Enough for several pages of each index, so that pages are split.
MESSAGES = 150
SECRETS = (
    *("name", "former", "external", "avatar", "mail", "fcm", "text"),
    *("data", "client", "notification", "reason", "import", "uploaded"),
)


def secret(kind: str, number: int = 0) -> str:
    return f"zq{kind}zq{number:04d}"


def plant(chat_api: ChatApi, others: Iterable[User]) -> int:
    """A user whose secrets stand everywhere, among those of others; returns the id."""
    service = chat_api.service
    new = {
        "name": secret("former"),
        "external_id": secret("external"),
        "avatar_url": f"https://example.org/{secret('avatar')}",
    }
    made = service.post("/users", new).json
    user = made["id"]
    service.patch(f"/users/{user}", {"name": secret("name") + " of some more letters"})
    for platform, token in (
        ("email", f"{secret('mail')}@example.org"),
        ("fcm", secret("fcm")),
    ):
        device = {"platform": platform, "token": token}
        device_id = service.post(f"/users/{user}/devices", device).json["id"]
    chat = service.post(
        "/groupchat", {"name": "Lunch", "members": [user, *(o.id for o in others)]}
    ).json["id"]
    senders = [user, *(other.id for other in others)]
    order = [(sender, n) for n in range(MESSAGES) for sender in senders]
    random.Random(7).shuffle(order)
    job = 0
    for sender, n in order:
        body = {
            "conversation": chat,
            "sender": sender,
            "message": secret("text", n) if sender == user else "some other text",
            "client_id": f"{n % 7}-{secret('client', n) if sender == user else n}",
        }
        if sender == user:
            body["data"] = {"key": secret("data", n)}
            body["notification"] = {
                "apns": {"aps": {"sound": secret("notification", n)}}
            }
        sent = service.post("/groupchat/send", body).json
        job = sent["job"]["id"]
    fail(chat_api, job, device_id)
    upload(chat_api)
    return int(user)


def fail(chat_api: ChatApi, job: int, device_id: int) -> None:
    """As the notifier records what a server says."""
    reason = f"550 <{secret('mail')}@example.org> {secret('reason')}"
    values = {"job_id": job, "device_id": device_id, "attempts": 1}
    with chat_api.store.write() as session:
        session.add(PushFailure(**values, outcome="refused", reason=reason))
        error = f"email: {secret('mail')}@example.org {secret('reason')}"
        session.execute(update(PushJob).where(PushJob.id == job).values(error=error))


def upload(chat_api: ChatApi) -> None:
    """An import that has not been applied."""
    of_user = {"external_id": secret("external"), "name": secret("import")}
    device = {
        "user": secret("external"),
        "platform": "fcm",
        "token": secret("uploaded"),
    }
    rows = [
        Row(1, "user", of_user),
        Row(2, "user", {"external_id": "other", "name": "Other"}),
        Row(3, "device", device),
    ]
    with chat_api.store.write() as session:
        import_id = imports.begin(session, utc_now())
        imports.add(session, import_id, rows, [])
        imports.close(session, import_id, utc_now())


def found_in_files(directory: Path) -> set[str]:
    """The kinds of secrets in the files of the database."""
    content = b"".join(path.read_bytes() for path in directory.glob("test.db*"))
    return {kind for kind in SECRETS if f"zq{kind}zq".encode() in content}


def test_no_byte_of_a_deleted_user_is_left(
    chat_api: ChatApi, ann: User, bob: User, tmp_path: Path
) -> None:
    user = plant(chat_api, [ann, bob])
    before = found_in_files(tmp_path)

    begin(chat_api.service, user)
    finish(chat_api.store)

    # The name before the last change may have been overwritten.
    assert before >= set(SECRETS) - {"former"}
    assert found_in_files(tmp_path) == set()


def test_a_large_file_keeps_no_texts_names_and_tokens(
    chat_api: ChatApi,
    ann: User,
    bob: User,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sqlite, "VACUUM_BYTES", 0)
    user = plant(chat_api, [ann, bob])

    begin(chat_api.service, user)
    finish(chat_api.store)

    # Only indexes whose pages have been split may keep copies of their keys.
    assert found_in_files(tmp_path) <= {"client"}


def test_a_reader_delays_the_end_of_a_deletion(
    chat_api: ChatApi, ann: User, tmp_path: Path
) -> None:
    begin(chat_api.service, ann.id)
    with chat_api.store.engine.connect() as reader:
        reader.exec_driver_sql("SELECT count(*) FROM user").all()
        for _ in range(30):
            deletions.go_on(chat_api.store)
        during = chat_api.service.get("/deletions/1").json["state"]
    finish(chat_api.store)

    assert during == "processing"
