"""Shares and rests: what one key holds or suffers concerns no other key."""

from hypothesis import given
from hypothesis import strategies as st

from notifier.channels import shares
from notifier.channels.shares import Rests, Shares
from tests.support.clock import Clock


def test_a_share_that_is_taken_can_be_taken_again_when_it_is_given_back() -> None:
    held = Shares()

    with (
        held.hold({"a": 1, "all": 2}) as first,
        held.hold({"a": 1, "all": 2}) as second,
    ):
        assert (first, second) == (True, False)
        # What could not be taken altogether is not taken in part.
        assert held.take({"b": 1, "all": 2})

    assert held.take({"a": 1})


def test_each_key_has_its_own_share() -> None:
    held = Shares()
    held.take({1: 1})

    with held.hold_each([1, 2], 1) as got:
        assert got == {2}
    assert len(held) == 1


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=60))
def test_nothing_is_left_when_everything_was_given_back(
    steps: list[tuple[bool, int]],
) -> None:
    held, taken = Shares(), []

    for is_taking, key in steps:
        if is_taking and held.take({key: 2, "all": 3}):
            taken.append(key)
        elif taken and not is_taking:
            held.give_back([taken.pop(), "all"])
        assert max([taken.count(each) for each in taken], default=0) <= 2
        assert len(taken) <= 3
    for key in taken:
        held.give_back([key, "all"])

    assert len(held) == 0


def test_a_rest_is_longer_after_each_silence() -> None:
    clock = Clock()
    rests = Rests(clock=clock)

    lengths = []
    for _ in range(6):
        lengths.append(rests.silent("a"))
        assert rests.left_s("a") > 0
        clock.now += lengths[-1]
        assert rests.left_s("a") == 0
        assert rests.is_suspect("a")

    assert lengths == [*shares.REST_LADDER_S, shares.REST_LADDER_S[-1]]


def test_tries_that_were_silent_together_are_one_silence() -> None:
    clock = Clock()
    rests = Rests(clock=clock)

    rests.silent("a")
    clock.now += 1

    assert rests.silent("a") == shares.REST_LADDER_S[0] - 1


def test_an_answer_ends_the_suspicion() -> None:
    rests = Rests(clock=Clock())
    rests.silent("a")
    rests.silent("b")

    rests.answered("a")

    assert (rests.left_s("a"), rests.is_suspect("a")) == (0, False)
    assert rests.is_suspect("b")


def test_the_memory_of_silences_is_bounded() -> None:
    rests = Rests(clock=Clock())

    for number in range(shares.MOST_KEPT + 10):
        rests.silent(number)

    assert len(rests) == shares.MOST_KEPT
    assert not rests.is_suspect(0)
    assert rests.is_suspect(shares.MOST_KEPT)
