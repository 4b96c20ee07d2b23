"""The operator's page with the kinds of notifications and what devices show of them."""

import html
import re
from urllib.parse import quote

import pytest

import config
from notifier.preview import Drawing
from tests.support.browser_client import BrowserClient
from tests.support.chat_api import SERVICE_KEY, build_app

CALL = {
    "members": True,
    "patterns": {
        "default": {"title": "{sender} rings", "body": "{members} are there"},
        "de": {
            "title": "{sender} ruft an",
            "body": {
                "count": "members",
                "one": "{members} Mitglied",
                "other": "{members} Mitglieder",
            },
        },
    },
    "apns": {"aps": {"sound": "ring.caf"}},
    "fcm": {"android": {"notification": {"channel_id": "calls"}}},
    "webpush": {
        "declarative": True,
        "navigate": "https://chat.example.org/",
        "options": {
            "actions": [
                {
                    "action": "take",
                    "title": "Take <it>",
                    "navigate": "https://a.example/",
                }
            ]
        },
    },
    "email": {"subject": "Call in {conversation}"},
}


@pytest.fixture
def operator(chat_api, tmp_path):
    settings = config.from_env(
        {"BOTTLEPOST_SERVICE_KEY": SERVICE_KEY, "BOTTLEPOST_RUN_DIR": str(tmp_path)}
    )
    app = build_app(chat_api.store, chat_api.dispatcher, preview=Drawing(settings))
    browser = BrowserClient(app)
    browser.post("/dashboard/login", service_key=SERVICE_KEY)
    return browser


@pytest.fixture
def call(chat_api):
    assert chat_api.service.request("PUT", "/kinds/call", CALL).status == 201


def words(operator, path: str) -> str:
    answer = operator.get(path)
    assert answer.status == 200, answer.body
    text = re.sub(r"<[^>]*>", "", answer.body.decode())
    return html.unescape(text)


def test_the_built_in_look_is_there_without_any_kind(operator):
    page = words(operator, "/notifications")

    assert "built in" in page
    for title in ("iPhone", "Android", "Browser", "Mailbox"):
        assert title in page
    # Each platform shows it, in a phone and in the request.
    assert page.count("Ship ahoy! Who is on watch tonight?") >= 8
    assert "POST https://api.push.apple.com/3/device/" in page
    assert "Subject: Harbour" in page


@pytest.mark.parametrize(
    ("locale", "title", "body"),
    [
        ("", "Ada Lovelace rings", "5 are there"),
        ("de-AT", "Ada Lovelace ruft an", "5 Mitglieder"),
    ],
)
def test_a_kind_is_shown_in_the_language_of_the_device(
    operator, call, locale, title, body
):
    page = words(operator, f"/notifications?kind=call&locale={locale}")

    assert title in page
    assert body in page
    assert '"sound": "ring.caf"' in page
    assert '"channel_id": "calls"' in page
    assert '"web_push": 8030' in page
    assert "Subject: Call in Harbour" in page
    assert "also members" in page


def test_what_the_operator_writes_is_shown_and_not_obeyed(operator, call):
    text = "<script>alert(1)</script>"

    answer = operator.get(f"/notifications?kind=message&text={quote(text)}")
    action = operator.get("/notifications?kind=call").body.decode()

    page = answer.body.decode()
    assert "<script>alert" not in page
    assert html.escape(text, quote=False) in page
    assert "Take &lt;it&gt;" in action


def test_a_mention_has_its_own_look(operator, chat_api):
    definition = {"patterns": {"default": {"title": "{sender} needs you"}}}
    chat_api.service.request("PUT", "/kinds/mention", definition)

    assert "needs you" not in words(operator, "/notifications?kind=message")
    page = words(operator, "/notifications?kind=message&mentioned=on")
    assert "Ada Lovelace needs you" in page


def test_a_push_for_the_app_alone_shows_nothing(operator, chat_api):
    definition = {"fcm": {"data_only": True}}
    chat_api.service.request("PUT", "/kinds/quiet", definition)

    assert "the app gets the data" in words(operator, "/notifications?kind=quiet")


def test_there_is_a_way_to_the_page(operator):
    assert 'href="/notifications"' in operator.get("/dashboard").body.decode()
