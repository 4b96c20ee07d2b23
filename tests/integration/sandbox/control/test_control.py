"""The control endpoint: outages, latency, limits and chosen answers."""

import json
import time
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.support.provider_client import ConnectionOver
from tests.support.provider_tokens import DEVICE, ApnsSender, FcmSender
from tests.support.sandbox import Sandbox
from tests.support.wait import until

REFUSED_STREAM = 7


def test_outage_strikes_one_provider(
    sandbox: Sandbox, apns: ApnsSender, fcm: FcmSender
) -> None:
    sandbox.control(outage={"apns": "503"})

    assert apns.refused() == (503, "ServiceUnavailable")
    assert fcm.send().status == 200


def test_outage_ends(sandbox: Sandbox, fcm: FcmSender) -> None:
    sandbox.control(outage={"fcm": "503-after"})
    down = fcm.send()
    sandbox.control(outage={"fcm": None})

    assert (down.status, down.headers["retry-after"]) == (503, "1")
    assert fcm.send().status == 200


def test_outage_can_cut_connections(sandbox: Sandbox, apns: ApnsSender) -> None:
    sandbox.control(outage={"all": "cut"})

    with pytest.raises(ConnectionOver):
        apns.push()


def test_refusal_of_connections_leaves_the_console_open(sandbox: Sandbox) -> None:
    sandbox.control(outage={"all": "refuse"})

    with pytest.raises(ConnectionOver):
        ApnsSender(sandbox).push()

    assert sandbox.control(outage={"all": None})["outage"] == {}


def test_outage_of_slowness_still_checks(sandbox: Sandbox, apns: ApnsSender) -> None:
    sandbox.control(outage={"apns": "slow"}, slow_s=0.05)

    assert apns.refused(apns_topic=None) == (400, "MissingTopic")
    assert apns.push().status == 200


def test_answer_for_a_token_is_chosen(sandbox: Sandbox, apns: ApnsSender) -> None:
    sandbox.control(answers={DEVICE: "unregistered"})
    gone = apns.refused()
    sandbox.control(answers={DEVICE: None})

    assert gone == (410, "Unregistered")
    assert apns.push().status == 200


def test_next_pushes_fail_and_no_more(sandbox: Sandbox, apns: ApnsSender) -> None:
    sandbox.control(next={"count": 2, "answer": "500", "provider": "apns"})

    assert [apns.push().status for _ in range(3)] == [500, 500, 200]


def test_next_of_another_provider_does_not_count(
    sandbox: Sandbox, apns: ApnsSender, fcm: FcmSender
) -> None:
    sandbox.control(next={"count": 1, "answer": "500", "provider": "fcm"})

    assert (apns.push().status, fcm.send().status) == (200, 500)


def test_latency_delays_answers_but_not_throughput(
    sandbox: Sandbox, apns: ApnsSender
) -> None:
    apns.push()
    apns.client.wait_for_limit(1000)
    sandbox.control(latency_ms=300)
    started_at = time.monotonic()

    streams = [apns.send() for _ in range(50)]
    for stream in streams:
        apns.client.wait(stream)

    assert 0.3 <= time.monotonic() - started_at < 12


def test_lower_limit_is_announced_and_kept(sandbox: Sandbox, apns: ApnsSender) -> None:
    apns.push()
    apns.client.wait_for_limit(1000)

    sandbox.control(max_concurrent_streams=2)
    apns.client.wait_for_limit(2)
    assert apns.push().status == 200
    for _ in range(2):
        apns.send("hang-1")
    # Our client would keep the new limit, so it is given the old one.
    apns.client.h2.remote_settings.max_concurrent_streams = 1000
    apns.client.h2.remote_settings.acknowledge()
    one_too_many = apns.push()

    assert one_too_many.reset == REFUSED_STREAM


def test_statistics_count_both_sides(
    sandbox: Sandbox, apns: ApnsSender, fcm: FcmSender
) -> None:
    apns.push()
    apns.push("bad-token")
    fcm.send()

    # Two senders and this request; earlier connections may take a moment to close.
    until(lambda: sandbox.stats()["connections_open"] == 3)
    stats = sandbox.stats()
    assert (stats["apns_accepted"], stats["apns_refused"]) == (1, 1)
    assert (stats["fcm_accepted"], stats["fcm_refused"]) == (1, 0)


def test_reset_is_as_new(sandbox: Sandbox, apns: ApnsSender) -> None:
    fresh = sandbox.ask("GET", "/control")
    sandbox.control(latency_ms=5, outage={"fcm": "503"}, topics=[], retry_after_s=9)
    apns.push()

    sandbox.reset()

    assert sandbox.ask("GET", "/control") == fresh
    assert sandbox.inbox(all=1) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"latency": 5},
        {"latency_ms": -1},
        {"latency_ms": "5"},
        {"retry_after_s": True},
        {"max_concurrent_streams": 1.5},
        {"outage": {"apple": "503"}},
        {"outage": {"apns": "sulk"}},
        {"outage": "503"},
        {"answers": {DEVICE: "sulk"}},
        {"next": {"count": 0, "answer": "503"}},
        {"next": {"answer": "503"}},
        {"topics": "org.example"},
        {"reset": "yes"},
        ["latency_ms"],
    ],
)
def test_nonsense_changes_nothing(sandbox: Sandbox, changes: Any) -> None:
    before = sandbox.ask("GET", "/control")
    body = {"slow_s": 9, **changes} if isinstance(changes, dict) else changes

    with pytest.raises(HTTPError) as refused:
        sandbox.ask("POST", "/control", body=body)

    assert refused.value.code == 400
    assert json.loads(refused.value.read())["error"]
    assert sandbox.ask("GET", "/control") == before


def test_forms_of_foreign_pages_control_nothing(sandbox: Sandbox) -> None:
    request = Request(f"{sandbox.url}/control", b'{"latency_ms": 5}')

    with pytest.raises(HTTPError, match="400"):
        urlopen(request, context=sandbox.tls, timeout=10)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("PUT", "/inbox", 405), ("DELETE", "/stats", 405)],
)
def test_unknown_addresses_are_named(
    sandbox: Sandbox, method: str, path: str, status: int
) -> None:
    with pytest.raises(HTTPError, match=str(status)):
        sandbox.ask(method, path)
