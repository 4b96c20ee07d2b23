"""What the pool learns from the ends of connections about the next ones."""

import pytest

from notifier.http2.share import UNLIMITED, Share


def _learnt(*ends: int) -> Share:
    share = Share()
    for requests in ends:
        share.learn(requests)
    return share


@pytest.mark.parametrize("ends", [(9, 9), (1, 1), (100, 55), (55, 100), (3, 90, 95)])
def test_two_ends_after_about_as_many_requests_are_a_limit(ends):
    assert _learnt(*ends).requests == ends[-1]


@pytest.mark.parametrize("ends", [(), (10,), (10, 25), (25, 10), (0, 0), (10, 0)])
def test_other_ends_are_none(ends):
    assert _learnt(*ends).requests is None


def test_two_goaways_on_a_connection_are_one_end():
    share = Share()

    share.learn(100)
    share.learn(10, again=True)
    first = share.requests
    share.learn(100)
    share.learn(10, again=True)

    assert first is None
    assert share.requests == 10


def test_a_connection_takes_no_more_than_the_limit():
    share = _learnt(10, 10)

    assert [share.left(opened, answers=0) for opened in (0, 4, 10, 13)] == [10, 6, 0, 0]


def test_a_connection_that_has_answered_more_has_no_limit():
    assert _learnt(10, 10).left(opened=11, answers=11) == UNLIMITED


def test_a_limit_that_was_wrong_has_to_be_learnt_anew():
    share = _learnt(10, 10)

    share.forget()
    share.learn(10)

    assert share.requests is None
    assert share.left(opened=10, answers=10) == UNLIMITED


@pytest.mark.parametrize(("limit", "early"), [(1, 0), (10, 2), (1000, 250)])
def test_the_next_connection_is_dialled_in_the_last_quarter(limit, early):
    assert _learnt(limit, limit).early == early
