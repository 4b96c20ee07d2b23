"""POST /import: accepted and refused files, and their cleanup."""

import io
import json
import threading
import tracemalloc
from typing import Any

import pytest
from sqlalchemy import func, select

from api.imports import MAX_ROWS, UPLOAD_LIMIT
from api.uploads import CSV, JSON_LINES
from models.imports import ImportChunk, ImportJob
from tests.support.chat_api import ON_EVERY_DATABASE, ChatApi
from tests.support.client import Reply
from tests.support.uploads import crew, json_lines, member, user

# The host marks the end of a body, but reports a truncated one as a normal end.
ENDS = {"wsgi.input_terminated": True}
FORMER = {"type": "user", "external_id": "u-1", "name": "Ann"}


def upload(
    chat_api: ChatApi, body: bytes, media_type: str = JSON_LINES, **more: Any
) -> Reply:
    return chat_api.service.request(
        "POST", "/import", body, CONTENT_TYPE=media_type, **more
    )


def finished(chat_api: ChatApi, started: Reply) -> dict[str, Any]:
    chat_api.work()
    found: dict[str, Any] = chat_api.service.get(started.json["job"]["url"]).json
    return found


def count(chat_api: ChatApi, model: type) -> int:
    with chat_api.store.read() as session:
        return session.scalars(select(func.count()).select_from(model)).one()


@ON_EVERY_DATABASE
def test_a_file_is_answered_and_then_worked_in(chat_api: ChatApi) -> None:
    started = upload(chat_api, json_lines(*crew(700)))
    waiting = chat_api.service.get(started.json["job"]["url"]).json

    done = finished(chat_api, started)

    assert started.status == 202
    assert chat_api.dispatcher.job_ids == [0]
    assert (waiting["state"], waiting["total"], waiting["done"]) == ("queued", 2101, 0)
    assert (done["state"], done["done"], done["failed"]) == ("completed", 2101, 0)
    assert (done["changed"], done["errors"]) == (2101, [])


@ON_EVERY_DATABASE
def test_the_same_file_again_changes_nothing(chat_api: ChatApi) -> None:
    first = finished(chat_api, upload(chat_api, json_lines(*crew(300))))

    second = finished(chat_api, upload(chat_api, json_lines(*crew(300))))

    assert (first["changed"], second["changed"]) == (901, 0)
    assert (second["done"], second["failed"]) == (901, 0)


def test_bad_lines_are_reported_and_the_others_done(chat_api: ChatApi) -> None:
    body = json_lines(user("u-1"), user("u 2"), member("nowhere", "u-1")) + b"{\n\n"

    done = finished(chat_api, upload(chat_api, body + json_lines(user("u-3"))))

    assert (done["state"], done["total"], done["done"]) == ("completed", 5, 2)
    assert done["failed"] == 3
    assert [(bad["line"], bad["field"]) for bad in done["errors"]] == [
        (2, "external_id"),
        (3, "conversation"),
        (4, ""),
    ]
    assert all(bad["message"] for bad in done["errors"])


def test_csv_does_the_same(chat_api: ChatApi) -> None:
    body = (
        b"type,external_id,name,user,conversation,platform,token,role\n"
        b"user,u-1,Ann,,,,,\nconversation,c-1,Lunch,,,,,\n"
        b"device,,,u-1,,apns,abc,\nmember,,,u-1,c-1,,,owner\nship,,,,,,,\n"
    )

    done = finished(chat_api, upload(chat_api, body, f"{CSV}; charset=utf-8"))

    assert (done["done"], done["failed"], done["errors"][0]["line"]) == (4, 1, 6)


def test_imported_user_is_found_and_reads_their_conversation(chat_api: ChatApi) -> None:
    finished(chat_api, upload(chat_api, json_lines(*crew(3))))

    ann = chat_api.service.get("/users?external_id=u-1").json
    token = chat_api.service.post(f"/users/{ann['id']}/tokens", {}).json["token"]
    chats = chat_api.anonymous.as_user(token).get("/groupchat").json["conversations"]

    assert (ann["external_id"], ann["name"]) == ("u-1", "User 1")
    assert [(chat["name"], chat["role"]) for chat in chats] == [("The crew", "member")]


