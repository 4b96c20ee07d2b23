"""GET /jobs/<id>."""

from tests.support.chat_api import ON_EVERY_DATABASE

pytestmark = ON_EVERY_DATABASE


def test_new_job_is_queued_and_its_devices_are_not_counted_yet(chat_api, ann, chat):
    url = chat_api.say(ann, chat, "Noon?").json["job"]["url"]

    job = ann.client.get(url).json

    assert job.pop("created_at").endswith("Z")
    assert job.pop("request_id")
    assert job == {
        "id": int(url.removeprefix("/jobs/")),
        "state": "queued",
        "total": None,
        "accepted": 0,
        "failed": 0,
        "pending": None,
        "started_at": None,
        "finished_at": None,
        "error": None,
    }


def test_job_is_shown_to_members_and_the_service_only(chat_api, ann, bob, eve, chat):
    url = chat_api.say(ann, chat, "Noon?").json["job"]["url"]

    statuses = [
        client.get(url).status
        for client in (
            ann.client,
            bob.client,
            chat_api.service,
            eve.client,
            chat_api.anonymous,
        )
    ]

    assert statuses == [200, 200, 200, 404, 401]


def test_outsider_cannot_tell_a_job_from_none(chat_api, ann, eve, chat):
    url = chat_api.say(ann, chat, "Noon?").json["job"]["url"]

    assert eve.client.get(url).body == eve.client.get("/jobs/999999").body


def test_job_of_an_ended_conversation_is_the_services_only(chat_api, ann, chat):
    url = chat_api.say(ann, chat, "Noon?").json["job"]["url"]
    ann.client.delete(f"/groupchat/{chat}")

    statuses = [client.get(url).status for client in (ann.client, chat_api.service)]

    assert statuses == [404, 200]


def test_job_that_tells_of_a_reader_is_theirs_only(chat_api, ann, bob, chat):
    chat_api.say(ann, chat, "Noon?")
    bob.client.put(f"/groupchat/{chat}/read", {"seq": 1})
    url = f"/jobs/{chat_api.dispatcher.job_ids[-1]}"

    statuses = [
        client.get(url).status for client in (bob.client, ann.client, chat_api.service)
    ]

    assert statuses == [200, 404, 200]
