"""Others: the columns in which a rival is better."""

from benchmarks.others import COMPARED, worse

OURS = {
    "answered_per_s": 800.0,
    "done_per_s": 790.0,
    "answer_p50_ms": 9.0,
    "last_push_p50_ms": 20.0,
    "cpu_ms": 2.0,
    "database_ms": 1.0,
}


def test_nobody_is_better_than_an_equal() -> None:
    assert worse(OURS, OURS) == []


def test_more_messages_and_less_time_are_better() -> None:
    theirs = OURS | {"done_per_s": 800.0, "cpu_ms": 1.9}

    assert worse(OURS, theirs) == ["done_per_s", "cpu_ms"]
    assert worse(theirs, OURS) == []


def test_every_compared_column_can_be_lost() -> None:
    theirs = {
        column: OURS[column] * (2 if more_is_better else 0.5)
        for column, more_is_better in COMPARED.items()
    }

    assert worse(OURS, theirs) == list(COMPARED)