def test_unknown_user_and_import_are_not_found(chat_api: ChatApi) -> None:
    assert chat_api.service.get("/users?external_id=nobody").status == 404
    assert chat_api.service.get("/imports/1").status == 404


@pytest.mark.parametrize(
    ("body", "environ", "status", "code"),
    [
        (b"", {}, 400, "invalid"),
        (b"\n\n", {}, 400, "invalid"),
        (b"ship\nx", {"CONTENT_TYPE": CSV}, 400, "invalid"),
        (b"{}", {"CONTENT_TYPE": "application/json"}, 415, "unsupported_type"),
        (b"{}", {"CONTENT_TYPE": ""}, 415, "unsupported_type"),
        (b"{}", {"CONTENT_LENGTH": str(UPLOAD_LIMIT + 1)}, 413, "too_large"),
        (b"{}", {"CONTENT_LENGTH": "9" * 4000}, 413, "too_large"),
        (b"{}", {"CONTENT_LENGTH": "٣"}, 400, "bad_request"),
        (b"{}", {"CONTENT_LENGTH": ""}, 411, "length_required"),
        (b"{}", {"CONTENT_LENGTH": "", **ENDS}, 411, "length_required"),
        (b"{}", {"CONTENT_LENGTH": "100"}, 400, "bad_request"),
        (b"{}\n" * (MAX_ROWS + 1), {}, 413, "too_large"),
    ],
)
def test_what_cannot_be_taken_leaves_nothing(
    chat_api: ChatApi, body: bytes, environ: dict[str, Any], status: int, code: str
) -> None:
    sent = {"CONTENT_TYPE": JSON_LINES, **environ}
    answer = chat_api.service.request("POST", "/import", body, **sent)

    assert (answer.status, answer.code) == (status, code), answer.body
    assert count(chat_api, ImportJob) == count(chat_api, ImportChunk) == 0
    assert chat_api.dispatcher.job_ids == []


class Endless(io.RawIOBase):
    """An endless body of rows, generated as they are read."""

    def __init__(self) -> None:
        self.line = json.dumps(FORMER).encode() + b" " * 15_000 + b"\n"
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        assert size > 0, "read as a whole"
        self.given += size
        return (self.line * (size // len(self.line) + 1))[:size]


def test_body_is_never_held_as_a_whole(chat_api: ChatApi) -> None:
    upload(chat_api, json_lines(user("u-1")))
    body = Endless()
    # The last line is cut off, so it is invalid; the others are imported.
    environ = {"CONTENT_LENGTH": str(UPLOAD_LIMIT), "wsgi.input": body}

    tracemalloc.start()
    answer = upload(chat_api, b"", **environ)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert answer.status == 202
    assert body.given == UPLOAD_LIMIT
    assert peak < UPLOAD_LIMIT / 8
    assert count(chat_api, ImportJob) == 2


def test_sender_is_not_held_up_by_a_slow_upload(chat_api: ChatApi) -> None:
    """As many clients as the concurrency limit send slowly; others are answered."""
    go, reading = threading.Event(), threading.Semaphore(0)

    class Slow(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            reading.release()
            assert go.wait(60)
            return b""

    def send() -> None:
        upload(chat_api, b"", **{"CONTENT_LENGTH": "10", "wsgi.input": Slow()})

    uploads = [threading.Thread(target=send) for _ in range(5)]
    for each in uploads:
        each.start()
    for _ in uploads:
        assert reading.acquire(timeout=60)

    answered = chat_api.service.post("/users", {"name": "Ann"})
    go.set()
    for each in uploads:
        each.join()

    assert answered.status == 201
    assert count(chat_api, ImportJob) == 0
