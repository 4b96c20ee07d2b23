"""POST /groupchat/send."""

import threading

from datastore.outbox import job_status
from tests.support.chat_api import ON_EVERY_DATABASE, ChatApi, User

pytestmark = ON_EVERY_DATABASE


def test_message_is_answered_with_itself_its_conversation_and_its_job(
    chat_api, ann, chat
):
    sent = chat_api.say(ann, chat, "Noon?")

    assert sent.status == 201
    message, job = sent.json["message"], sent.json["job"]
    assert (message["seq"], message["text"], message["sender"]) == (1, "Noon?", ann.id)
    assert message["created_at"].endswith("Z")
    assert sent.json["conversation"]["id"] == chat
    assert sent.json["conversation"]["last_seq"] == 1
    assert job["url"] == f"/jobs/{job['id']}"


def test_dispatcher_is_called_once_and_after_the_commit(
    chat_api: ChatApi, ann: User, chat
):
    seen = []

    def look(job_id: int) -> None:
        with chat_api.store.read() as session:
            seen.append(job_status.find(session, job_id))

    chat_api.dispatcher.dispatch = look
    job = chat_api.say(ann, chat, "Noon?").json["job"]

    assert [(status.id, status.state) for status in seen] == [(job["id"], "queued")]


def test_messages_of_a_conversation_are_numbered_without_gaps(chat_api, ann, bob, chat):
    other = chat_api.chat(bob)

    numbers = [
        chat_api.say(who, chat, "hi").json["message"]["seq"] for who in (ann, bob)
    ]
    chat_api.say(ann, chat, "   ")
    numbers.append(chat_api.say(ann, chat, "hi").json["message"]["seq"])

    assert numbers == [1, 2, 3]
    assert chat_api.say(bob, other, "hi").json["message"]["seq"] == 1


def test_same_client_id_gets_the_first_answer_and_no_second_push(chat_api, ann, chat):
    first = chat_api.say(ann, chat, "Noon?", client_id="a-1")
    job = first.json["job"]["id"]
    other = chat_api.say(ann, chat, "Or later?").json["job"]["id"]
    again = chat_api.say(ann, chat, "Noon?", client_id="a-1")

    assert (first.status, again.status) == (201, 200)
    assert again.json == first.json
    assert chat_api.dispatcher.job_ids == [job, other]


def test_a_used_client_id_with_another_message_is_a_conflict(chat_api, ann, chat):
    first = chat_api.say(ann, chat, "Noon?", client_id="a-1").json

    refused = chat_api.say(ann, chat, "Or later?", client_id="a-1")

    error = refused.json["error"]
    assert (refused.status, error["code"]) == (409, "client_id_used")
    assert error["details"] == {
        "field": "client_id",
        "message_id": first["message"]["id"],
    }
    assert chat_api.dispatcher.job_ids == [first["job"]["id"]]


def test_client_ids_belong_to_their_sender_and_conversation(chat_api, ann, bob, chat):
    other = chat_api.chat(ann)

    answers = [
        chat_api.say(ann, chat, "hi", client_id="1"),
        chat_api.say(bob, chat, "hi", client_id="1"),
        chat_api.say(ann, other, "hi", client_id="1"),
        chat_api.say(ann, chat, "hi", client_id="2"),
    ]

    assert [answer.status for answer in answers] == [201] * 4


def test_client_id_posted_by_many_at_once_is_stored_once(chat_api, ann, chat):
    ready = threading.Barrier(8)
    answers = []

    def post() -> None:
        ready.wait(60)
        answers.append(chat_api.say(ann, chat, "Noon?", client_id="once"))

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)

    assert sorted(answer.status for answer in answers) == [200] * 7 + [201]
    assert len({answer.body for answer in answers}) == 1
    assert len(chat_api.dispatcher.job_ids) == 1


def test_messages_posted_at_once_all_get_numbers_of_their_own(chat_api, ann, bob, chat):
    ready = threading.Barrier(6)
    answers = []

    def post(who: User) -> None:
        ready.wait(60)
        answers.extend(chat_api.say(who, chat, "hi") for _ in range(10))

    threads = [threading.Thread(target=post, args=(w,)) for w in (ann, bob) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)

    numbers = sorted(answer.json["message"]["seq"] for answer in answers)
    assert numbers == list(range(1, 61))


def test_text_arrives_as_it_was_written(chat_api, ann, chat):
    text = " Grüße 👩‍👩‍👧 \n\tzwei\u202eZeilen "

    chat_api.say(ann, chat, text)

    kept = ann.client.get(f"/groupchat/{chat}/messages").json["messages"]
    assert [message["text"] for message in kept] == [text]


def test_text_may_have_4000_characters_and_no_more(chat_api, ann, chat):
    assert chat_api.say(ann, chat, "ü" * 4000).status == 201
    assert chat_api.say(ann, chat, "ü" * 4001).code == "invalid"


def test_outsider_and_unknown_conversation_look_the_same(chat_api, eve, chat):
    outside = chat_api.say(eve, chat, "hi")
    nowhere = chat_api.say(eve, 10**9, "hi")

    assert (outside.status, outside.code) == (404, "not_found")
    assert outside.body == nowhere.body
    assert chat_api.dispatcher.job_ids == []
