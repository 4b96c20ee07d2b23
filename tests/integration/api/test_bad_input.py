"""Invalid input gets a 4xx in the API's error format, never a 500."""

import io
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.bodies import BODY_LIMIT

ENDPOINTS = [
    "/groupchat/send",
    "/groupchat",
    "/groupchat/1/members",
    "/devices",
    "/users",
    "/users/1/tokens",
]
BODIES = {
    "not JSON": b"name=Ann",
    "cut off": b'{"name": "Ann"',
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "a string": b'"name"',
    "invalid UTF-8": b'{"name": "\xff\xfe"}',
    "a lone surrogate": rb'{"name": "\ud800", "message": "\ud800"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"name": "Ann"}'.encode("utf-16"),
    "NaN": b'{"name": NaN, "conversation": NaN}',
    "infinity": b'{"conversation": 1e999}',
    "a huge integer": b'{"conversation": ' + b"9" * 5000 + b"}",
    "deep nesting": b"[" * 20_000 + b"]" * 20_000,
    "deep objects": b'{"name":' * 5_000 + b"1" + b"}" * 5_000,
    "NUL bytes": b"\0" * 64,
    "an unknown field": b'{"surprise": 1}',
    "many unknown fields": json.dumps({f"k{n}": n for n in range(900)}).encode(),
}


@pytest.fixture
def callers(chat_api, ann, chat):
    return {path: ann.client for path in ENDPOINTS} | {
        "/users": chat_api.service,
        "/users/1/tokens": chat_api.service,
    }


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("name", BODIES)
def test_wrong_body_is_refused_with_a_reason(callers, path, name):
    answer = callers[path].post(path, BODIES[name])

    assert (answer.status, answer.code) == (400, "invalid"), answer.body
    assert answer.json["error"]["message"]
    assert len(answer.json["error"]["details"]["problems"]) <= 20


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/groupchat/send", {"conversation": 1}, "message"),
        ("/groupchat/send", {"conversation": "1", "message": "x"}, "conversation"),
        ("/groupchat/send", {"conversation": True, "message": "x"}, "conversation"),
        ("/groupchat/send", {"conversation": 1.0, "message": "x"}, "conversation"),
        ("/groupchat/send", {"conversation": 0, "message": "x"}, "conversation"),
        ("/groupchat/send", {"conversation": 2**63, "message": "x"}, "conversation"),
        ("/groupchat/send", {"conversation": 1, "message": 7}, "message"),
        ("/groupchat/send", {"conversation": 1, "message": ""}, "message"),
        ("/groupchat/send", {"conversation": 1, "message": " \n\u2003"}, "message"),
        ("/groupchat/send", {"conversation": 1, "message": "\u3164\u200b"}, "message"),
        ("/groupchat/send", {"conversation": 1, "message": "a\0b"}, "message"),
        ("/groupchat/send", {"conversation": 1, "message": None}, "message"),
        (
            "/groupchat/send",
            {"conversation": 1, "message": "x", "client_id": ""},
            "client_id",
        ),
        (
            "/groupchat/send",
            {"conversation": 1, "message": "x", "client_id": "x" * 101},
            "client_id",
        ),
        (
            "/groupchat/send",
            {"conversation": 1, "message": "x", "client_id": "a b"},
            "client_id",
        ),
        ("/groupchat", {"members": []}, "name"),
        ("/groupchat", {"name": "x" * 201}, "name"),
        ("/groupchat", {"name": "x", "members": 7}, "members"),
        ("/groupchat", {"name": "x", "members": ["1"]}, "members.0"),
        ("/groupchat", {"name": "x", "members": [1, None]}, "members.1"),
        ("/groupchat/1/members", {"user_ids": []}, "user_ids"),
        ("/groupchat/1/members", {"user_ids": [-1]}, "user_ids.0"),
        ("/devices", {"platform": "apns"}, "token"),
        ("/devices", {"platform": "pager", "token": "x"}, "platform"),
        ("/devices", {"platform": 7, "token": "x"}, "platform"),
        ("/devices", {"platform": "apns", "token": ""}, "token"),
        ("/devices", {"platform": "apns", "token": "a b"}, "token"),
        ("/devices", {"platform": "apns", "token": "x" * 4097}, "token"),
        ("/devices", {"platform": "fcm", "token": "x", "locale": "\n"}, "locale"),
        (
            "/devices",
            {"platform": "fcm", "token": "x", "environment": "moon"},
            "environment",
        ),
        ("/users", {"name": ""}, "name"),
        ("/users", {"name": ["Ann"]}, "name"),
    ],
)
def test_wrong_value_names_its_field(callers, path, body, field):
    answer = callers[path].post(path, body)

    assert (answer.status, answer.code) == (400, "invalid")
    assert field in [p["field"] for p in answer.json["error"]["details"]["problems"]]


@pytest.mark.parametrize("path", ENDPOINTS)
def test_too_large_body_is_413(callers, path):
    answer = callers[path].post(path, b" " * (4 * 1024 * 1024 + 1))

    assert (answer.status, answer.code) == (413, "too_large")


