"""The cursor passes answered devices in order, and each is counted once."""

from datetime import UTC, datetime, timedelta

import pytest

from datastore.outbox import Claim
from models.pushes import COMPLETED, FAILED, Notification, Target
from notifier.engine.tally import Tally, TargetBatch
from notifier.outcome import ACCEPTED, Kind, Outcome

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
GONE = Outcome(Kind.GONE, "Unregistered")
LATER = Outcome(Kind.LATER, "busy")
REFUSED = Outcome(Kind.REFUSED, "PayloadTooLarge")


def make_claim(ttl_s: int = 3600, **changes: object) -> Claim:
    notification = Notification(
        job_id=1,
        message_id=1,
        chat_id=1,
        chat_name="c",
        seq=1,
        sender_name="s",
        text="t",
        created_at=NOW,
        expires_at=NOW + timedelta(seconds=ttl_s),
    )
    values = {
        "job_id": 1,
        "parent_id": None,
        "chat_id": 1,
        "waits_for": None,
        "holds_chat": True,
        "message_id": 1,
        "seq": 1,
        "sender_id": 1,
        "kind": "message",
        "only_user": None,
        "mentions": (),
        "cursor": (0, 0),
        "until_user": None,
        "fanned_out": False,
        "total": None,
        "accepted": 0,
        "failed": 0,
        "error": None,
        "attempts": 1,
        "started_at": NOW,
        "notification": notification,
    }
    return Claim(**(values | changes))  # type: ignore[arg-type]


def make_targets(count: int, first: int = 1, attempts: int = 0) -> list[Target]:
    return [
        Target(i, i, "apns", f"t{i}", None, "production", NOW, 1, attempts)
        for i in range(first, first + count)
    ]


def answer(batch: TargetBatch, *outcomes: Outcome | None) -> None:
    for target, outcome in zip(batch.targets, outcomes, strict=True):
        if outcome is not None:
            batch.outcomes[target.device_id] = outcome


def test_without_new_outcomes_there_is_no_step() -> None:
    tally = Tally(make_claim(), waiting=0)
    tally.open_batch(make_targets(3))

    assert tally.take_step(NOW) is None


def test_the_cursor_stops_before_a_device_without_an_outcome() -> None:
    tally = Tally(make_claim(), waiting=0)
    answer(tally.open_batch(make_targets(4)), ACCEPTED, ACCEPTED, None, ACCEPTED)

    step = tally.take_step(NOW)

    assert step is not None
    assert (step.cursor, step.accepted) == ((2, 2), 2)


def test_a_later_batch_does_not_overtake_an_open_one() -> None:
    tally = Tally(make_claim(), waiting=0)
    first = tally.open_batch(make_targets(2))
    answer(tally.open_batch(make_targets(2, first=3)), ACCEPTED, ACCEPTED)
    before = tally.take_step(NOW)
    answer(first, ACCEPTED, ACCEPTED)

    after = tally.take_step(NOW)

    assert before is None
    assert after is not None
    assert (after.cursor, after.accepted) == ((4, 4), 4)


def test_a_job_ends_when_every_device_has_an_outcome() -> None:
    tally = Tally(make_claim(), waiting=0)
    answer(tally.open_batch(make_targets(3)), ACCEPTED, GONE, ACCEPTED)
    tally.close_fan_out()

    step = tally.take_step(NOW)

    assert step is not None
    assert (step.end, step.total, step.accepted, step.failed) == (COMPLETED, 3, 2, 1)
    assert [failure.next_attempt_at for failure in step.new_failures] == [None]
    assert [mark.disable for mark in step.marks] == [True]


def test_the_last_batch_must_be_answered_before_the_fan_out_counts_as_done() -> None:
    tally = Tally(make_claim(), waiting=0)
    answer(tally.open_batch(make_targets(2)), ACCEPTED, None)
    tally.close_fan_out()

    step = tally.take_step(NOW)

    assert step is not None
    assert (step.fanned_out, step.end) == (False, None)


def test_a_device_that_waits_for_a_retry_keeps_the_job_open() -> None:
    tally = Tally(make_claim(), waiting=0)
    answer(tally.open_batch(make_targets(2)), ACCEPTED, LATER)
    tally.close_fan_out()

    step = tally.take_step(NOW)

    assert step is not None
    assert (step.fanned_out, step.end, step.failed) == (True, None, 0)
    [failure] = step.new_failures
    assert failure.attempts == 1
    assert failure.next_attempt_at is not None
    assert NOW <= failure.next_attempt_at <= NOW + timedelta(seconds=1)
    assert tally.waiting == 1


def test_an_accepted_retry_ends_the_job() -> None:
    tally = Tally(make_claim(fanned_out=True, accepted=1, total=2), waiting=1)
    answer(tally.open_batch(make_targets(1, attempts=1), is_retry=True), ACCEPTED)

    step = tally.take_step(NOW)

    assert step is not None
    assert (step.end, step.accepted, list(step.resolved)) == (COMPLETED, 2, [1])
    assert step.cursor == (0, 0)


def test_each_failed_try_lengthens_the_delay() -> None:
    tally = Tally(make_claim(fanned_out=True, ttl_s=86_400), waiting=1)
    answer(tally.open_batch(make_targets(1, attempts=4), is_retry=True), LATER)

    step = tally.take_step(NOW)

    assert step is not None
    [failure] = step.changed_failures
    assert failure.attempts == 5
    assert failure.next_attempt_at is not None
    assert failure.next_attempt_at <= NOW + timedelta(seconds=600)
    assert tally.waiting == 1


