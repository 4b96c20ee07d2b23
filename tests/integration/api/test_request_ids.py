"""A request's id: taken or given, answered, kept with the job, and logged."""

import logging
import re

import pytest

from bottlepost.logs import context

GIVEN = "from-the.proxy_1"


@pytest.mark.parametrize("sent", [GIVEN, "x" * 64])
def test_a_good_id_is_taken(chat_api, sent):
    answer = chat_api.anonymous.request("GET", "/healthz", HTTP_X_REQUEST_ID=sent)

    assert answer.headers["x-request-id"] == sent


@pytest.mark.parametrize("sent", ["", "x" * 65, "a b", "a\tb", "é", "a,b", "<b>"])
def test_another_one_is_replaced(chat_api, sent):
    answer = chat_api.anonymous.request("GET", "/healthz", HTTP_X_REQUEST_ID=sent)

    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["x-request-id"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing/here", 404),
        ("DELETE", "/healthz", 405),
        ("POST", "/groupchat/send", 401),
        ("GET", "/dashboard", 200),
        ("GET", "/static/site.css", 200),
    ],
)
def test_every_answer_names_it(chat_api, method, path, status):
    answer = chat_api.anonymous.request(method, path, HTTP_X_REQUEST_ID=GIVEN)

    assert (answer.status, answer.headers["x-request-id"]) == (status, GIVEN)


def test_an_incident_is_logged_with_it(chat_api, ann, chat, caplog, monkeypatch):
    seen = []

    def fail(job_id: int) -> None:
        seen.append(context.request_id.get())
        raise RuntimeError("inside")

    monkeypatch.setattr(chat_api.dispatcher, "dispatch", fail)
    body = b'{"conversation": %d, "message": "hello"}' % chat

    answer = ann.client.request(
        "POST", "/groupchat/send", body, HTTP_X_REQUEST_ID=GIVEN
    )

    assert (answer.status, answer.headers["x-request-id"]) == (500, GIVEN)
    assert seen == [GIVEN]
    assert context.request_id.get() is None


def test_what_bottle_itself_catches_is_logged_once(chat_api, caplog):
    def fail() -> None:
        raise RuntimeError("in a hook")

    chat_api.app.add_hook("before_request", fail)

    answer = chat_api.anonymous.request("GET", "/healthz", HTTP_X_REQUEST_ID=GIVEN)

    assert (answer.status, answer.headers["x-request-id"]) == (500, GIVEN)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_job_keeps_the_id_of_its_request(chat_api, ann, chat):
    posted = ann.client.request(
        "POST",
        "/groupchat/send",
        b'{"conversation": %d, "message": "hello"}' % chat,
        HTTP_X_REQUEST_ID=GIVEN,
    ).json
    message = posted["message"]["id"]
    job = posted["job"]["url"]
    deleted = ann.client.request(
        "DELETE",
        f"/groupchat/{chat}/messages/{message}",
        HTTP_X_REQUEST_ID="the-second",
    )

    assert ann.client.get(job).json["request_id"] == GIVEN
    assert deleted.status == 204
    withdrawal = chat_api.dispatcher.job_ids[-1]
    assert ann.client.get(f"/jobs/{withdrawal}").json["request_id"] == "the-second"
