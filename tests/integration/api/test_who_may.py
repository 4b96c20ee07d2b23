"""Every route with every kind of caller."""

import pytest

# Method, path, body; then no token, outsider, member, owner, service.
TABLE = [
    ("POST", "/groupchat/send", {"conversation": 1, "message": "x"},
     401, 404, 201, 201, 400),
    ("POST", "/groupchat/send", {"conversation": 1, "message": "x", "sender": 2},
     401, 403, 403, 403, 201),
    ("POST", "/groupchat/send", {"conversation": 1, "message": "x", "system": True},
     401, 403, 403, 403, 201),
    ("GET", "/groupchat/1/messages", None, 401, 404, 200, 200, 200),
    ("DELETE", "/groupchat/1/messages", None, 401, 403, 403, 403, 200),
    ("PATCH", "/groupchat/1/messages/1", {"message": "x"}, 401, 404, 403, 200, 403),
    ("PATCH", "/groupchat/1/messages/2", {"message": "x"}, 401, 404, 200, 403, 403),
    ("DELETE", "/groupchat/1/messages/1", None, 401, 404, 403, 204, 204),
    ("DELETE", "/groupchat/1/messages/2", None, 401, 404, 204, 204, 204),
    ("PUT", "/groupchat/1/read", {"seq": 1}, 401, 404, 200, 200, 403),
    ("PUT", "/groupchat/1/mute", {"until": None}, 401, 404, 200, 200, 403),
    ("POST", "/groupchat", {"name": "x"}, 401, 201, 201, 201, 201),
    ("POST", "/groupchat", {"name": "x", "external_id": "c"}, 401, 403, 403, 403, 201),
    ("GET", "/groupchat", None, 401, 200, 200, 200, 403),
    ("GET", "/groupchat/1", None, 401, 404, 200, 200, 200),
    ("PATCH", "/groupchat/1", {"name": "x"}, 401, 404, 403, 200, 200),
    ("DELETE", "/groupchat/1", None, 401, 404, 403, 204, 204),
    ("GET", "/groupchat/1/members", None, 401, 404, 200, 200, 200),
    ("POST", "/groupchat/1/members", {"user_ids": [1]}, 401, 404, 403, 200, 200),
    ("PUT", "/groupchat/1/members/2", {"role": "owner"}, 401, 404, 403, 204, 204),
    ("DELETE", "/groupchat/1/members/1", None, 401, 404, 403, 409, 409),
    ("DELETE", "/groupchat/1/members/2", None, 401, 404, 204, 204, 204),
    ("GET", "/jobs/1", None, 401, 404, 200, 200, 200),
    ("POST", "/query", {"id": 1}, 401, 404, 200, 200, 200),
    ("POST", "/devices", {"platform": "fcm", "token": "x"}, 401, 201, 201, 201, 403),
    ("POST", "/devices", {"platform": "email", "token": "a@example.org"},
     401, 403, 403, 403, 403),
    ("POST", "/users/1/devices", {"platform": "email", "token": "a@example.org"},
     401, 403, 403, 403, 201),
    ("GET", "/users/1/devices", None, 401, 403, 403, 403, 200),
    ("DELETE", "/users/1/devices/1", None, 401, 403, 403, 403, 204),
    ("GET", "/devices", None, 401, 200, 200, 200, 403),
    ("GET", "/webpush/key", None, 404, 404, 404, 404, 404),
    ("DELETE", "/devices/1", None, 401, 404, 404, 204, 403),
    ("POST", "/users", {"name": "x"}, 401, 403, 403, 403, 201),
    ("PATCH", "/users/1", {"name": "x"}, 401, 403, 403, 403, 200),
    ("POST", "/users/1/tokens", {}, 401, 403, 403, 403, 201),
    ("GET", "/users/1/tokens", None, 401, 403, 403, 403, 200),
    ("DELETE", "/users/1/tokens/1", None, 401, 403, 403, 403, 204),
    ("GET", "/kinds", None, 401, 403, 403, 403, 200),
    ("GET", "/kinds/call", None, 401, 403, 403, 403, 200),
    ("PUT", "/kinds/call", {}, 401, 403, 403, 403, 200),
    ("DELETE", "/kinds/call", None, 401, 403, 403, 403, 204),
    # Authorized callers are told what is missing.
    ("POST", "/import", {}, 401, 403, 403, 403, 415),
    ("GET", "/imports/1", None, 401, 403, 403, 403, 404),
    ("GET", "/users", None, 401, 403, 403, 403, 200),
    ("GET", "/me", None, 401, 200, 200, 200, 403),
    ("GET", "/users/1", None, 401, 404, 200, 200, 200),
    ("DELETE", "/users/1", None, 401, 403, 403, 403, 202),
    ("GET", "/users/1/export", None, 401, 404, 404, 200, 200),
    ("GET", "/deletions/1", None, 401, 403, 403, 403, 404),
    ("POST", "/logout", {}, 401, 204, 204, 204, 403),
    ("GET", "/openapi.json", None, 200, 200, 200, 200, 200),
    ("GET", "/healthz", None, 200, 200, 200, 200, 200),
    ("GET", "/readyz", None, 200, 200, 200, 200, 200),
    ("GET", "/metrics", None, 401, 403, 403, 403, 200),
]  # fmt: skip
CALLERS = ["nobody", "outsider", "member", "owner", "service"]


@pytest.fixture
def clients(chat_api, ann, bob, eve, chat):
    """Ann (1) owns chat 1, in which Bob (2) is, and has device 1. There is a kind.

    Message 1, with job 1, is Ann's, message 2 is Bob's.
    """
    ann.client.post("/devices", {"platform": "apns", "token": "of-ann"})
    chat_api.service.put("/kinds/call", {})
    chat_api.say(ann, chat, "hello")
    chat_api.say(bob, chat, "hello")
    people = [chat_api.anonymous, eve.client, bob.client, ann.client, chat_api.service]
    return dict(zip(CALLERS, people, strict=True))


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]} {row[1]}")
def test_caller_gets_what_the_table_says(clients, row, caller):
    method, path, body, *statuses = row

    answer = clients[caller].request(method, path, body)

    assert answer.status == statuses[CALLERS.index(caller)], answer.body
    if answer.status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"


def test_table_knows_every_route():
    import api

    def shape(path: str) -> list[str]:
        return [
            "#" if part.isdigit() or part == "call" or part.startswith("<") else part
            for part in path.split("/")
        ]

    known = {(method, *shape(path)) for method, path, *_ in TABLE}
    routes = {(route.method, *shape(route.path)) for route in api.ROUTES}

    assert routes == known
