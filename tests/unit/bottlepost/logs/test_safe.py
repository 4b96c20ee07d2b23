"""What a log line never shows."""

import json
import logging
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.exc import IntegrityError

from bottlepost.logs import addresses, safe
from models.errors import NotFound

TEXT = "Meet me at the harbour"
# What may turn up, by what it is.
PLANTED = {
    "text": TEXT,
    "mail address": "ann.harbour@example.org",
    "odd mail address": "ann+x@mail.internal",
    "user token": "m3Qk-2jv_Zt0Xy7LwPq9RsTuVwXyZ0123456789abcd",
    "APNs token": "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0",
    "FCM token": "cXJ0eXVpb3BhcGRm:APA91b" + "Hx_Y-z0" * 18,
    "endpoint": "https://push.example.net/wpush/v2/gAAAAABk-secret-of-ann",
    "password": "postgresql://harbour:s3cr3t-pw@db.example.org/chat",
}


def _unquoted(value: str) -> Iterator[str]:
    """The value where only its form tells it apart."""
    yield f"550 5.1.1 <{value}> is refused"
    yield f"sent {value} to them, answered 410"
    yield f"url: /3/device/{value} (Caused by nothing)"


@pytest.mark.parametrize("kind", sorted(PLANTED.keys() - {"text"}))
def test_secrets_are_known_by_their_form(kind: str) -> None:
    secret = PLANTED[kind].rpartition("/")[2] if kind == "endpoint" else PLANTED[kind]
    for text in _unquoted(PLANTED[kind]):
        shown = safe.scrub(text)

        assert secret not in shown
        assert "s3cr3t-pw" not in shown
        assert shown.partition(" ")[0] == text.partition(" ")[0]


def _errors(value: str) -> Iterator[Exception]:
    """Exceptions of libraries that repeat what they were given."""
    yield ValueError(f"invalid literal: {value!r}")
    yield KeyError(value)
    yield UnicodeEncodeError("ascii", value + "é", 0, 1, f'in "{value}"')
    yield RuntimeError(f"it says '{value}', and \"{value}\"\n and more '{value}'")
    yield FileNotFoundError(2, "No such file", value)
    orig = sqlite3.IntegrityError(f"duplicate\nDETAIL:  Key (token)=({value}) exists")
    yield IntegrityError("INSERT … VALUES (?)", [value], orig)
    for shape, text in ((int, json.dumps(value)), (dict, value)):
        try:
            TypeAdapter(shape).validate_json(text)
        except ValidationError as problem:
            yield problem


@pytest.mark.parametrize("kind", sorted(PLANTED))
def test_exceptions_repeat_no_value(kind: str) -> None:
    value = PLANTED[kind]
    for problem in _errors(value):
        record = logging.LogRecord(
            "api", 40, __file__, 1, "it failed: %s (%r)", (problem, problem), None
        )
        chained = RuntimeError("later")
        chained.__cause__ = ExceptionGroup("all", [problem])

        shown = safe.message(record) + safe.trace(chained)

        assert value not in shown
        assert type(problem).__name__ in shown


def test_our_own_words_stay() -> None:
    problem = NotFound("There is no such message in this conversation.")

    assert safe.reason(problem) == "There is no such message in this conversation."


def test_a_secret_of_the_settings_is_hidden_wherever_it_is() -> None:
    safe.hide(["ABC123DEFG", "ABC123DEFGHIJ", "", "abc"])
    try:
        shown = safe.scrub("kid ABC123DEFG, ABC123DEFGHIJ and abc")
    finally:
        safe.hide(())

    assert shown == "kid …, … and abc"


@pytest.mark.parametrize(
    "said",
    [
        "Bottlepost listens on http://127.0.0.1:8080",
        "settings 0123456789ab: preview full, database sqlite:////var/lib/x.db",
        "web-1:4711:0a1b2c3d4e5f was killed; 3 jobs are due again",
        "connection to api.push.apple.com:443 ends: the peer is going away",
    ],
)
def test_what_operators_need_stays(said: str) -> None:
    assert safe.scrub(said) == said


def test_a_call_with_wrong_values_is_still_a_line() -> None:
    arguments: Any = ("one",)
    record = logging.LogRecord("api", 20, __file__, 1, "%d of %d", arguments, None)

    assert safe.message(record).startswith("%d of %d")


def test_a_secret_of_the_settings_is_hidden_in_addresses_however_short_it_is() -> None:
    safe.hide(["harbour-key-2026"])
    try:
        path = addresses.shown("/users/harbour-key-2026/x", "harbour-key-2026=1&b=2")
    finally:
        safe.hide([])

    assert path == "/users/…/x?…=1&b=2"
