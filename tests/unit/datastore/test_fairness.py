"""Every sender gets a turn when more jobs are due than an engine has room for."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from datastore.outbox import fairness
from datastore.outbox.fairness import Candidate, Turns


def of(sender: int, *job_ids: int) -> list[Candidate]:
    return [Candidate(job_id, sender) for job_id in job_ids]


def test_the_heap_of_one_sender_does_not_come_before_the_jobs_of_others() -> None:
    candidates = of(1, *range(100)) + of(2, 200) + of(3, 300, 301)

    given_ = Turns(10).give(candidates, 10)

    assert {200, 300, 301} < set(given_)
    assert len(given_) == 10


def test_the_jobs_of_a_sender_keep_their_order() -> None:
    given_ = Turns(9).give(of(1, 5, 3, 4) + of(2, 9), 9)

    assert [each for each in given_ if each < 9] == [5, 3, 4]


def test_who_has_few_jobs_under_way_comes_first() -> None:
    candidates = of(1, 10, 11, 12) + of(2, 20, 21, 22)

    assert Turns(3, {1: 2}).give(candidates, 3) == [20, 21, 10]


def test_one_sender_alone_leaves_a_quarter_of_the_places_free() -> None:
    heap = of(1, *range(500))

    first = Turns(256, {}).give(heap, 256)

    assert len(first) == 192
    assert Turns(64, {1: 192}).give(heap, 64) == []
    assert len(Turns(64, {1: 192}).give(heap + of(2, 999), 64)) == 1


@given(st.integers(1, 40), st.lists(st.integers(0, 60), max_size=8))
def test_whoever_comes_next_finds_a_place(free: int, heaps: list[int]) -> None:
    """However many senders have heaps, and however often they get places."""
    held: Counter[int] = Counter()
    places = 256
    for _ in range(10):
        candidates = [
            Candidate(sender * 1000 + number, sender)
            for sender, size in enumerate(heaps)
            for number in range(size)
        ]
        left = places - held.total()
        given_ = Turns(left, held).give(candidates, min(left, free))
        held.update(job_id // 1000 for job_id in given_)

    newcomer = len(heaps)
    assert Turns(places - held.total(), held).give(of(newcomer, 7), 1) == [7]


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_a_mix_has_each_job_once(old: int, new: int, both: int) -> None:
    oldest = of(1, *range(old + both))
    newest = of(1, *reversed(range(old, old + both + new)))

    mixed = fairness.mix(oldest, newest)

    assert sorted(mixed) == of(1, *range(old + both + new))
