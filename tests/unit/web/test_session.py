"""Signed cookies of operators."""

import pytest

from api.service_key import ServiceKey
from tests.support.clock import Clock
from web.session import LIFETIME_S, Sessions

KEY = "a-key-of-the-tests"


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000_000.0)


@pytest.fixture
def sessions(clock) -> Sessions:
    return Sessions(ServiceKey(KEY), clock)


def test_what_was_issued_is_valid_in_every_process(sessions, clock):
    assert Sessions(ServiceKey(KEY), clock).is_valid(sessions.issue())


def test_a_session_outlives_the_rotation_of_the_key(sessions, clock):
    cookie = sessions.issue()
    form = sessions.csrf_token(cookie)

    rotated = Sessions(ServiceKey("the-new-key-of-the-tests", KEY), clock)

    assert rotated.is_valid(cookie)
    assert rotated.is_csrf_token(cookie, form)
    # New ones are signed with the new key, so they outlive the end of the old one.
    assert not sessions.is_valid(rotated.issue())
    assert Sessions(ServiceKey("the-new-key-of-the-tests"), clock).is_valid(
        rotated.issue()
    )


def test_it_ends_by_itself(sessions, clock):
    cookie = sessions.issue()

    clock.now += LIFETIME_S

    assert not sessions.is_valid(cookie)


def test_its_end_cannot_be_moved(sessions):
    end, rest = sessions.issue().split(".", 1)

    assert not sessions.is_valid(f"{int(end) + 1}.{rest}")


def test_another_key_makes_other_cookies(sessions, clock):
    assert not Sessions(ServiceKey("another-key-of-the-tests"), clock).is_valid(
        sessions.issue()
    )


@pytest.mark.parametrize("cookie", ["", ".", "..", "x", "\N{SNOWMAN}.a.b", "1"])
def test_nonsense_is_not_valid(sessions, cookie):
    assert not sessions.is_valid(cookie)


def test_a_form_key_belongs_to_one_session(sessions):
    one, other = sessions.issue(), sessions.issue()

    assert sessions.is_csrf_token(one, sessions.csrf_token(one))
    assert not sessions.is_csrf_token(other, sessions.csrf_token(one))
    assert not sessions.is_csrf_token(one, "\N{SNOWMAN}")
