"""Fuzzing: any message renders to a push that fits or is refused; any response reads.

`python -m tests.fuzz.channels --seconds 600` runs longer than the tests do; `--seed`
and `--rounds 1` repeat a failing run.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from models.pushes import MESSAGE, READ, WITHDRAW, Notification
from notifier.channels.apns import outcomes as apns_outcomes
from notifier.channels.apns import payload as apns_payload
from notifier.channels.fcm import outcomes as fcm_outcomes
from notifier.channels.fcm import payload as fcm_payload
from notifier.channels.webpush import outcomes as webpush_outcomes
from notifier.channels.webpush import payload as webpush_payload
from notifier.channels.webpush.encryption import MAX_PLAINTEXT
from notifier.http2 import Response
from notifier.outcome import Kind
from notifier.retry_delays import RETRY_AFTER_MAX_S
from tests.fuzz import rounds
from tests.support.notifications import make_notification, make_target

LARGEST = 4096
FCM = fcm_payload.Renderer("service-account.json", "harbour")

_TEXT = st.text(st.characters(codec=None), max_size=60)
_LONG = st.builds(lambda text, times: text * times, _TEXT, st.integers(0, 90))
NOTIFICATIONS = st.builds(
    make_notification,
    text=_LONG,
    sender_name=_TEXT,
    chat_name=_TEXT,
    kind=st.sampled_from([MESSAGE, WITHDRAW, READ]),
    silent=st.booleans(),
    data=st.dictionaries(
        st.one_of(_TEXT, st.sampled_from(["aps", "from", "google.x", "gcm"])),
        _LONG,
        max_size=4,
    ),
    message_id=st.integers(1, 2**63 - 1),
    expires_at=st.datetimes(datetime(1970, 1, 2), timezones=st.just(UTC)),
)
BADGES = st.integers(0, 2**31 - 1)

_REASONS = [*apns_outcomes.KINDS, *fcm_outcomes.KINDS, "VapidPkHashMismatch"]
_WORDS = st.one_of(st.sampled_from(_REASONS), _TEXT, st.integers(), st.none())
_KEYS = ["reason", "timestamp", "error", "details", "status", "message"]
_KEYS += ["@type", "errorCode", "fieldViolations", "field"]
_JSON = st.recursive(
    _WORDS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(_KEYS),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=12,
)
BODIES = st.one_of(
    _JSON.map(lambda value: json.dumps(value).encode()), st.binary(max_size=80)
)
PAUSES = st.one_of(
    st.none(),
    st.integers(-5, 10**30).map(str),
    st.sampled_from(["Fri, 31 Dec 9999 23:59:59 GMT", "soon", "", "1e9", "\xb2"]),
    st.text(st.characters(max_codepoint=255), max_size=20),
)


def _document(
    render: Callable[[Notification], Any], notification: Notification, badge: int
) -> bytes | None:
    """The payload for a device; None when the message is refused."""
    try:
        rendered = render(notification)
    except ValueError:
        return None
    target = make_target(7, "a" * 160, badge=badge)
    if isinstance(rendered, webpush_payload.WebpushPayload):
        return rendered.text(badge)
    if isinstance(rendered, apns_payload.ApnsPayload):
        [request] = rendered.requests([target])
    else:
        request = rendered.request(target)
    body: bytes = request.body
    return body


def renders(notification: Notification, badge: int) -> None:
    """A rendered push is JSON and within the size limit; other messages are refused."""
    apple = _document(apns_payload.render, notification, badge)
    if apple is not None:
        json.loads(apple)
        assert len(apple) <= LARGEST
    google = _document(FCM.render, notification, badge)
    if google is not None:
        message = json.loads(google)["message"]
        assert message["token"] == "a" * 160
        assert all(isinstance(v, str) for v in message["data"].values())
    browser = _document(webpush_payload.render, notification, badge)
    if browser is not None:
        json.loads(browser)
        assert len(browser) <= MAX_PLAINTEXT


def reads(status: int, pause: str | None, body: bytes) -> None:
    """No response raises, and only success statuses are accepted."""
    headers = () if pause is None else (("retry-after", pause),)
    response = Response(status, headers, body)
    outcomes = [
        apns_outcomes.read(response),
        apns_outcomes.read(response, own_app=True),
        fcm_outcomes.read(response),
        webpush_outcomes.read(response, make_target()),
    ]
    for outcome in outcomes[:3]:
        assert (outcome.kind is Kind.ACCEPTED) == (status == 200)
    assert (outcomes[3].kind is Kind.ACCEPTED) == (status in (200, 201, 202, 204))
    for outcome in outcomes:
        assert outcome.kind is not Kind.GONE or 400 <= status < 500
        assert 0 <= (outcome.retry_after_s or 0) <= RETRY_AFTER_MAX_S


def checks() -> list[rounds.Check]:
    """Both checks, as hypothesis runs them."""
    return [
        given(NOTIFICATIONS, BADGES)(renders),
        given(st.integers(200, 599), PAUSES, BODIES)(reads),
    ]


if __name__ == "__main__":
    rounds.run(__doc__ or "", checks, "messages and responses")
