"""An address without anything: a page for browsers, JSON for programs."""

import pytest

from tests.support.browser_client import BrowserClient
from tests.support.chat_api import SERVICE_KEY

UNKNOWN = ["/nowhere", "/jobs/x", "/dashboard/nowhere", "/users/1/nothing", "/%ff"]


@pytest.fixture
def visitor(chat_api):
    return BrowserClient(chat_api.app)


@pytest.mark.parametrize("path", UNKNOWN)
def test_a_browser_gets_a_page(visitor, path):
    answer = visitor.get(path)

    assert answer.status == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "There is nothing at this address." in answer.body.decode()
    assert 'href="/"' in answer.body.decode()


@pytest.mark.parametrize("path", UNKNOWN)
def test_a_program_gets_json(chat_api, path):
    answer = chat_api.anonymous.get(path)

    assert answer.status == 404
    assert answer.json["error"]["code"] == "not_found"


def test_a_browser_with_the_wrong_method_gets_a_page(visitor):
    answer = visitor.post("/docs", a="b")

    assert answer.status == 405
    assert answer.headers["content-type"].startswith("text/html")
    assert "allow" in answer.headers


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/groupchat/send", {"conversation": 1, "message": " "}),
        ("/dashboard/test-push", {"number": "x"}),
        ("/imports", {}),
        ("/dashboard/login", {"service_key": "x"}),
    ],
)
def test_an_error_leads_back_to_the_form(visitor, path, form):
    for _ in range(20):
        # After some wrong keys the login asks to wait.
        answer = visitor.post(path, **form)

    html = answer.body.decode()
    assert answer.status >= 400
    assert ">Back<" in html
    forms = {"/groupchat/send": "/", "/dashboard/test-push": "/dashboard"}
    assert f'href="{forms.get(path, path)}"' in html


def test_who_has_to_sign_in_is_led_back(chat_api, visitor, ann, chat):
    chat_api.say(ann, chat, "hello")
    refused = visitor.get("/jobs/1").body.decode()
    assert 'href="/dashboard/login?to=%2Fjobs%2F1"' in refused

    shown = visitor.get("/dashboard/login?to=%2Fjobs%2F1").body.decode()
    answer = visitor.post("/dashboard/login", service_key=SERVICE_KEY, to="/jobs/1")

    assert 'name="to" value="/jobs/1"' in shown
    assert answer.headers["location"] == "/jobs/1"


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example", "/jobs/1/x"])
def test_signing_in_leads_to_our_own_pages_only(visitor, to):
    answer = visitor.post("/dashboard/login", service_key=SERVICE_KEY, to=to)

    assert answer.headers["location"] == "/dashboard"
