"""The addresses of users' pictures: set by the service, seen by members."""

import pytest

from tests.support.chat_api import ON_EVERY_DATABASE

URL = "https://cdn.example.org/ann.png?size=64&v=2"
LONGEST = "https://example.org/" + "a" * 980


@ON_EVERY_DATABASE
def test_picture_is_set_changed_shown_and_removed(chat_api, bob):
    service = chat_api.service
    made = service.post(
        "/users", {"name": "Ann", "external_id": "u-1", "avatar_url": URL}
    ).json
    chat = chat_api.chat(bob)
    service.post(f"/groupchat/{chat}/members", {"user_ids": [made["id"]]})

    def seen() -> set[str | None]:
        found = service.get("/users?external_id=u-1").json["avatar_url"]
        page = bob.client.get(f"/groupchat/{chat}/members").json["members"]
        return {found, *(each["avatar_url"] for each in page if each["name"] != "Bob")}

    assert made["avatar_url"] == URL
    assert seen() == {URL}
    # A user who is posted again stays unchanged.
    again = {"name": "Ann", "external_id": "u-1", "avatar_url": LONGEST}
    assert service.post("/users", again).json["avatar_url"] == URL
    changed = service.patch(f"/users/{made['id']}", {"avatar_url": LONGEST}).json
    assert (changed["name"], changed["avatar_url"]) == ("Ann", LONGEST)
    assert seen() == {LONGEST}
    renamed = service.patch(f"/users/{made['id']}", {"name": "Anna"}).json
    assert (renamed["name"], renamed["avatar_url"]) == ("Anna", LONGEST)
    assert service.patch(f"/users/{made['id']}", {"avatar_url": None}).status == 200
    assert seen() == {None}


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/a.png",
        "https://",
        "https:///a.png",
        "https://me:secret@example.org/a.png",
        "https://example.org/a b.png",
        "https://example.org/\u00e4.png",
        "https://example.org/a.png\n",
        'https://example.org/">',
        "javascript:alert(1)",
        "a.png",
        "",
        LONGEST + "a",
    ],
)
def test_what_is_no_address_is_refused(chat_api, ann, url):
    created = chat_api.service.post("/users", {"name": "Eve", "avatar_url": url})
    changed = chat_api.service.patch(f"/users/{ann.id}", {"avatar_url": url})

    for refused in (created, changed):
        assert (refused.status, refused.code) == (400, "invalid")
        assert refused.json["error"]["details"]["problems"][0]["field"] == "avatar_url"


def test_change_must_change_something(chat_api, ann):
    for body in ({}, {"name": None}):
        assert chat_api.service.patch(f"/users/{ann.id}", body).code == "invalid"
