"""Rush: what counts as pushed while senders post."""

from benchmarks.clients import Answer, Load
from benchmarks.rush_stage import figures_of

# Four messages in four seconds, each answered after half a second.
LOAD = Load([Answer(n, float(n), n + 0.5) for n in range(4)], elapsed_s=4.0)
ENDED_AT = 3.5


def test_messages_pushed_after_the_last_answer_are_not_pushed_meanwhile() -> None:
    complete = {0: 0.6, 1: 1.6, 2: ENDED_AT, 3: ENDED_AT + 0.1}

    figures = figures_of(LOAD, complete, waited_until=10.0)

    assert figures["answered_per_s"] == 1.0
    assert figures["pushed_per_s"] == 0.75
    assert figures["pushed_ratio"] == 0.75
    assert round(figures["drain_s"], 3) == 0.1
    assert figures["unpushed"] == 0


def test_message_that_was_not_pushed_is_as_late_as_the_wait() -> None:
    figures = figures_of(LOAD, {0: 0.6, 1: 1.6, 2: 2.6}, waited_until=10.0)

    assert figures["unpushed"] == 1
    assert figures["last_push_p99_ms"] == 7000.0
    assert figures["drain_s"] == 6.5
