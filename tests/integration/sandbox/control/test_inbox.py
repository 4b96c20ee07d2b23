"""The inbox: the pushes that arrived, in order, and their counts."""

import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.support import sandbox as sandboxes
from tests.support.provider_tokens import DEVICE, HELLO, TOPIC, ApnsSender, FcmSender
from tests.support.sandbox import Sandbox

OTHER = "beef" * 16


def test_push_is_shown_with_headers_and_payload(
    sandbox: Sandbox, apns: ApnsSender
) -> None:
    reply = apns.push(apns_collapse_id="message-1", apns_expiration="0")

    [push] = sandbox.inbox()

    assert (push["token"], push["platform"]) == (DEVICE, "apns")
    assert push["payload"] == HELLO
    assert push["headers"] == {
        "apns-topic": TOPIC,
        "apns-push-type": "alert",
        "apns-expiration": "0",
        "apns-collapse-id": "message-1",
        "apns-id": reply.headers["apns-id"],
    }
    arrived_at = datetime.fromisoformat(push["arrived_at"])
    assert abs((datetime.now(UTC) - arrived_at).total_seconds()) < 30


def test_message_of_google_is_shown_without_its_envelope(
    sandbox: Sandbox, fcm: FcmSender
) -> None:
    message = {"token": "phone-2", "data": {"a": "b"}}
    reply = fcm.send(message)

    [push] = sandbox.inbox()

    assert (push["token"], push["platform"]) == ("phone-2", "fcm")
    assert push["payload"] == message
    assert push["id"] == json.loads(reply.body)["name"]


def test_refused_pushes_are_shown_on_demand(sandbox: Sandbox, apns: ApnsSender) -> None:
    apns.push("bad-token-1")
    apns.push()

    accepted, everything = sandbox.inbox(), sandbox.inbox(all=1)

    assert [push["token"] for push in accepted] == [DEVICE]
    assert [(push["status"], push["reason"]) for push in everything] == [
        (400, "BadDeviceToken"),
        (200, None),
    ]


def test_secret_of_the_sender_is_not_shown(sandbox: Sandbox, apns: ApnsSender) -> None:
    apns.push()

    assert apns.token not in json.dumps(sandbox.inbox(all=1))


def test_inbox_of_one_token(sandbox: Sandbox, apns: ApnsSender) -> None:
    apns.push()
    apns.push(OTHER)

    assert [push["token"] for push in sandbox.inbox(token=OTHER)] == [OTHER]


def test_since_a_number_pages_without_gaps(sandbox: Sandbox, apns: ApnsSender) -> None:
    for _ in range(5):
        apns.push()
    everything = [push["seq"] for push in sandbox.inbox()]

    first = sandbox.inbox(limit=2)
    rest = sandbox.inbox(since=first[-1]["seq"])

    assert [push["seq"] for push in first + rest] == everything


def test_since_a_time_includes_that_time(sandbox: Sandbox, apns: ApnsSender) -> None:
    apns.push()
    apns.push(OTHER)
    later = sandbox.inbox()[1]

    assert sandbox.inbox(since=later["arrived_at"]) == [later]


def test_time_with_an_unescaped_plus_is_read(
    sandbox: Sandbox, apns: ApnsSender
) -> None:
    apns.push()

    assert len(sandbox.ask("GET", "/inbox?since=2020-01-01T00:00:00+00:00")) == 1


@pytest.mark.parametrize(
    "query",
    ["since=yesterday", "since=2020-01-01T00:00:00", "limit=-1", "limit=x", "wait=1.5"],
)
def test_unreadable_query_is_refused(sandbox: Sandbox, query: str) -> None:
    with pytest.raises(HTTPError, match="400"):
        sandbox.ask("GET", f"/inbox?{query}")


def test_waiting_ends_with_the_push_that_is_waited_for(
    sandbox: Sandbox, apns: ApnsSender
) -> None:
    found: list[dict[str, object]] = []

    def wait() -> None:
        found.extend(sandbox.inbox(token=OTHER, wait=20))

    waiting = threading.Thread(target=wait)
    waiting.start()
    apns.push()
    apns.push(OTHER)
    waiting.join(20)

    assert [push["token"] for push in found] == [OTHER]


def test_waiting_in_vain_ends_with_nothing(sandbox: Sandbox) -> None:
    started_at = time.monotonic()

    assert sandbox.inbox(wait=1) == []
    assert time.monotonic() - started_at >= 0.9


def test_emptied_inbox_goes_on_counting(sandbox: Sandbox, apns: ApnsSender) -> None:
    apns.push()
    before = sandbox.inbox()[-1]["seq"]

    sandbox.empty_inbox()
    emptied = sandbox.inbox()
    apns.push()

    assert emptied == []
    assert [push["seq"] for push in sandbox.inbox(since=before)] == [before + 1]


def test_summary_counts_what_a_phone_shows_once(
    sandbox: Sandbox, apns: ApnsSender, fcm: FcmSender
) -> None:
    for collapse_id in ("m1", "m1", "m2"):
        apns.push(apns_collapse_id=collapse_id)
    tagged = {"token": "phone", "android": {"notification": {"tag": "m1"}}}
    fcm.send(tagged)
    fcm.send(tagged)
    apns.push("bad-token")

    summary = sandbox.summary()

    assert summary == {"accepted": 5, "refused": 1, "distinct": 3, "duplicates": 2}
    assert sandbox.summary(by="token")["tokens"] == {DEVICE: 3, "phone": 2}
    assert [DEVICE, "m2", 1] in sandbox.summary(by="push")["pushes"]


def test_long_list_arrives_whole_over_http_2(
    sandbox: Sandbox, apns: ApnsSender
) -> None:
    for _ in range(400):
        apns.push()

    reply = apns.client.request("GET", "/inbox")

    assert len(reply.body) > 100_000
    assert len(json.loads(reply.body)) == 400


def test_journal_remembers_what_was_accepted_before_a_kill(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with sandboxes.running(tmp_path, journal=journal) as sandbox:
        sender = ApnsSender(sandbox)
        sender.push(apns_collapse_id="m1")
        sender.push("bad-token")
        sender.push(OTHER)
        sandbox.kill()
        with journal.open("ab") as file:
            file.write(b'[99, 1.0, "torn')
        sandbox.start()

        ApnsSender(sandbox).push(apns_collapse_id="m1")

        assert [push["seq"] for push in sandbox.inbox()] == [1, 3, 4]
        assert [push["seq"] for push in sandbox.inbox(since=2)] == [3, 4]
        assert sandbox.inbox()[0]["payload"] == HELLO
        assert sandbox.summary()["duplicates"] == 1


def test_without_a_journal_a_restart_forgets(tmp_path: Path) -> None:
    with sandboxes.running(tmp_path) as sandbox:
        ApnsSender(sandbox).push()

        sandbox.restart()

        assert sandbox.inbox() == []
