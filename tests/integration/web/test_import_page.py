"""The import form: access, accepted files, and its error messages."""

import io
import re
import threading
import tracemalloc
from typing import Any

import pytest
from sqlalchemy import func, select

from api.imports import UPLOAD_LIMIT
from models.imports import ImportJob
from tests.support.browser_client import BrowserClient
from tests.support.chat_api import SERVICE_KEY
from tests.support.client import Reply
from tests.support.uploads import json_lines, user

CSV = b"type,external_id,name\nuser,u-1,Ann\nuser,u 2,Bob\n"
BOUNDARY = b"a-boundary-of-the-tests"


@pytest.fixture
def visitor(chat_api):
    return BrowserClient(chat_api.app)


@pytest.fixture
def operator(visitor):
    visitor.post("/dashboard/login", service_key=SERVICE_KEY, to="/imports")
    return visitor


def form_key(operator: BrowserClient) -> str:
    html = operator.get("/imports").body.decode()
    found = re.search(r'name="key" value="(\w+)"', html)
    assert found
    return found[1]


def head(name: str, filename: str | None = None) -> bytes:
    more = f'; filename="{filename}"' if filename is not None else ""
    line = f'Content-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return b"--%b\r\n%b" % (BOUNDARY, line.encode())


def upload(
    visitor: BrowserClient,
    key: str,
    content: bytes,
    name: str = "crew.csv",
    **environ: Any,
) -> Reply:
    body = b"%b%b\r\n%b%b\r\n--%b--\r\n" % (
        head("key"), key.encode(), head("file", name), content, BOUNDARY,
    )  # fmt: skip
    return visitor.request(
        "POST", "/imports", body, CONTENT_TYPE=content_type(), **environ
    )


def content_type() -> str:
    return f"multipart/form-data; boundary={BOUNDARY.decode()}"


def count_imports(chat_api: Any) -> int:
    with chat_api.store.read() as session:
        return session.scalars(select(func.count()).select_from(ImportJob)).one()


def test_a_file_is_taken_and_leads_to_the_page_that_follows_it(chat_api, operator):
    answer = upload(operator, form_key(operator), CSV)

    assert (answer.status, answer.headers["location"]) == (303, "/imports/1")
    assert chat_api.dispatcher.job_ids == [0]
    html = operator.get("/imports/1").body.decode()
    assert '<meta http-equiv="refresh"' in html
    assert "1 of 2 rows" in html
    assert 'href="/imports/1"' in operator.get("/imports").body.decode()


@pytest.mark.parametrize("name", ["a.ndjson", "a.jsonl", "B.NDJSON"])
def test_json_lines_are_known_by_their_name(operator, name):
    answer = upload(operator, form_key(operator), json_lines(user("u-1")), name)

    assert answer.status == 303


@pytest.mark.parametrize(
    ("content", "name", "status", "said"),
    [
        (b"", "", 400, "Choose a file first."),
        (b"", "empty.csv", 400, "The first line must name the columns."),
        (b"", "empty.ndjson", 400, "The file has no rows."),
        (b"ship,sea\n1,2\n", "a.csv", 400, "unknown columns: sea, ship."),
        (CSV, "crew.xlsx", 400, "must end in one of .csv, .ndjson, .jsonl."),
    ],
)
def test_a_wrong_file_gets_a_message(chat_api, operator, content, name, status, said):
    answer = upload(operator, form_key(operator), content, name)

    assert answer.status == status
    assert said in answer.body.decode()
    assert count_imports(chat_api) == 0


def test_a_file_that_is_too_large_is_refused(operator):
    answer = upload(
        operator, form_key(operator), CSV, CONTENT_LENGTH=str(2 * UPLOAD_LIMIT)
    )

    assert answer.status == 413


def test_another_form_is_refused(operator):
    key = form_key(operator)

    assert operator.post("/imports", key=key).status == 415


@pytest.mark.parametrize("key", ["", "x", "0" * 64])
def test_a_form_without_our_key_does_nothing(chat_api, operator, key):
    answer = upload(operator, key, CSV)

    assert (answer.status, count_imports(chat_api)) == (403, 0)


def test_another_site_cannot_send_it(chat_api, operator):
    key = form_key(operator)

    answer = upload(operator, key, CSV, HTTP_SEC_FETCH_SITE="cross-site")

    assert (answer.status, count_imports(chat_api)) == (403, 0)


@pytest.mark.parametrize("who", ["nobody", "user"])
def test_it_is_for_operators_only(chat_api, visitor, ann, who):
    if who == "user":
        visitor.cookies["bottlepost_user"] = ann.client.token

    page, answer = visitor.get("/imports"), upload(visitor, "x", CSV)

    assert 'name="service_key"' in page.body.decode()
    assert (answer.status, count_imports(chat_api)) == (401, 0)


def test_signing_in_leads_back_to_it(visitor):
    answer = visitor.post("/dashboard/login", service_key=SERVICE_KEY, to="/imports")

    assert (answer.status, answer.headers["location"]) == (303, "/imports")


def test_signing_in_leads_nowhere_else(visitor):
    sent = {"service_key": SERVICE_KEY, "to": "https://evil.example/"}

    assert visitor.post("/dashboard/login", **sent).headers["location"] == "/dashboard"


class Endless(io.RawIOBase):
    """A form with an endless file, generated as it is read."""

    def __init__(self, beginning: bytes) -> None:
        self.rest = beginning
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        assert size > 0, "read as a whole"
        while len(self.rest) < size:
            self.rest += json_lines(user("u-1", "Ann")) + b" " * 15_000 + b"\n"
        piece, self.rest = self.rest[:size], self.rest[size:]
        self.given += len(piece)
        return piece


def test_a_file_is_never_held_as_a_whole(chat_api, operator):
    key = form_key(operator)
    beginning = head("key") + key.encode() + b"\r\n" + head("file", "a.ndjson")
    body = Endless(beginning)
    environ = {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}

    tracemalloc.start()
    sent = {"CONTENT_TYPE": content_type(), **environ, "wsgi.input": body}
    answer = operator.request("POST", "/imports", b"", **sent)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert answer.status == 413
    assert UPLOAD_LIMIT < body.given < UPLOAD_LIMIT + 2**20
    assert peak < UPLOAD_LIMIT / 8
    assert count_imports(chat_api) == 0


def test_a_slow_form_blocks_no_other_request(chat_api, operator):
    """Five clients send slowly, and another one is answered meanwhile."""
    key, go, reading = form_key(operator), threading.Event(), threading.Semaphore(0)

    class Slow(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            reading.release()
            assert go.wait(60)
            return b""

    def send() -> None:
        environ = {"CONTENT_LENGTH": "10", "wsgi.input": Slow()}
        upload(operator, key, CSV, **environ)

    forms = [threading.Thread(target=send) for _ in range(5)]
    for each in forms:
        each.start()
    for _ in forms:
        assert reading.acquire(timeout=60)

    answered = chat_api.service.post("/users", {"name": "Ann"})
    go.set()
    for each in forms:
        each.join()

    assert answered.status == 201
    assert count_imports(chat_api) == 0
