"""Every page for every kind of visitor; forms are sent without their CSRF token."""

import pytest

from tests.support.browser_client import BrowserClient
from tests.support.chat_api import SERVICE_KEY
from tests.support.uploads import json_lines, user
from web import pages

SENT = {"conversation": 1, "message": "x"}
# Method, path, form; then nobody, outsider, member, operator.
TABLE = [
    ("GET", "/", None, 200, 200, 200, 200),
    ("GET", "/worker.js", None, 200, 200, 200, 200),
    ("GET", "/docs", None, 200, 200, 200, 200),
    ("GET", "/demo/inbox", None, 404, 404, 404, 404),
    ("GET", "/static/site.css", None, 200, 200, 200, 200),
    ("POST", "/groupchat/send", SENT, 401, 404, 303, 403),
    ("POST", "/groupchat/send", {**SENT, "sender": 2}, 401, 403, 403, 403),
    ("POST", "/query", {"id": 1}, 303, 303, 303, 303),
    ("GET", "/jobs/1", None, 401, 404, 200, 200),
    ("GET", "/jobs/1/result", None, 401, 404, 303, 303),
    ("POST", "/jobs/1/retry", {}, 401, 401, 401, 403),
    ("GET", "/imports", None, 200, 200, 200, 200),
    # Operators are told that it must be a form with a file.
    ("POST", "/imports", {}, 401, 401, 401, 415),
    ("GET", "/imports/1", None, 401, 403, 403, 200),
    ("GET", "/imports/1/error", None, 401, 403, 403, 303),
    ("GET", "/notifications", None, 200, 200, 200, 200),
    ("GET", f"/unsubscribe/{'1' * 32}", None, 404, 404, 404, 404),
    # All are told that it must be the form of the button.
    ("POST", f"/unsubscribe/{'1' * 32}", {}, 400, 400, 400, 400),
    ("GET", "/dashboard", None, 200, 200, 200, 200),
    ("GET", "/dashboard/login", None, 200, 200, 200, 303),
    ("GET", "/dashboard/users/1", None, 200, 200, 200, 200),
    ("GET", "/dashboard/devices/1", None, 200, 200, 200, 303),
    ("POST", "/dashboard/devices/1/disable", {}, 401, 401, 401, 403),
    ("POST", "/dashboard/devices/1/enable", {}, 401, 401, 401, 403),
    ("POST", "/dashboard/login", {"service_key": "x"}, 401, 401, 401, 401),
    ("POST", "/dashboard/logout", {}, 401, 401, 401, 403),
    ("POST", "/dashboard/test-push", {"number": 1}, 401, 401, 401, 403),
]
VISITORS = ["nobody", "outsider", "member", "operator"]


@pytest.fixture
def visitors(chat_api, ann, bob, eve, chat):
    """Job 1 is in the conversation of Ann and Bob, import 1 is the operator's."""
    chat_api.say(ann, chat, "hello")
    ann.client.post("/devices", {"platform": "apns", "token": "aa"})
    rows = json_lines(user("u-1"))
    chat_api.service.request(
        "POST", "/import", rows, CONTENT_TYPE="application/x-ndjson"
    )
    made = {name: BrowserClient(chat_api.app) for name in VISITORS}
    made["outsider"].cookies["bottlepost_user"] = eve.client.token
    made["member"].cookies["bottlepost_user"] = bob.client.token
    made["operator"].post("/dashboard/login", service_key=SERVICE_KEY)
    return made


@pytest.mark.parametrize("visitor", VISITORS)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]} {row[1]}")
def test_visitor_gets_what_the_table_says(visitors, row, visitor):
    method, path, form, *statuses = row
    browser = visitors[visitor]

    answer = browser.get(path) if method == "GET" else browser.post(path, **form)

    assert answer.status == statuses[VISITORS.index(visitor)], answer.body


@pytest.mark.parametrize("visitor", VISITORS)
@pytest.mark.parametrize(
    ("path", "secret"),
    [
        ("/dashboard", "Failing devices"),
        ("/imports", "Recent imports"),
        ("/notifications", "The sample"),
        ("/dashboard/users/1", "Send a test push"),
    ],
)
def test_only_operators_see_more_than_the_login(visitors, path, secret, visitor):
    html = visitors[visitor].get(path).body.decode()

    assert (secret in html) == (visitor == "operator")
    assert ('name="service_key"' in html) == (visitor != "operator")


def test_table_knows_every_page():
    def shape(path: str) -> list[str]:
        parts = path.removeprefix(pages.PREFIX).split("/")
        # The variable parts of a path.
        return ["#" if part[:1] == "<" or part.isdigit() else part for part in parts]

    known = {
        (
            method,
            *shape(path.replace("result", "<outcome>").replace("error", "<outcome>")),
        )
        for method, path, *_ in TABLE
    }
    routes = {
        (route.method, *shape(route.path.replace("<name>", "site.css")))
        for route in pages.ROUTES
    }

    assert known == routes
