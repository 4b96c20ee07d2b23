"""APNs and FCM on a strict sandbox: every response, and the provider tokens."""

import json
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from models.base import utc_now
from notifier.channels import apns, fcm
from notifier.http2 import Client
from notifier.outcome import Kind
from tests.support.sandbox_provider import SandboxProvider

PLATFORMS = ("apns", "fcm")
GOOD = ("aa01", "aa02", "aa03")

# Magic token → the outcome of its push with APNs and with FCM.
OUTCOMES = {
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
# Tokens whose push gets no response, so its outcome is unknown.
UNANSWERED = ("cut", "cut-after-headers", "reset", "lost-answer")


@pytest.fixture(params=PLATFORMS)
def provider(request: pytest.FixtureRequest) -> SandboxProvider:
    found: SandboxProvider = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests time out after four seconds in place of thirty."""
    for channel in (apns, fcm):
        monkeypatch.setattr(channel, "Client", partial(Client, request_timeout_s=4.0))


def shown(provider: SandboxProvider, push: dict[str, Any]) -> tuple[str, str]:
    """Title and text as the phone shows them."""
    payload = push["payload"]
    if provider.platform == "apns":
        alert = payload["aps"]["alert"]
        return alert["title"], alert["body"]
    notification = payload["notification"]
    return notification["title"], notification["body"]


def reference(provider: SandboxProvider, push: dict[str, Any]) -> dict[str, Any]:
    """Where the app finds the message."""
    payload = push["payload"]
    if provider.platform == "apns":
        found: dict[str, Any] = payload["bottlepost"]
        return found
    found = json.loads(payload["data"]["bottlepost"])
    return found


async def test_the_push_says_what_the_message_says(provider: SandboxProvider) -> None:
    await provider.push(GOOD[0], sender_name='"Ada" ✎', text="Ahoy\n🚢 \\o/ {}")

    (push,) = provider.sandbox.inbox()
    assert shown(provider, push) == ('"Ada" ✎', "Ahoy\n🚢 \\o/ {}")
    assert reference(provider, push) == {"conversation": 3, "message": 7, "seq": 5}


@pytest.mark.parametrize("token", OUTCOMES)
async def test_every_response_has_its_outcome(
    provider: SandboxProvider, token: str
) -> None:
    expected = dict(zip(PLATFORMS, OUTCOMES[token], strict=True))[provider.platform]

    kinds = await provider.kinds(token, *GOOD)

    assert kinds == [expected, *["accepted"] * 3]
    is_accepted = expected == "accepted"
    assert sorted(provider.accepted_tokens()) == sorted([*GOOD, *[token] * is_accepted])


@pytest.mark.parametrize("token", UNANSWERED)
async def test_without_a_response_a_push_is_never_called_accepted(
    provider: SandboxProvider, token: str
) -> None:
    first, *others = await provider.push(token, *GOOD)

    assert first.kind is Kind.LATER
    assert {outcome.kind for outcome in others} <= {Kind.LATER, Kind.ACCEPTED}
    accepted = [
        token
        for token, outcome in zip(GOOD, others, strict=True)
        if outcome.kind is Kind.ACCEPTED
    ]
    assert set(accepted) <= set(provider.accepted_tokens())


async def test_a_device_that_hangs_does_not_cost_the_others_their_outcome(
    provider: SandboxProvider, short_timeout: None
) -> None:
    assert await provider.kinds(*GOOD, "hang") == ["accepted"] * 3 + ["later"]


@pytest.mark.parametrize("token", ["503-after", "503-date", "429"])
async def test_the_provider_says_how_long_to_wait(
    provider: SandboxProvider, token: str
) -> None:
    provider.sandbox.control(retry_after_s=30)

    (outcome,) = await provider.push(token)

    # A date has no fractions of a second, and some time passes.
    assert 20 <= (outcome.retry_after_s or 0) <= 30


async def test_a_token_that_died_last_year_was_gone_then(
    provider: SandboxProvider,
) -> None:
    (outcome,) = await provider.push("unregistered-old")

    if provider.platform == "apns":
        assert outcome.gone_since is not None
        age = utc_now() - outcome.gone_since
        assert timedelta(days=364) < age < timedelta(days=366)
    else:
        assert outcome.gone_since is None


async def test_every_try_has_the_same_ids(provider: SandboxProvider) -> None:
    await provider.push(GOOD[0])
    await provider.push(GOOD[0])

    first, second = provider.sandbox.inbox()
    assert provider.sandbox.summary()["duplicates"] == 1
    if provider.platform == "apns":
        assert first["headers"]["apns-id"] == second["headers"]["apns-id"]


async def test_an_expired_provider_token_is_replaced_once(
    provider: SandboxProvider,
) -> None:
    await provider.push(GOOD[0])
    provider.sandbox.control(expire_provider_tokens=True)

    assert await provider.kinds(*GOOD) == ["accepted"] * 3
    assert provider.tokens.minted == 2


async def test_a_provider_token_that_is_always_expired_ends_in_no_loop(
    provider: SandboxProvider,
) -> None:
    reason = "answer-403-ExpiredProviderToken"
    if provider.platform == "fcm":
        reason = "answer-401-UNAUTHENTICATED"
    provider.sandbox.control(outage={provider.platform: reason})

    outcomes = await provider.push(*GOOD)

    assert {outcome.kind for outcome in outcomes} == {Kind.CREDENTIALS}
    assert provider.tokens.minted == 2
    assert len(provider.troubles.reasons()) == 1
