"""What every channel of a push provider promises, against a strict provider."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from models.base import utc_now
from models.pushes import READ, WITHDRAW
from notifier.channels import apns, fcm
from notifier.http2 import Client
from notifier.outcome import ACCEPTED, Kind, Outcome
from tests.support import sandbox as sandboxes
from tests.support.notifications import make_notification
from tests.support.sandbox import Sandbox
from tests.support.sandbox_provider import Provider, push_to

PLATFORMS = ("apns", "fcm")
GOOD = ("aa01", "aa02", "aa03")

# Magic token → how its push ends with APNs and with FCM.
ENDS = {
    "unregistered-1": ("gone", "gone"),
    "unregistered-old": ("gone", "gone"),
    "unregistered-new": ("gone", "gone"),
    "expired-token": ("gone", "gone"),
    "bad-token": ("suspect", "gone"),
    "wrong-environment": ("accepted", "gone"),
    "not-for-topic": ("suspect", "suspect"),
    "sender-mismatch": ("suspect", "suspect"),
    "invalid-payload": ("refused", "refused"),
    "payload-too-large": ("refused", "refused"),
    "unknown-reason": ("refused", "refused"),
    "garbage-400": ("refused", "refused"),
    "third-party-auth": ("credentials", "credentials"),
    "bad-environment-key": ("credentials", "credentials"),
    "429": ("later", "later"),
    "too-many": ("later", "later"),
    "too-many-updates": ("later", "later"),
    "quota": ("later", "later"),
    "quota-bare": ("later", "later"),
    "500": ("later", "later"),
    "503": ("later", "later"),
    "503-after": ("later", "later"),
    "503-date": ("later", "later"),
    "shutdown": ("later", "later"),
    "flaky-1": ("later", "later"),
    "slow": ("accepted", "accepted"),
    "slow-body": ("gone", "gone"),
    "once-refused-stream": ("accepted", "accepted"),
    "goaway-after": ("accepted", "accepted"),
    # Google's code for it says UNSPECIFIED_ERROR, which is worth another try.
    "answer-418": ("refused", "later"),
    "answer-502-BadGateway": ("later", "later"),
}
# Tokens whose push gets no answer: nobody knows its end.
UNANSWERED = ("cut", "cut-after-headers", "reset", "lost-answer")


@pytest.fixture(scope="module")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandboxes.running(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    shared_sandbox.reset()
    shared_sandbox.control(slow_s=0.2)
    return shared_sandbox


@pytest.fixture(params=PLATFORMS)
def provider(
    request: pytest.FixtureRequest,
    sandbox: Sandbox,
    tmp_path: Path,
) -> Provider:
    return Provider(sandbox, request.param, tmp_path)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are waited for four seconds, so that no test takes thirty."""
    for channel in (apns, fcm):
        monkeypatch.setattr(channel, "Client", partial(Client, request_timeout_s=4.0))


def arrived(provider: Provider) -> list[str]:
    """The device tokens whose push the provider took, in order of arrival."""
    return [push["token"] for push in provider.sandbox.inbox()]


def shown(provider: Provider, push: dict[str, Any]) -> tuple[str, str]:
    """Title and text as the phone shows them."""
    payload = push["payload"]
    if provider.platform == "apns":
        alert = payload["aps"]["alert"]
        return alert["title"], alert["body"]
    notification = payload["notification"]
    return notification["title"], notification["body"]


def told(provider: Provider, push: dict[str, Any]) -> dict[str, Any]:
    """What the app is told beside what is shown."""
    payload = push["payload"]
    if provider.platform == "apns":
        reference: dict[str, Any] = payload["bottlepost"]
        return reference
    reference = json.loads(payload["data"]["bottlepost"])
    return reference


def test_every_device_has_its_push_once(provider: Provider) -> None:
    assert provider.kinds(*GOOD) == ["accepted"] * 3

    assert sorted(arrived(provider)) == sorted(GOOD)


def test_the_push_says_what_the_message_says(provider: Provider) -> None:
    notification = make_notification(sender_name='"Ada" ✎', text="Ahoy\n🚢 \\o/ {}")

    provider.push(GOOD[0], notification=notification)

    (push,) = provider.sandbox.inbox()
    assert shown(provider, push) == ('"Ada" ✎', "Ahoy\n🚢 \\o/ {}")
    assert told(provider, push) == {"conversation": 3, "message": 7, "seq": 5}


@pytest.mark.parametrize(
    "changes",
    [
        {"silent": True},
        {"kind": WITHDRAW},
        {"kind": READ},
        {"text": "🚢" * 4000},
        {"text": "\x00\x1f\x7f" * 1300, "sender_name": "\ud800" * 200},
        {"text": "", "sender_name": "", "chat_name": ""},
        {"data": {"k" * n: "v" * 20 for n in range(1, 20)}},
        {"expires_at": utc_now() - timedelta(seconds=5)},
        {"expires_at": utc_now() + timedelta(days=20_000)},
    ],
    ids=[
        "silent",
        "withdraw",
        "read",
        "long",
        "control characters",
        "empty",
        "data",
        "expired",
        "far future",
    ],
)
def test_the_provider_takes_whatever_is_rendered(
    provider: Provider, changes: dict[str, Any]
) -> None:
    (outcome,) = provider.push(GOOD[0], notification=make_notification(**changes))

    assert outcome == ACCEPTED


