"""Comparing with the service key, and guessing it."""

import logging
import secrets
from collections.abc import Iterable

import pytest

from api.service_key import TELL_EVERY_S, ServiceKey
from models.errors import TooMany, Unauthorized
from tests.support.clock import Clock

KEY = "the-key-of-the-service"
HERE, THERE = "198.51.100.7", "198.51.100.8"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def key(clock: Clock) -> ServiceKey:
    return ServiceKey(KEY, clock=clock)


def guess(key: ServiceKey, text: str) -> None:
    assert not key.matches(text, HERE)
    key.refuse(text, HERE)


def guess_often(key: ServiceKey, texts: Iterable[str]) -> list[type[Exception]]:
    """How each wrong guess was refused."""
    refused = []
    for text in texts:
        with pytest.raises((Unauthorized, TooMany)) as caught:
            guess(key, text)
        refused.append(caught.type)
    return refused


def guess_until_refused(key: ServiceKey) -> None:
    refused = guess_often(key, ["a wrong one"] * 100)
    assert refused[0] is Unauthorized
    assert refused[-1] is TooMany


def test_guesses_are_limited_by_address(key: ServiceKey) -> None:
    assert key.matches(KEY, HERE)

    guess_until_refused(key)

    assert not key.matches(KEY, HERE)
    assert key.matches(KEY, THERE)


def test_the_key_is_taken_again_after_a_while(key: ServiceKey, clock: Clock) -> None:
    guess_until_refused(key)

    clock.now += 2

    assert key.matches(KEY, HERE)


def test_the_right_key_is_no_guess(key: ServiceKey) -> None:
    assert all(key.matches(KEY, HERE) for _ in range(1000))


def test_old_tokens_of_users_lock_nobody_out(key: ServiceKey) -> None:
    refused = guess_often(key, (secrets.token_urlsafe(32) for _ in range(1000)))

    assert set(refused) == {Unauthorized}
    assert key.matches(KEY, HERE)


def test_a_key_that_looks_like_a_token_is_guessed_by_tokens(clock: Clock) -> None:
    key = ServiceKey(secrets.token_urlsafe(32), clock=clock)

    refused = guess_often(key, (secrets.token_urlsafe(32) for _ in range(100)))

    assert refused[-1] is TooMany


def test_during_a_rotation_both_keys_are_taken(clock: Clock) -> None:
    key = ServiceKey("the-new-key-of-the-service", KEY, clock=clock)

    assert key.matches("the-new-key-of-the-service", HERE)
    assert key.matches(KEY, HERE)
    assert not key.matches("the-new-key-of-the-servicf", HERE)
    assert not key.matches("", HERE)


def test_use_of_the_old_key_is_told_once_in_a_while(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    key = ServiceKey("the-new-key-of-the-service", KEY, clock=clock)

    with caplog.at_level(logging.WARNING):
        key.matches("the-new-key-of-the-service", HERE)
        assert not caplog.messages
        for _ in range(3):
            key.matches(KEY, HERE)
        assert len(caplog.messages) == 1
        clock.now += TELL_EVERY_S
        key.matches(KEY, THERE)

    assert len(caplog.messages) == 2
    assert THERE in caplog.text
    assert KEY not in caplog.text


def test_what_is_derived_from_the_old_key_is_valid_and_signs_nothing() -> None:
    (old,) = ServiceKey(KEY).derive(b"a purpose")
    new, second = ServiceKey("the-new-key-of-the-service", KEY).derive(b"a purpose")

    assert second == old
    assert new != old
