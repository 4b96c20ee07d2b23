"""The page behind the link of a mail: a POST ends the mails, a GET never does."""

import pytest

from datastore import import_rows
from models.base import utc_now
from models.imports import Row
from models.unsubscribe import UnsubscribeTokens
from tests.support.browser_client import BrowserClient
from tests.support.chat_api import ON_EVERY_DATABASE, SERVICE_KEY, ChatApi

ONE_CLICK = "List-Unsubscribe=One-Click"
BOUNDARY = "=_b"
# RFC 8058 allows both.
URLENCODED = "application/x-www-form-urlencoded"
FORMS = {
    URLENCODED: ONE_CLICK,
    "Application/X-WWW-Form-Urlencoded; charset=utf-8": ONE_CLICK,
    f'multipart/form-data; boundary="{BOUNDARY}"': (
        f"--{BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="List-Unsubscribe"\r\n\r\n'
        f"One-Click\r\n--{BOUNDARY}--\r\n"
    ),
}


def register(chat_api: ChatApi, user, token="bob@example.org", platform="email"):
    answer = chat_api.service.post(
        f"/users/{user.id}/devices", {"platform": platform, "token": token}
    )
    assert answer.status in (200, 201)
    return answer.json["id"]


def link(device_id: int) -> str:
    token = UnsubscribeTokens.of_service_key(SERVICE_KEY).issue(device_id)
    return f"/unsubscribe/{token}"


def devices(user):
    return {
        device["id"]: (device["disabled_at"] is not None, device["reason"])
        for device in user.client.get("/devices").json["devices"]
    }


def post(chat_api, path, body=ONE_CLICK, content_type=URLENCODED, **headers):
    return chat_api.anonymous.request(
        "POST", path, body.encode(), CONTENT_TYPE=content_type, **headers
    )


@ON_EVERY_DATABASE
@pytest.mark.parametrize("content_type", FORMS)
def test_mail_program_ends_the_mails_with_one_request(chat_api, bob, content_type):
    mails, phone = register(chat_api, bob), register(chat_api, bob, "p", "fcm")

    answer = post(chat_api, link(mails), FORMS[content_type], content_type)

    assert answer.status == 200
    assert devices(bob) == {mails: (True, "unsubscribed"), phone: (False, None)}


def test_request_of_another_site_counts(chat_api, bob):
    """The link is the permission: mail programs have pages of their own."""
    mails = register(chat_api, bob)
    foreign = {"HTTP_ORIGIN": "https://mail.example", "HTTP_SEC_FETCH_SITE": "none"}

    assert post(chat_api, link(mails), **foreign).status == 200
    assert devices(bob)[mails] == (True, "unsubscribed")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_program_that_follows_links_ends_nothing(chat_api, bob, method):
    mails = register(chat_api, bob)

    answer = chat_api.anonymous.request(method, link(mails), b"")

    assert answer.status == 200
    assert devices(bob)[mails] == (False, None)


def test_person_presses_a_button(chat_api, bob):
    mails = register(chat_api, bob)
    browser = BrowserClient(chat_api.app)

    shown = browser.get(link(mails))
    html = shown.body.decode()
    done = browser.post(link(mails), **{"List-Unsubscribe": "One-Click"})
    again = browser.get(link(mails)).body.decode()

    assert '<form method="post">' in html
    assert 'name="List-Unsubscribe" value="One-Click"' in html
    assert "bob@example.org" not in html + done.body.decode() + again
    assert "no more mails" in done.body.decode()
    assert "<form" not in again
    policy = shown.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert shown.headers["cache-control"] == "no-store"


@ON_EVERY_DATABASE
def test_unsubscribing_again_changes_nothing(chat_api, bob):
    mails = register(chat_api, bob)
    post(chat_api, link(mails))
    before = bob.client.get("/devices").json

    assert post(chat_api, link(mails)).status == 200
    assert bob.client.get("/devices").json == before


@ON_EVERY_DATABASE
def test_mails_begin_again_when_the_address_is_registered_again(chat_api, bob):
    mails = register(chat_api, bob)
    post(chat_api, link(mails))

    assert register(chat_api, bob) == mails
    assert devices(bob)[mails] == (False, None)


@ON_EVERY_DATABASE
def test_import_does_not_begin_the_mails_again(chat_api, bob):
    mails = register(chat_api, bob)
    post(chat_api, link(mails))
    with chat_api.store.write() as session:
        user = {"external_id": "u", "name": "Bob"}
        import_rows.put(session, [Row(1, "user", user)], utc_now())
    other = chat_api.service.get("/users?external_id=u").json["id"]
    chat_api.service.post(
        f"/users/{other}/devices", {"platform": "email", "token": "bob@example.org"}
    )
    post(chat_api, link(mails))
    row = {"user": "u", "platform": "email", "token": "bob@example.org"}
    row |= {"environment": "production", "app": "another"}

    with chat_api.store.write() as session:
        put = import_rows.put(session, [Row(1, "device", row)], utc_now())

    assert (put.changed, put.problems) == (1, [])
    listed = chat_api.service.get(f"/users/{other}/devices").json["devices"]
    assert listed[0]["disabled_at"] is not None
    assert (listed[0]["app"], listed[0]["reason"]) == ("another", "unsubscribed")


@pytest.mark.parametrize(
    "body", ["", "List-Unsubscribe=", "List-Unsubscribe=one-click", "a=b", "%ff"]
)
def test_other_forms_end_nothing(chat_api, bob, body):
    mails = register(chat_api, bob)

    assert post(chat_api, link(mails), body).status == 400
    assert devices(bob)[mails] == (False, None)


@pytest.mark.parametrize("content_type", FORMS)
def test_large_form_is_refused(chat_api, bob, content_type):
    mails = register(chat_api, bob)
    body = FORMS[content_type] + "&" + "x" * 20_000

    answer = post(chat_api, link(mails), body, content_type)

    assert answer.status in (400, 413)
    assert devices(bob)[mails] == (False, None)


def test_link_ends_no_pushes_to_a_phone_and_no_other_device(chat_api, bob):
    phone = register(chat_api, bob, "p", "fcm")

    for path in (link(phone), link(phone + 1)):
        assert post(chat_api, path).status == 404
        assert chat_api.anonymous.request("GET", path, b"").status == 404
    assert devices(bob) == {phone: (False, None)}


def test_wrong_signature_is_like_no_device(chat_api, bob):
    mails = register(chat_api, bob)
    path = link(mails)
    wrong = path[:-1] + ("A" if path[-1] != "A" else "B")

    assert post(chat_api, wrong).status == 404
    assert chat_api.anonymous.request("GET", wrong, b"").status == 404
    assert post(chat_api, path + "A").status == 404
    assert devices(bob)[mails] == (False, None)
