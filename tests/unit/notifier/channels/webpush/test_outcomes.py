"""Responses of push services, with the outcome of the push."""

import json

import pytest

from notifier.channels.webpush import outcomes
from notifier.http2 import Response
from notifier.outcome import Kind
from tests.support.notifications import make_target


def _read(status: int, body: bytes = b"", **headers: str) -> tuple[Kind, str]:
    named = tuple(
        (name.replace("_", "-").lower(), value) for name, value in headers.items()
    )
    outcome = outcomes.read(Response(status, named, body), make_target())
    return outcome.kind, outcome.reason


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_push_that_was_taken_is_accepted(status: int) -> None:
    assert _read(status)[0] is Kind.ACCEPTED


@pytest.mark.parametrize("status", [404, 410])
def test_a_subscription_that_has_ended_is_gone(status: int) -> None:
    assert _read(status)[0] is Kind.GONE


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"reason":"VapidPkHashMismatch"}', Kind.SUSPECT),
        (
            403,
            b"the VAPID credentials in the authorization header do not correspond to "
            b"the credentials used to create the subscriptions.",
            Kind.SUSPECT,
        ),
        (401, b'{"errno":109,"message":"VAPID public key mismatch"}', Kind.SUSPECT),
        (400, b'{"errno":110,"message":"Invalid crypto keys specified"}', Kind.SUSPECT),
        (401, b'{"errno":109,"message":"Invalid authentication"}', Kind.CREDENTIALS),
        (403, b'{"reason":"BadJwtToken"}', Kind.CREDENTIALS),
        (403, b"", Kind.CREDENTIALS),
        (401, b"<html>nope", Kind.LATER),
        (403, b" <!doctype html><title>Blocked</title>", Kind.LATER),
        (404, b"<html><title>404 Not Found</title>", Kind.LATER),
        (404, b"<HTML><TITLE>NotRegistered</TITLE>", Kind.GONE),
        (
            410,
            b"<HTML><TITLE>push subscription has unsubscribed or expired.",
            Kind.GONE,
        ),
        (403, b"<TITLE>the key does not correspond to it</TITLE>", Kind.SUSPECT),
        (406, b"", Kind.LATER),
        (409, b"", Kind.LATER),
        (421, b"", Kind.LATER),
        (425, b"", Kind.LATER),
        (499, b"", Kind.LATER),
        (400, b'{"reason":"BadWebPushTopic"}', Kind.REFUSED),
        (400, b"", Kind.REFUSED),
        (413, b"", Kind.REFUSED),
        (405, b"", Kind.REFUSED),
        (415, b"", Kind.REFUSED),
        (301, b"", Kind.LATER),
        (429, b"", Kind.LATER),
        (500, b"", Kind.LATER),
        (502, b"<html>", Kind.LATER),
        (503, b"", Kind.LATER),
    ],
)
def test_a_refusal_is_about_the_right_party(
    status: int, body: bytes, kind: Kind
) -> None:
    assert _read(status, body)[0] is kind


@pytest.mark.parametrize(
    ("value", "pause_s"), [("120", 120), ("999999", 3600), ("0", 1), ("soon", None)]
)
@pytest.mark.parametrize("status", [406, 409, 429, 503])
def test_a_service_is_given_the_pause_it_asks_for(
    status: int, value: str, pause_s: float | None
) -> None:
    response = Response(status, (("retry-after", value),), b"")

    outcome = outcomes.read(response, make_target())

    assert outcome.retry_after_s == pause_s


def test_microsofts_reason_is_in_a_header() -> None:
    found = _read(400, X_WNS_Error_Description="TTL and cache policy disagree")

    assert found == (Kind.REFUSED, "400 TTL and cache policy disagree")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"reason":"BadJwtToken"}', "403 BadJwtToken"),
        (b'{"code":403,"message":"not you"}', "403 not you"),
        (b"not you\nbecause", "403 not you"),
        (b"<!doctype html><p>no</p>", "403"),
        (b"<html>\n<Title> not &lt;you&gt;</title>", "403 not <you>"),
        (b'{"reason": 7}', "403"),
        (b"{broken", "403"),
        (b"[" * 9999, "403 " + "[" * 150),
        (b"\x1b[31mred\x00\xff", "403 [31mred\ufffd"),
        (json.dumps({"reason": "x" * 999}).encode(), "403 " + "x" * 150),
    ],
)
def test_the_reason_is_short_and_shows_nothing_odd(body: bytes, reason: str) -> None:
    assert _read(403, body)[1] == reason
