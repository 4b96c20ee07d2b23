"""GET /jobs/<id>."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from datastore import Datastore, live_platforms
from models.base import utc_now
from models.pushes import PushFailure, PushJob, Target
from notifier.channels.not_set_up import NotSetUp
from notifier.engine.loop import Engine
from notifier.outcome import ACCEPTED, Kind, Outcome
from tests.support.chat_api import ON_EVERY_DATABASE, ChatApi, User
from tests.support.fake_channel import FakeChannel
from tests.support.fake_provider import RecordedTroubles
from tests.support.query_plans import statements_of

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
        "outcomes": [],
        "failures": [],
        "next_failures": None,
        "notices": [],
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


DETAILS = "state", "accepted", "failed", "outcomes", "failures", "notices"


def push(chat_api: ChatApi, *, fails: bool = False, **outcomes: Outcome) -> None:
    """Push all jobs; each platform answers like this, the others are not set up."""

    def answer(target: Target) -> Outcome:
        return outcomes[target.platform]

    missing = NotSetUp("fcm", RecordedTroubles(), fails=fails)
    channels = {"fcm": missing, **{name: FakeChannel(answer) for name in outcomes}}

    async def drain() -> None:
        store = Datastore(chat_api.store.url.render_as_string(hide_password=False))
        engine = Engine(store, lambda *_: channels, owner="a", lease_s=30)
        async with asyncio.timeout(90):
            await engine.run(linger_s=0, wake=asyncio.Event())

    asyncio.run(drain())


def register(user: User, platform: str, token: str) -> int:
    body = {"platform": platform, "token": token}
    return int(user.client.post("/devices", body).json["id"])


def details(client: Any, url: str) -> dict[str, Any]:
    job = client.get(url).json
    return {name: job[name] for name in DETAILS}


def count(platform: str, outcome: str, devices: int) -> dict[str, Any]:
    return {"platform": platform, "outcome": outcome, "devices": devices}


def test_reasons_are_for_the_service_and_the_owner(chat_api, ann, bob, eve):
    chat = chat_api.chat(ann, bob, eve)
    device = register(bob, "apns", "ab" * 32)
    register(eve, "fcm", "f" * 40)
    url = chat_api.say(ann, chat, "Noon?").json["job"]["url"]

    push(
        chat_api,
        apns=Outcome(Kind.GONE, "Unregistered"),
        fcm=ACCEPTED,
    )

    seen = {
        name: details(client, url)
        for name, client in {
            "ann": ann.client,
            "bob": bob.client,
            "eve": eve.client,
            "service": chat_api.service,
        }.items()
    }
    failure = {
        "device": device,
        "user": bob.id,
        "platform": "apns",
        "outcome": "gone",
        "reason": "Unregistered",
        "attempts": 1,
        "next_attempt_at": None,
    }
    for job in seen.values():
        assert job["outcomes"] == [
            count("apns", "unregistered", 1),
            count("fcm", "accepted", 1),
        ]
    assert seen["ann"]["failures"] == seen["eve"]["failures"] == []
    assert seen["bob"]["failures"] == seen["service"]["failures"] == [failure]


def test_a_job_tells_of_a_platform_that_is_not_set_up(chat_api, ann, bob, chat):
    register(bob, "fcm", "f" * 40)
    url = chat_api.say(ann, chat, "Noon?").json["job"]["url"]

    push(chat_api)

    waiting = details(ann.client, url)
    assert waiting["outcomes"] == [count("fcm", "not_set_up", 1)]
    assert waiting["notices"] == ["fcm is not set up on this server: 1 device waits"]

    live_platforms.announce(chat_api.store, ["fcm"], utc_now())
    (notice,) = details(ann.client, url)["notices"]
    assert notice == (
        "fcm was not set up where it was tried: 1 device waits for the next try"
    )


def test_what_waits_is_given_up_in_the_end(chat_api, ann, bob, chat):
    register(bob, "apns", "ab" * 32)
    url = chat_api.say(ann, chat, "Noon?").json["job"]["url"]

    push(chat_api, apns=Outcome(Kind.LATER, "busy", 60.0))
    assert details(ann.client, url)["outcomes"] == [count("apns", "waiting", 1)]

    with chat_api.store.write() as session:
        session.execute(update(PushJob).values(expires_at=utc_now(), due_at=utc_now()))
    push(chat_api, apns=ACCEPTED)

    ended = details(ann.client, url)
    assert (ended["state"], ended["failed"]) == ("completed", 1)
    assert ended["outcomes"] == [count("apns", "given_up", 1)]


def test_devices_that_failed_at_once_do_not_wait(chat_api, ann, bob, eve):
    chat = chat_api.chat(ann, bob, eve)
    register(bob, "fcm", "f" * 40)
    register(eve, "apns", "ab" * 32)
    url = chat_api.say(ann, chat, "Noon?").json["job"]["url"]

    push(chat_api, fails=True, apns=Outcome(Kind.LATER, "busy", 60.0))

    job = details(ann.client, url)
    assert (job["state"], job["failed"]) == ("processing", 1)
    assert job["notices"] == [
        "fcm is not set up on this server: 1 device was not reached"
    ]


@pytest.fixture
def large_job(chat_api: ChatApi, ann: User, chat: int) -> str:
    """A job of many devices, all of which have failed."""
    url = chat_api.say(ann, chat, "Noon?").json["job"]["url"]
    job_id = int(url.rpartition("/")[2])
    with chat_api.store.write() as session:
        session.execute(
            update(PushJob).values(
                total=20_000, failed=20_000, outcomes='{"apns":{"gone":20000}}'
            )
        )
        session.execute(
            insert(PushFailure),
            [
                {
                    "job_id": job_id,
                    "device_id": 1_000_000 + number,
                    "outcome": "gone",
                    "reason": "Unregistered",
                    "attempts": 1,
                    "next_attempt_at": None,
                }
                for number in range(20_000)
            ],
        )
    return url


def test_a_look_at_a_large_job_is_short(chat_api, ann, large_job):
    for client, most in ((ann.client, 0), (chat_api.service, 100)):
        job: dict[str, Any] = {}
        statements = statements_of(
            chat_api.store, lambda c=client, j=job: j.update(c.get(large_job).json)
        )

        assert len(statements) <= 8
        assert not any("count(" in sql.lower() for sql, _ in statements)
        assert job["outcomes"] == [count("apns", "unregistered", 20_000)]
        assert len(job["failures"]) == most


def test_failures_beyond_the_first_page_follow_also_those_of_a_shard(
    chat_api, ann, large_job
):
    devices = PushFailure.device_id
    with chat_api.store.write() as session:
        job = session.get(PushJob, int(large_job.rpartition("/")[2]))
        same = ("chat_id", "message_id", "state", "created_at", "expires_at", "kind")
        values = {name: getattr(job, name) for name in same}
        shard = PushJob(parent_id=job.id, **values)
        session.add(shard)
        session.flush()
        session.execute(delete(PushFailure).where(devices >= 1_000_160))
        # The shard has the lower ids of devices.
        low = update(PushFailure).where(devices < 1_000_050)
        session.execute(low.values(job_id=shard.id))

    first = chat_api.service.get(large_job).json
    second = chat_api.service.get(f"{large_job}?after={first['next_failures']}").json

    seen = [
        [each["device"] - 1_000_000 for each in page["failures"]]
        for page in (first, second)
    ]
    assert seen == [[*range(50, 150)], [*range(150, 160), *range(50)]]
    assert second["next_failures"] is None
    assert ann.client.get(f"{large_job}?after=1").status == 400
