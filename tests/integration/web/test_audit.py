"""What operators do leaves a line that says what, who and from where."""

import re

import pytest

from bottlepost import logs
from tests.support.browser_client import BrowserClient
from tests.support.chat_api import SERVICE_KEY
from tests.support.uploads import json_lines, user

ROWS = json_lines(user("u-1"))
FROM = {"REMOTE_ADDR": "203.0.113.7"}


@pytest.fixture
def told(caplog):
    """The lines so far, with the fingerprints replaced by the kind of caller."""
    caplog.set_level("INFO", logger=logs.AUDIT)

    def told() -> list[str]:
        found = [r.getMessage() for r in caplog.records if r.name == logs.AUDIT]
        assert SERVICE_KEY not in caplog.text
        return [
            re.sub(r"(service|operator):[0-9a-f]{8}", r"\1", line) for line in found
        ]

    return told


def _form_key(operator: BrowserClient) -> str:
    html = operator.get("/dashboard").body.decode()
    return re.search(r'name="key" value="(\w+)"', html)[1]


def test_a_session_is_told_from_sign_in_to_sign_out(chat_api, ann, told, caplog):
    browser = BrowserClient(chat_api.app)

    browser.post("/dashboard/login", FROM, service_key="a wrong key")
    browser.post("/dashboard/login", FROM, service_key=SERVICE_KEY)
    key = _form_key(browser)
    browser.post("/dashboard/test-push", FROM, number=str(ann.id), kind="user", key=key)
    browser.post("/dashboard/logout", FROM, key=key)

    assert told() == [
        "sign-in refused by unknown from 203.0.113.7",
        "sign-in by operator from 203.0.113.7",
        f"test push by operator from 203.0.113.7 user={ann.id} job=1",
        "sign-out by operator from 203.0.113.7",
    ]
    assert len(set(re.findall(r"operator:\w+", caplog.text))) == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "line"),
    [
        (
            "PUT",
            "/kinds/call",
            b'{"members": true}',
            "PUT /kinds/{name} by service from 203.0.113.7 name=call",
        ),
        (
            "DELETE",
            "/users/{ann}/tokens/1",
            None,
            "DELETE /users/{user_id}/tokens/{token_id} by service from 203.0.113.7"
            " user_id={ann} token_id=1",
        ),
        (
            "DELETE",
            "/groupchat/{chat}",
            None,
            "DELETE /groupchat/{chat_id} by service from 203.0.113.7 chat_id={chat}",
        ),
        ("POST", "/import", ROWS, "POST /import by service from 203.0.113.7"),
    ],
    ids=["kind", "token", "conversation", "import"],
)
def test_what_the_service_key_changes_is_told(
    chat_api, ann, chat, told, method, path, body, line
):
    def filled(text: str) -> str:
        return text.replace("{ann}", str(ann.id)).replace("{chat}", str(chat))

    more = {"CONTENT_TYPE": "application/x-ndjson"} if path == "/import" else {}

    done = chat_api.service.request(method, filled(path), body, **FROM, **more)

    assert done.status < 300, done.body
    assert told() == [filled(line)]


def test_what_users_do_themselves_and_what_fails_is_not_told(chat_api, ann, chat, told):
    chat_api.service.request("DELETE", "/groupchat/999")
    ann.client.request("DELETE", f"/groupchat/{chat}")

    assert told() == []
