"""The page at `/`: it has no demo and no tokens unless a demo was set up."""

import json

import pytest

from tests.support.browser_client import BrowserClient
from tests.support.chat_api import build_app


def with_demo(chat_api, path):
    return BrowserClient(build_app(chat_api.store, chat_api.dispatcher, demo_file=path))


def scene(ann, tmp_path):
    path = tmp_path / "demo.json"
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("")
    person = {"id": ann.id, "name": "Ann", "token": ann.client.token}
    told = {
        "conversation": {"id": 1, "name": "Lighthouse"},
        "people": [person],
        "devices": [
            {"owner": "A<nn", "model": "Pixel", "platform": "fcm", "token": "t"}
        ],
        # Nothing listens on port 1.
        "inbox": "https://127.0.0.1:1/inbox",
        "ca_file": str(ca_file),
        "host": "demo.lan",
    }
    path.write_text(json.dumps(told))
    return path


def test_a_plain_installation_shows_where_to_go(chat_api):
    page = BrowserClient(chat_api.app).get("/")

    assert page.status == 200
    assert 'href="/docs"' in page.body.decode()
    assert 'href="/dashboard"' in page.body.decode()
    assert "set-cookie" not in page.headers


@pytest.mark.parametrize(
    "host",
    [
        "localhost:8080",
        "LOCALHOST",
        "app.localhost:8080",
        "127.0.0.1:8080",
        "[::1]:8080",
        "192.168.1.5",
        "demo.lan:8080",
    ],
)
def test_the_demo_is_at_our_own_names(chat_api, ann, tmp_path, host):
    page = with_demo(chat_api, scene(ann, tmp_path)).request("GET", "/", HTTP_HOST=host)

    assert page.status == 200
    assert ann.client.token in page.body.decode()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "localhost.evil.example", "", "["]
)
@pytest.mark.parametrize("path", ["/", "/demo/inbox?since=0"])
def test_no_website_reads_the_tokens_by_a_name_of_its_own(
    chat_api, ann, tmp_path, host, path
):
    browser = with_demo(chat_api, scene(ann, tmp_path))

    answer = browser.request("GET", path, HTTP_HOST=host)

    assert answer.status == 403
    assert ann.client.token not in answer.body.decode()
    assert "set-cookie" not in answer.headers


def test_a_plain_installation_has_no_inbox(chat_api):
    assert BrowserClient(chat_api.app).get("/demo/inbox?since=0").status == 404


def test_a_demo_that_is_not_ready_is_none(chat_api, tmp_path):
    page = with_demo(chat_api, tmp_path / "later.json").get("/")

    assert "Bottlepost is running" in page.body.decode()


def test_the_demo_shows_its_people_and_their_phones(chat_api, ann, tmp_path):
    page = with_demo(chat_api, scene(ann, tmp_path)).get("/")

    html = page.body.decode()
    assert ann.client.token in html
    assert "A&lt;nn" in html
    assert "<script>" not in html
    assert " style=" not in html


@pytest.mark.parametrize(
    ("model", "platform", "look"),
    [
        ("iPhone", "apns", "apns"),
        ("iPhone", "fcm", "apns"),
        ("iPad", "fcm", "apns"),
        ("Pixel", "fcm", "fcm"),
    ],
)
def test_a_phone_looks_like_its_model(chat_api, ann, tmp_path, model, platform, look):
    path = scene(ann, tmp_path)
    told = json.loads(path.read_text())
    told["devices"][0] |= {"model": model, "platform": platform}
    path.write_text(json.dumps(told))

    html = with_demo(chat_api, path).get("/").body.decode()

    assert f'class="phone {look} {model.lower()}"' in html
    assert ("FCM" if platform == "fcm" else "APNs") in html


def test_an_unreachable_sandbox_is_reported(chat_api, ann, tmp_path):
    answer = with_demo(chat_api, scene(ann, tmp_path)).get("/demo/inbox?since=0")

    assert (answer.status, answer.code) == (503, "unavailable")
    assert answer.headers["retry-after"] == "2"
    assert answer.json["error"]["details"] == {}
    assert "sandbox" in answer.json["error"]["message"]


def test_static_files_are_kept_by_browsers_until_they_change(chat_api):
    visitor = BrowserClient(chat_api.app)
    html = visitor.get("/").body.decode()
    address = html.split('<link rel="stylesheet" href="')[1].split('"')[0]

    answer = visitor.get(address)

    assert answer.status == 200
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert "immutable" in answer.headers["cache-control"]


def test_a_file_without_its_version_is_asked_for_each_time(chat_api):
    visitor = BrowserClient(chat_api.app)

    answer = visitor.get("/static/phones.js")
    again = visitor.get("/static/phones.js", HTTP_IF_NONE_MATCH=answer.headers["etag"])
    old = visitor.get("/static/phones.js?v=older")

    assert (answer.status, answer.headers["cache-control"]) == (200, "no-cache")
    assert (again.status, again.body) == (304, b"")
    assert (old.status, old.headers["cache-control"]) == (200, "no-cache")


def test_nothing_but_static_files_is_static(chat_api):
    for name in ("none.css", "../__init__.py", "%2e%2e%2f__init__.py"):
        assert BrowserClient(chat_api.app).get(f"/static/{name}").status == 404
