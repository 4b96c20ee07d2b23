"""The checker of chaos: what counts as lost, repeated, out of order, and so on."""

from dataclasses import replace

from benchmarks.chaos import history
from benchmarks.chaos.history import (
    GUARANTEES,
    Arrival,
    Counts,
    Findings,
    History,
    Saved,
    Strike,
    check,
)

CHAT = 7
A, B = "token-a", "token-b"
FIRST, SECOND = 10, 11


def recorded(first: float, second: float) -> dict[tuple[int, str], float]:
    """When the outcomes of the two messages were recorded."""
    return {
        (FIRST, A): first,
        (FIRST, B): first,
        (SECOND, A): second,
        (SECOND, B): second,
    }


# Two messages to two devices; each is pushed half a second after it was posted.
GOOD = History(
    audiences={CHAT: frozenset({A, B})},
    messages={FIRST: Saved(CHAT, 1, 100.0), SECOND: Saved(CHAT, 2, 200.0)},
    arrivals=[
        Arrival(100.5, FIRST, A),
        Arrival(100.5, FIRST, B),
        Arrival(200.5, SECOND, B),
        Arrival(200.5, SECOND, A),
    ],
    recorded_by=recorded(101.0, 201.0),
    counts={FIRST: Counts(2, 2, 0, False), SECOND: Counts(2, 2, 0, False)},
    last_seqs={CHAT: 2},
    seqs={CHAT: [1, 2]},
    texts={"first": 1, "second": 1},
)


def broken(found: Findings) -> dict[str, int]:
    """The guarantees that do not hold."""
    return {name: value for name in GUARANTEES if (value := getattr(found, name))}


def test_good_history_breaks_no_guarantee() -> None:
    found = check(GOOD)

    assert (found.messages, found.pushes, found.repeated) == (2, 4, 0)
    assert broken(found) == {}


def test_push_that_never_arrived_is_lost() -> None:
    seen = replace(GOOD, arrivals=GOOD.arrivals[:3])

    assert history.lost(seen) == {(SECOND, A)}
    # The counters claim that it was accepted.
    assert broken(check(seen)) == {"lost": 1, "incomplete": 1, "miscounted": 1}


def test_answered_message_that_is_not_in_the_database_is_lost() -> None:
    third = Saved(CHAT, 3, 300.0)
    seen = replace(GOOD, messages={**GOOD.messages, 12: third})

    assert history.lost(seen) == {(12, A), (12, B)}


def test_open_job_is_stuck_and_not_yet_lost() -> None:
    counts = {**GOOD.counts, SECOND: Counts(None, 0, 0, True)}
    seen = replace(GOOD, arrivals=GOOD.arrivals[:2], counts=counts)

    assert broken(check(seen)) == {"stuck": 1}


def test_repetition_without_a_strike_is_unexcused() -> None:
    seen = replace(GOOD, arrivals=[*GOOD.arrivals, Arrival(202.0, SECOND, A)])

    assert history.repetitions(seen) == (1, 0, 1)
    assert broken(check(seen)) == {"unexcused": 1}


def test_strike_excuses_one_repetition_of_each_push_in_flight() -> None:
    again = [Arrival(203.0, SECOND, A), Arrival(204.0, SECOND, A)]
    one = replace(
        GOOD,
        arrivals=[*GOOD.arrivals, *again],
        strikes=[Strike("kill", 200.6, 200.6)],
        recorded_by=recorded(101.0, 205.0),
    )
    two = replace(one, strikes=[*one.strikes, Strike("kill", 203.5, 203.5)])

    # Both devices of the second message were in flight at the strike.
    assert history.repetitions(one) == (2, 2, 1)
    assert history.repetitions(two) == (2, 4, 0)


def test_strike_excuses_nothing_that_had_ended_before_or_came_after() -> None:
    again = replace(GOOD, arrivals=[*GOOD.arrivals, Arrival(203.0, SECOND, A)])

    for strike in (Strike("late", 202.0, 202.5), Strike("early", 198.0, 199.0)):
        assert history.repetitions(replace(again, strikes=[strike]))[2] == 1


def test_strike_that_lasts_excuses_what_arrives_meanwhile() -> None:
    seen = replace(
        GOOD,
        arrivals=[*GOOD.arrivals, Arrival(203.0, SECOND, A)],
        strikes=[Strike("stop", 199.0, 202.0)],
    )

    assert history.repetitions(seen) == (1, 2, 0)