def test_an_unreachable_provider_does_not_count_as_a_failed_try() -> None:
    tally = Tally(make_claim(fanned_out=True, ttl_s=86_400), waiting=1)
    away = Outcome(Kind.LATER, "no route", retry_after_s=4, tried=False)
    answer(tally.open_batch(make_targets(1, attempts=6), is_retry=True), away)

    step = tally.take_step(NOW)

    assert step is not None
    [failure] = step.changed_failures
    assert failure.attempts == 6
    assert failure.next_attempt_at is not None
    assert failure.next_attempt_at <= NOW + timedelta(seconds=8)


def test_retry_after_is_the_minimum_delay() -> None:
    tally = Tally(make_claim(), waiting=0)
    answer(tally.open_batch(make_targets(1)), Outcome(Kind.LATER, "429", 120.0))

    step = tally.take_step(NOW)

    assert step is not None
    next_at = step.new_failures[0].next_attempt_at
    assert next_at is not None
    assert next_at >= NOW + timedelta(seconds=120)


def test_there_is_no_retry_after_the_time_to_live() -> None:
    tally = Tally(make_claim(ttl_s=60), waiting=0)
    answer(tally.open_batch(make_targets(1)), Outcome(Kind.LATER, "429", 120.0))
    tally.close_fan_out()

    step = tally.take_step(NOW)

    assert step is not None
    assert (step.failed, step.end) == (1, COMPLETED)
    assert step.new_failures[0].next_attempt_at is None


def test_a_payload_refused_for_all_devices_fails_the_job_with_its_reason() -> None:
    tally = Tally(make_claim(), waiting=0)
    answer(tally.open_batch(make_targets(2)), REFUSED, REFUSED)
    tally.close_fan_out()

    step = tally.take_step(NOW)

    assert step is not None
    assert (step.end, step.error) == (FAILED, "apns: PayloadTooLarge")


def test_wrong_credentials_keep_the_devices_and_show_in_the_job() -> None:
    tally = Tally(make_claim(), waiting=0)
    answer(tally.open_batch(make_targets(1)), Outcome(Kind.CREDENTIALS, "BadKey"))
    tally.close_fan_out()

    step = tally.take_step(NOW)

    assert step is not None
    assert (step.end, step.error, step.failed) == (None, "apns: BadKey", 0)
    assert step.marks == []
    assert step.new_failures[0].next_attempt_at is not None


def test_credentials_corrected_in_time_leave_no_error() -> None:
    tally = Tally(make_claim(fanned_out=True, error="apns: BadKey"), waiting=1)
    answer(tally.open_batch(make_targets(1, attempts=1), is_retry=True), ACCEPTED)

    step = tally.take_step(NOW)

    assert step is not None
    assert (step.end, step.error) == (COMPLETED, None)


@pytest.mark.parametrize(
    ("since", "kind", "disabled"),
    [
        (NOW + timedelta(hours=1), Kind.GONE, True),
        (NOW - timedelta(hours=1), Kind.SUSPECT, False),
        (None, Kind.GONE, True),
    ],
)
def test_a_token_registered_after_the_time_of_its_end_is_not_disabled(
    since: datetime | None, kind: Kind, disabled: bool
) -> None:
    tally = Tally(make_claim(), waiting=0)
    gone = Outcome(Kind.GONE, "Unregistered", gone_since=since)
    answer(tally.open_batch(make_targets(1)), gone)

    step = tally.take_step(NOW)

    assert step is not None
    assert step.new_failures[0].outcome == kind
    assert [mark.disable for mark in step.marks] == [disabled]


def test_a_deleted_message_ends_with_what_was_pushed() -> None:
    tally = Tally(make_claim(accepted=5, total=9), waiting=2)
    tally.cancel()

    step = tally.take_step(NOW)

    assert step is not None
    assert (step.end, step.accepted, step.failed, step.total) == (COMPLETED, 5, 2, 7)
    assert step.drop_all


def test_an_empty_chat_completes_at_once() -> None:
    tally = Tally(make_claim(), waiting=0)
    tally.close_fan_out()

    step = tally.take_step(NOW)

    assert step is not None
    assert (step.end, step.total) == (COMPLETED, 0)


def test_the_total_counts_open_batches_and_the_remaining_devices() -> None:
    tally = Tally(make_claim(), waiting=0)
    answer(tally.open_batch(make_targets(10)), *[ACCEPTED] * 4, *[None] * 6)
    tally.take_step(NOW)

    tally.set_remaining(90)

    assert tally.total == 100


def test_a_reason_with_a_nul_can_be_stored() -> None:
    tally = Tally(make_claim(), waiting=0)
    answer(tally.open_batch(make_targets(1)), Outcome(Kind.REFUSED, "a\0b\ud800"))

    step = tally.take_step(NOW)

    assert step is not None
    assert step.new_failures[0].reason == "ab?"


def test_a_batch_that_is_accepted_in_pieces_counts_each_device_once() -> None:
    tally = Tally(make_claim())
    batch = tally.open_batch(make_targets(10))

    batch.add([1, 2, 5], ACCEPTED)
    first = tally.take_step(NOW)
    batch.add([3, 4, 6, 7, 8, 9, 10], ACCEPTED)
    second = tally.take_step(NOW)

    assert first is not None
    assert (first.accepted, first.cursor) == (2, (2, 2))
    assert second is not None
    assert (second.accepted, second.cursor) == (10, (10, 10))


def test_a_batch_with_one_failure_counts_it_among_the_accepted() -> None:
    tally = Tally(make_claim())
    batch = tally.open_batch(make_targets(3))

    batch.add([1, 3], ACCEPTED)
    batch.add([2], GONE)
    step = tally.take_step(NOW)

    assert step is not None
    assert (step.accepted, step.failed, step.cursor) == (2, 1, (3, 3))
    assert [failure.device_id for failure in step.new_failures] == [2]
