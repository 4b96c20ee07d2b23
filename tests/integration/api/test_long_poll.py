"""Long polls for messages of a conversation."""

import threading
import time
from datetime import timedelta

import pytest
from jwt import PyJWK

from api.app_tokens import LEEWAY_S, AppTokens
from api.long_poll import MAX_PER_USER
from models.accounts import ApiToken
from models.base import utc_now
from tests.support.app_tokens import AUDIENCE, ISSUER, Signer
from tests.support.chat_api import ChatApi, User, build_app
from tests.support.wait import until
from tests.support.wsgi_client import WsgiClient

THREADED = {"wsgi.multithread": True}


class Poll:
    """A long poll in its own thread."""

    def __init__(self, user, chat, after=0, wait_s=20):
        self.reply, self.took_s = None, None
        self._path = f"/groupchat/{chat}/messages?after={after}&wait={wait_s}"
        self._user = user
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        began = time.monotonic()
        self.reply = self._user.client.request("GET", self._path, **THREADED)
        self.took_s = time.monotonic() - began

    def result(self):
        self._thread.join(30)
        assert self.reply is not None
        return self.reply


def is_waiting(chat_api: ChatApi, chat: int, count: int = 1) -> bool:
    return len(chat_api.long_poll._listeners.get(chat, ())) == count


def as_many_as_may_wait(chat_api, ann, bob, chat) -> list[Poll]:
    polls = [Poll(who, chat) for who in [ann, bob] * (chat_api.max_waiting // 2)]
    until(lambda: is_waiting(chat_api, chat, chat_api.max_waiting))
    return polls


def test_waiting_request_is_answered_when_a_message_comes(chat_api, ann, bob, chat):
    poll = Poll(bob, chat)
    until(lambda: is_waiting(chat_api, chat))

    chat_api.say(ann, chat, "here")

    assert [m["text"] for m in poll.result().json["messages"]] == ["here"]
    assert poll.took_s < 15


def test_message_of_another_process_is_seen_too(chat_api, ann, bob, chat):
    elsewhere = build_app(chat_api.store, chat_api.dispatcher)
    poll = Poll(bob, chat)
    until(lambda: is_waiting(chat_api, chat))

    body = {"conversation": chat, "message": "from there"}
    WsgiClient(elsewhere, ann.client.token).post("/groupchat/send", body)

    assert [m["text"] for m in poll.result().json["messages"]] == ["from there"]


def test_message_that_is_there_is_answered_at_once(chat_api, ann, bob, chat):
    chat_api.say(ann, chat, "here")

    poll = Poll(bob, chat)

    assert len(poll.result().json["messages"]) == 1
    assert poll.took_s < 15


def test_empty_answer_comes_when_the_time_is_up(bob, chat):
    poll = Poll(bob, chat, wait_s=1)

    assert poll.result().json == {"messages": [], "has_more": False}
    assert poll.took_s >= 1


def test_too_many_are_answered_at_once(chat_api, ann, bob, chat):
    polls = as_many_as_may_wait(chat_api, ann, bob, chat)

    one_more = Poll(bob, chat)

    assert one_more.result().json["messages"] == []
    assert one_more.took_s < 15
    chat_api.say(ann, chat, "enough")
    assert all(poll.result().json["messages"] for poll in polls)


def test_one_user_cannot_take_all_places(chat_api, ann, bob, chat):
    polls = [Poll(bob, chat) for _ in range(MAX_PER_USER)]
    until(lambda: is_waiting(chat_api, chat, MAX_PER_USER))

    one_more = Poll(bob, chat)
    assert one_more.result().json["messages"] == []
    assert one_more.took_s < 15
    polls.append(Poll(ann, chat))
    until(lambda: is_waiting(chat_api, chat, MAX_PER_USER + 1))
    chat_api.say(ann, chat, "enough")

    assert all(poll.result().json["messages"] for poll in polls)


def test_a_user_may_wait_again_after_a_long_poll(chat_api, bob, chat):
    for poll in [Poll(bob, chat, wait_s=1) for _ in range(MAX_PER_USER)]:
        poll.result()

    again = Poll(bob, chat, wait_s=1)

    assert again.result().json["messages"] == []
    assert again.took_s >= 1


def test_long_polls_do_not_block_other_requests(chat_api, ann, bob, chat):
    polls = as_many_as_may_wait(chat_api, ann, bob, chat)

    assert ann.client.get("/devices").status == 200

    chat_api.say(ann, chat, "enough")
    assert all(poll.result().json["messages"] for poll in polls)


def test_a_removed_member_waits_no_longer(ann, bob, chat_api, chat):
    poll = Poll(bob, chat)
    until(lambda: is_waiting(chat_api, chat))

    ann.client.delete(f"/groupchat/{chat}/members/{bob.id}")

    assert poll.result().status == 404
    assert poll.took_s < 15


@pytest.mark.parametrize("query", ["?wait=10", "?after=0&wait=10"])
def test_host_with_a_single_thread_is_not_kept_waiting(bob, chat, query):
    began = time.monotonic()

    answer = bob.client.get(f"/groupchat/{chat}/messages{query}")

    assert answer.json["messages"] == []
    assert time.monotonic() - began < 8


@pytest.mark.parametrize("end", ["revoke", "expire", "log out"])
def test_a_token_that_ends_ends_its_long_poll(chat_api, bob, chat, end):
    made = chat_api.service.post(f"/users/{bob.id}/tokens", {}).json
    user = User(bob.id, bob.client.as_user(made["token"]))
    poll = Poll(user, chat, wait_s=60)
    until(lambda: is_waiting(chat_api, chat))

    if end == "revoke":
        chat_api.service.delete(f"/users/{bob.id}/tokens/{made['id']}")
    elif end == "log out":
        assert user.client.post("/logout").status == 204
    else:
        past = utc_now() - timedelta(seconds=1)
        with chat_api.store.write() as session:
            session.get_one(ApiToken, made["id"]).expires_at = past

    assert poll.result().code == "unauthorized"
    assert poll.took_s < 30


def test_an_app_token_that_expires_ends_its_long_poll(chat_api, bob, chat):
    signer = Signer()
    tokens = AppTokens(
        [PyJWK(signer.jwk)], audience=AUDIENCE, issuer=ISSUER, subject="id"
    )
    trusting = ChatApi(chat_api.store, app_tokens=tokens)
    token = signer.token(str(bob.id), exp=time.time() - LEEWAY_S + 2)
    poll = Poll(User(bob.id, trusting.anonymous.as_user(token)), chat, wait_s=60)

    assert poll.result().code == "token_expired"
    assert poll.took_s < 30