def test_strike_that_voids_the_leases_excuses_any_number() -> None:
    again = [Arrival(203.0 + number, SECOND, A) for number in range(3)]
    seen = replace(
        GOOD,
        arrivals=[*GOOD.arrivals, *again],
        recorded_by=recorded(101.0, 207.0),
    )
    strike = Strike("clock", 199.0, 206.0)

    assert history.repetitions(replace(seen, strikes=[strike])) == (3, 2, 2)
    void = strike._replace(voids_leases=True)
    assert history.repetitions(replace(seen, strikes=[void])) == (3, 2, 0)


def inverted() -> History:
    """The second message reaches device A before the first does."""
    arrivals = [
        Arrival(100.5, FIRST, B),
        Arrival(200.5, SECOND, A),
        Arrival(200.5, SECOND, B),
        Arrival(206.0, FIRST, A),
    ]
    return replace(GOOD, arrivals=arrivals)


def test_later_message_before_an_earlier_one_is_an_inversion() -> None:
    assert history.inversions(inverted()) == [(FIRST, A)]
    assert broken(check(inverted())) == {"inversions": 1}


def test_repeated_push_behind_a_later_message_is_no_inversion() -> None:
    seen = replace(GOOD, arrivals=[*GOOD.arrivals, Arrival(202.0, FIRST, A)])

    assert history.inversions(seen) == []


def test_messages_of_different_chats_have_no_order() -> None:
    messages = {FIRST: Saved(CHAT, 1, 100.0), SECOND: Saved(8, 2, 200.0)}
    audiences = {CHAT: frozenset({A}), 8: frozenset({A})}

    seen = replace(inverted(), messages=messages, audiences=audiences)

    assert history.inversions(seen) == []


def test_device_that_answered_later_may_be_overtaken() -> None:
    put_off = frozenset({(FIRST, A)})

    assert history.inversions(replace(inverted(), put_off=put_off)) == []
    other = frozenset({(FIRST, B), (SECOND, A)})
    assert history.inversions(replace(inverted(), put_off=other)) == [(FIRST, A)]


def test_struck_provider_may_have_been_silent() -> None:
    struck = Strike("provider", 101.0, 104.0, hits_provider=True)
    elsewhere = Strike("engine", 101.0, 104.0)
    before = Strike("provider", 90.0, 95.0, hits_provider=True)
    after = Strike("provider", 300.0, 301.0, hits_provider=True)

    assert history.inversions(replace(inverted(), strikes=[struck])) == []
    for strike in (elsewhere, before, after):
        assert history.inversions(replace(inverted(), strikes=[strike])) == [(FIRST, A)]


def test_numbers_are_complete_and_unique() -> None:
    for seqs, last_seq, expected in (
        ([1, 2], 2, 0),
        ([1, 3], 3, 1),
        ([1, 2, 2], 2, 1),
        ([1, 2, 3], 2, 1),
        ([], 0, 0),
    ):
        seen = replace(GOOD, seqs={CHAT: seqs}, last_seqs={CHAT: last_seq})
        assert history.gaps(seen) == expected, seqs


def test_text_that_was_saved_again_is_found() -> None:
    seen = replace(GOOD, texts={"first": 1, "second": 3})

    assert broken(check(seen)) == {"saved_twice": 2}


def test_counters_agree_with_the_inbox() -> None:
    for counts, is_wrong in (
        (Counts(2, 2, 0, False), False),
        (Counts(2, 1, 1, False), True),
        (Counts(3, 2, 1, False), True),
        (Counts(None, 2, 0, False), True),
        # A job that is still open counts as stuck.
        (Counts(2, 1, 0, True), False),
    ):
        seen = replace(GOOD, counts={**GOOD.counts, SECOND: counts})
        assert (history.miscounted(seen) == [SECOND]) is is_wrong, counts


def test_failed_device_is_missing_in_the_inbox_and_counts_as_failed() -> None:
    counts = {**GOOD.counts, SECOND: Counts(2, 1, 1, False)}
    seen = replace(GOOD, arrivals=GOOD.arrivals[:3], counts=counts)

    assert history.miscounted(seen) == []
    assert broken(check(seen)) == {"lost": 1, "incomplete": 1}