@pytest.mark.parametrize("token", ENDS)
def test_every_answer_has_its_end(provider: Provider, token: str) -> None:
    expected = dict(zip(PLATFORMS, ENDS[token], strict=True))

    outcomes = provider.push(token, *GOOD)

    assert [str(o.kind) for o in outcomes] == [
        expected[provider.platform],
        *["accepted"] * 3,
    ]
    taken = expected[provider.platform] == "accepted"
    assert sorted(arrived(provider)) == sorted([*GOOD, *[token] * taken])


@pytest.mark.parametrize("token", UNANSWERED)
def test_without_an_answer_a_push_is_never_called_accepted(
    provider: Provider, token: str
) -> None:
    outcomes = provider.push(token, *GOOD)

    assert outcomes[0].kind is Kind.LATER
    assert {o.kind for o in outcomes[1:]} <= {Kind.LATER, Kind.ACCEPTED}
    accepted = [
        token
        for token, outcome in zip(GOOD, outcomes[1:], strict=True)
        if outcome.kind is Kind.ACCEPTED
    ]
    assert set(accepted) <= set(arrived(provider))


def test_one_device_that_hangs_does_not_cost_the_others_their_outcome(
    provider: Provider, impatient: None
) -> None:
    assert provider.kinds(*GOOD, "hang") == ["accepted"] * 3 + ["later"]


@pytest.mark.parametrize("token", ["503-after", "503-date", "429"])
def test_the_provider_says_how_long_to_wait(provider: Provider, token: str) -> None:
    provider.sandbox.control(retry_after_s=30)

    (outcome,) = provider.push(token)

    # A date has no fractions of a second, and time goes on.
    assert 20 <= outcome.retry_after_s <= 30


def test_a_token_of_last_year_was_gone_then(provider: Provider) -> None:
    (old,) = provider.push("unregistered-old")

    if provider.platform == "apns":
        assert old.gone_since is not None
        assert timedelta(days=364) < utc_now() - old.gone_since < timedelta(days=366)
    else:
        assert old.gone_since is None


def test_every_try_carries_the_same_names(provider: Provider) -> None:
    provider.push(GOOD[0])
    provider.push(GOOD[0])

    first, second = provider.sandbox.inbox()
    assert provider.sandbox.summary()["duplicates"] == 1
    if provider.platform == "apns":
        assert first["headers"]["apns-id"] == second["headers"]["apns-id"]


def test_an_expired_provider_token_is_replaced_once(provider: Provider) -> None:
    provider.push(GOOD[0])
    provider.sandbox.control(expire_provider_tokens=True)

    assert provider.kinds(*GOOD) == ["accepted"] * 3
    assert provider.tokens.minted == 2


def test_a_provider_token_that_is_always_expired_ends_in_no_loop(
    provider: Provider,
) -> None:
    reason = "answer-403-ExpiredProviderToken"
    if provider.platform == "fcm":
        reason = "answer-401-UNAUTHENTICATED"
    provider.sandbox.control(outage={provider.platform: reason})

    outcomes = provider.push(*GOOD)

    assert {outcome.kind for outcome in outcomes} == {Kind.CREDENTIALS}
    assert provider.tokens.minted == 2
    assert len(provider.troubles.reasons()) == 1


def test_wrong_credentials_keep_the_devices_and_are_told_once(
    provider: Provider,
) -> None:
    outage = {"apns": "answer-403-InvalidProviderToken", "fcm": "answer-403"}

    async def push_twice() -> tuple[list[Outcome], list[Outcome]]:
        channel = provider.open()
        try:
            first = await push_to(channel, GOOD, make_notification())
            second = await push_to(channel, GOOD, make_notification())
            return first, second
        finally:
            await channel.close()

    provider.sandbox.control(outage={provider.platform: outage[provider.platform]})
    first, second = asyncio.run(push_twice())

    assert {outcome.kind for outcome in first + second} == {Kind.CREDENTIALS}
    assert len(provider.troubles.reasons()) == 1
    # The second time nobody was asked: the breaker is open.
    assert len(provider.sandbox.inbox(all=1)) == 3


def test_a_provider_that_is_away_is_tried_later_and_found_again(
    provider: Provider,
) -> None:
    provider.sandbox.kill()
    try:
        while_away = provider.kinds(*GOOD)
    finally:
        provider.sandbox.start()

    assert while_away == ["later"] * 3
    assert provider.kinds(*GOOD) == ["accepted"] * 3


def test_a_thousand_devices_of_all_kinds_get_their_own_ends(
    provider: Provider,
) -> None:
    magic = ["unregistered-1", "503", "not-for-topic", "500"]
    tokens = [magic[n // 10 % 4] if n % 10 == 0 else f"{n:04x}00" for n in range(1000)]

    kinds = provider.kinds(*tokens)

    assert kinds.count("accepted") == 900 == provider.sandbox.summary()["accepted"]
    assert set(kinds) == {"accepted", "gone", "later", "suspect"}
