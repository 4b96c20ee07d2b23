"""The parts of chaos: every dispatcher, spread strikes, and repeatable seeds."""

import pytest

from benchmarks.chaos import parts
from benchmarks.chaos.parts import Part
from notifier.dispatchers import DISPATCHERS

# These push in the request, or as another one does.
LEFT_OUT = {"inline", "uwsgi_thread"}


def test_every_dispatcher_meets_every_database() -> None:
    for database, hosts in (("sqlite", 1), ("postgresql", 1), ("postgresql", 2)):
        found = {
            part.dispatcher
            for part in parts.every()
            if (part.database, part.hosts) == (database, hosts)
        }
        assert found == set(DISPATCHERS) - LEFT_OUT


def test_names_are_unique_and_choose() -> None:
    names = [part.name for part in parts.every()]

    assert len(set(names)) == len(names)
    assert parts.choose([]) == parts.every()
    assert parts.choose(["rq-sqlite-1"]) == [Part("rq", "sqlite")]
    assert len(parts.choose(["celery-postgresql", "rq-postgresql-1"])) == 3
    with pytest.raises(SystemExit, match="unknown: nothing"):
        parts.choose(["nothing"])


def test_quick_parts_exist() -> None:
    assert [part.name for part in parts.choose(parts.QUICK)] == list(parts.QUICK)


def test_strikes_are_spread_and_none_is_left_over() -> None:
    chosen = parts.every()

    shares = parts.share(2000, chosen)

    assert sum(shares.values()) == 2000
    assert max(shares.values()) - min(shares.values()) <= 1


def test_random_numbers_belong_to_the_seed_and_the_part() -> None:
    one, other = parts.every()[:2]

    def first(seed: int, part: Part) -> float:
        return parts.randoms(seed, part).random()

    assert first(1, one) == first(1, one)
    assert len({first(1, one), first(2, one), first(1, other)}) == 3