def test_too_many_problems_are_not_listed(ann):
    body = json.dumps({f"k{n}": 0 for n in range(300_000)}).encode()

    answer = ann.client.post("/groupchat", body)

    assert (answer.status, answer.code) == (400, "invalid")
    assert "too many problems" in answer.json["error"]["message"]
    assert answer.json["error"]["details"] == {"problems": []}


def test_ordinary_body_may_have_64_kib(ann, chat):
    padded = b'{"conversation": 1, "message": "x"}'.ljust(BODY_LIMIT)

    assert ann.client.post("/groupchat/send", padded).status == 201
    assert ann.client.post("/groupchat/send", padded + b" ").status == 413


@pytest.mark.parametrize("sent", ["text/plain", "", "application/xml", "json", ";"])
def test_other_content_types_are_415(ann, chat, sent):
    answer = ann.client.request("POST", "/groupchat", b"{}", CONTENT_TYPE=sent)

    assert (answer.status, answer.code) == (415, "unsupported_type")


@pytest.mark.parametrize(
    "sent", ["application/json; charset=utf-8", "Application/JSON", "application/json;"]
)
def test_json_may_come_with_parameters(ann, sent):
    answer = ann.client.request(
        "POST", "/groupchat", b'{"name": "x"}', CONTENT_TYPE=sent
    )

    assert answer.status == 201


def test_short_body_is_noticed(ann):
    answer = ann.client.request("POST", "/groupchat", b"{}", CONTENT_LENGTH="100")

    assert (answer.status, answer.code) == (400, "bad_request")


def test_body_of_unknown_length_is_read_where_the_host_marks_its_end(ann):
    body = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}
    sent = io.BytesIO(b'{"name": "x"}')
    marked = {**body, "wsgi.input": sent, "wsgi.input_terminated": True}

    assert ann.client.request("POST", "/groupchat", b"", **marked).status == 201
    refused = ann.client.request("POST", "/groupchat", b"", **body)
    assert (refused.status, refused.code) == (411, "length_required")


def test_empty_body_in_chunks_is_one_that_broke_off(ann, chat):
    body = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}
    broken = {**body, "wsgi.input": io.BytesIO(), "wsgi.input_terminated": True}

    answer = ann.client.request("PUT", f"/groupchat/{chat}/read", b"", **broken)

    assert (answer.status, answer.code) == (400, "bad_request")
    assert answer.json["error"]["message"] == "The body ended early."


def test_body_without_an_end_is_413(ann):
    endless = io.BytesIO(b" " * (5 * 1024 * 1024))
    environ = {
        "CONTENT_LENGTH": "",
        "wsgi.input": endless,
        "wsgi.input_terminated": True,
    }

    answer = ann.client.request("POST", "/groupchat", b"", **environ)

    assert answer.status == 413
    assert endless.tell() < 4.1 * 1024 * 1024


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/groupchat/",
        "/groupchat/abc",
        "/groupchat/-1",
        "/groupchat/1.0",
        "/groupchat/" + "9" * 5000,
        "/groupchat/999999999999999999",
        "/jobs/0",
        "/jobs/%00",
        "/jobs/1%0a",
        "/%ff%fe",
        "/gr%e2%82%ac",
        "/../etc/passwd",
        "/groupchat/1/messages/../../users",
    ],
)
def test_other_addresses_are_404(ann, path):
    answer = ann.client.get(path)

    assert (answer.status, answer.code) == (404, "not_found")
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("end", ["%0a", "/messages%0a", "%0a/messages"])
def test_line_break_is_part_of_no_address(ann, chat, end):
    answer = ann.client.get(f"/groupchat/{chat}{end}")

    assert (answer.status, answer.code) == (404, "not_found")


def test_other_methods_are_405_with_the_allowed_ones(ann):
    answer = ann.client.put("/devices", {})

    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.headers["allow"].split(",")) >= {"GET", "POST"}


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        "name",
        "members",
        "conversation",
        "message",
        "client_id",
        "user_ids",
        "platform",
        "token",
        "app",
        "environment",
        "locale",
    ]
)
HOUSE_IS_KEPT = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@HOUSE_IS_KEPT
@given(
    path=st.sampled_from(ENDPOINTS),
    body=st.binary(max_size=200)
    | ANY_JSON.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(FIELDS, ANY_JSON).map(lambda value: json.dumps(value).encode()),
)
def test_no_body_ends_in_a_500(callers, path, body):
    answer = callers[path].post(path, body)

    assert answer.status < 500
    assert answer.json if answer.status < 400 else answer.code


@HOUSE_IS_KEPT
@given(token=st.text(st.characters(max_codepoint=255), max_size=60))
def test_no_authorization_ends_in_a_500(chat_api, token):
    answer = chat_api.anonymous.request(
        "GET", "/devices", HTTP_AUTHORIZATION=f"Bearer {token}"
    )

    # They are guesses at the service key, which are limited.
    assert (answer.status, answer.code) in (
        (401, "unauthorized"),
        (429, "too_many_requests"),
    )
