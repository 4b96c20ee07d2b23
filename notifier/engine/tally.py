"""Counts the outcomes of one job and turns them into steps to be recorded.

Pure state, no I/O. The cursor only moves over devices whose outcome is known, in keyset
order: after a crash the devices behind it are not pushed again, the others are.
"""

import logging
import math
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

from datastore.outbox import Claim, outcome_counts
from datastore.outbox.progress import Failure, Mark, Step
from models.pushes import AT_ONCE, COMPLETED, FAILED, Target
from notifier.outcome import ACCEPTED, Kind, Outcome
from notifier.retry_delays import outage_delay_s, retry_delay_s

log = logging.getLogger(__name__)

# People have to correct our credentials, which takes longer than most outages.
CREDENTIALS_RETRY_S = 60.0
# Once this share of a batch is answered, the next batches need not wait for it.
ANSWERED_SHARE = 0.9


class TargetBatch:
    """Devices handed to the channels together, and the outcomes known so far."""

    __slots__ = ("accepted", "is_retry", "outcomes", "passed", "quorum", "targets")

    def __init__(self, targets: Sequence[Target], *, is_retry: bool) -> None:
        self.targets = targets
        # Devices of a retry have rows in push_failure and lie behind the cursor.
        self.is_retry = is_retry
        # By device id; filled by the channels' reports, read by `Tally.take_step`.
        self.outcomes: dict[int, Outcome] = {}
        # How many of the outcomes are plainly ACCEPTED.
        self.accepted = 0
        # How many devices, from the front, are counted in the tally.
        self.passed = 0
        # With this number of outcomes the batch is mostly answered.
        self.quorum = math.ceil(len(targets) * ANSWERED_SHARE)

    def add(self, device_ids: Sequence[int], outcome: Outcome) -> None:
        self.outcomes.update(dict.fromkeys(device_ids, outcome))
        if outcome is ACCEPTED:
            self.accepted += len(device_ids)

    @property
    def is_mostly_answered(self) -> bool:
        return len(self.outcomes) >= self.quorum

    def unanswered(self, targets: Sequence[Target]) -> list[Target]:
        """Those of the given devices that have no outcome."""
        known = self.outcomes
        if len(known) == len(self.targets):
            return []
        return [target for target in targets if target.device_id not in known]


class Tally:
    """The counters and the cursor of one job, ahead of what is recorded."""

    def __init__(self, claim: Claim, *, waiting: int = 0) -> None:
        self.job_id = claim.job_id
        self.attempts = claim.attempts
        self.cursor = claim.cursor
        self.accepted = claim.accepted
        self.failed = claim.failed
        self.waiting = waiting
        self.total = claim.total
        self.error = claim.error
        self._counts = outcome_counts.read(claim.outcomes)
        self.fanned_out = claim.fanned_out
        # Whether the job before it in its chat has not let it pass in the outbox.
        self.has_front = False
        self.end: str | None = None
        self._started_at = claim.started_at
        self._expires_at = claim.notification.expires_at
        self._batches: deque[TargetBatch] = deque()
        self._release_until: datetime | None = None
        self._unblocks_chat = False
        self._changed = False
        self._clear_lists()

    def _clear_lists(self) -> None:
        self._new_failures: list[Failure] = []
        self._changed_failures: list[Failure] = []
        self._resolved: list[int] = []
        self._dropped: list[int] = []
        self._drop_all = False
        self._marks: list[Mark] = []

    def open_batch(
        self, targets: Sequence[Target], *, is_retry: bool = False
    ) -> TargetBatch:
        """Add devices, in keyset order, that are about to be pushed."""
        batch = TargetBatch(targets, is_retry=is_retry)
        self.add_batch(batch)
        return batch

    def add_batch(self, batch: TargetBatch) -> None:
        """Add devices, in keyset order, to some of which a push may be on its way."""
        self._batches.append(batch)

    def set_remaining(self, count: int) -> None:
        """Set the number of devices after those of the batches opened until now."""
        open_ones = sum(len(batch.targets) - batch.passed for batch in self._batches)
        self.total = self.accepted + self.failed + self.waiting + open_ones + count
        self._changed = True

    def close_fan_out(self) -> None:
        """No further devices will come; open batches may still lack outcomes."""
        self.fanned_out = True
        self._changed = True

    @property
    def answered(self) -> int:
        """How many devices have answered; grows as long as answers arrive."""
        open_ones = sum(len(batch.outcomes) - batch.passed for batch in self._batches)
        return self.accepted + self.failed + self.waiting + open_ones

    def pass_front(self) -> None:
        """The job before it has let it pass."""
        self._changed |= self.has_front
        self.has_front = False

    def unblock_chat(self) -> None:
        """Let later messages of the chat overtake devices that have not answered."""
        self._unblocks_chat = True
        self._changed = True

    def drop(self, device_ids: Sequence[int]) -> None:
        """End these waiting devices, because there is no reason to try them again."""
        self._dropped.extend(device_ids)
        self.waiting -= len(device_ids)
        self.failed += len(device_ids)
        self._changed = True

    def drop_all(self) -> None:
        """End all waiting devices, because the message has expired or was deleted."""
        self._drop_all = True
        self.failed += self.waiting
        self.waiting = 0
        self._changed = True

    def log_missing(self) -> None:
        """Tell in the log that not all devices have accepted."""
        if self.failed or self.waiting:
            log.info(
                "job %d: %d devices have accepted, %d failed, %d wait: %s",
                self.job_id,
                self.accepted,
                self.failed,
                self.waiting,
                self.error,
            )

    @property
    def is_released(self) -> bool:
        """Whether the job has ended or is given back, so that its lease is not kept."""
        return self.end is not None or self._release_until is not None

    def release(self, until: datetime = AT_ONCE) -> None:
        """Give the lease back with the next step; the job is due at that time."""
        self._release_until = until
        self._changed = True

    def expire(self, untried: int) -> None:
        """End the job late; `untried` devices were not tried at all."""
        self.error = self.error or "expired before it could be pushed"
        self.failed += untried
        self._counts["", outcome_counts.UNTRIED] += untried
        self.fanned_out = True
        self.drop_all()

    def cancel(self) -> None:
        """End the job, because its message was deleted."""
        self.fanned_out = True
        self.drop_all()

    def take_step(self, now: datetime) -> Step | None:
        """The changes since the last step, to be recorded; None if there are none."""
        while self._batches:
            batch = self._batches[0]
            self._count(batch, now)
            if batch.passed < len(batch.targets):
                break
            self._batches.popleft()
        if not self._changed or self.end is not None:
            return None
        return self._make_step()

    def _count(self, batch: TargetBatch, now: datetime) -> None:
        """Count outcomes from the front, up to the first device without one."""
        targets, outcomes = batch.targets, batch.outcomes
        start = position = batch.passed
        if batch.accepted == len(targets) and not batch.is_retry:
            # Nearly all batches of a large job.
            self.accepted += len(targets) - start
            new = targets[start:] if start else targets
            self._counts += outcome_counts.of_accepted(each.platform for each in new)
            position = len(targets)
        while position < len(targets):
            target = targets[position]
            outcome = outcomes.get(target.device_id)
            if outcome is None:
                break
            position += 1
            if outcome.kind is Kind.ACCEPTED:
                self._accept(batch, target, outcome)
            else:
                self._fail(batch, target, outcome, now)
        if position == start:
            return
        batch.passed = position
        self._changed = True
        if not batch.is_retry:
            self.cursor = targets[position - 1][:2]

    def _count_outcome(self, target: Target, kind: Kind) -> None:
        if target.outcome is not None:
            self._counts[target.platform, target.outcome] -= 1
        self._counts[target.platform, kind.value] += 1

    def _accept(self, batch: TargetBatch, target: Target, outcome: Outcome) -> None:
        self.accepted += 1
        self._count_outcome(target, outcome.kind)
        if batch.is_retry:
            self.waiting -= 1
            self._resolved.append(target.device_id)
        if outcome.environment or outcome.is_recovery or target.is_marked:
            self._marks.append(Mark(target=target, environment=outcome.environment))

    def _fail(
        self, batch: TargetBatch, target: Target, outcome: Outcome, now: datetime
    ) -> None:
        outcome = _check_registration(target, outcome)
        attempts = target.attempts + outcome.tried
        next_at = self._next_attempt_at(outcome, attempts, now)
        failure = Failure(
            device_id=target.device_id,
            outcome=outcome.kind,
            reason=_sanitize(outcome.reason, 200),
            attempts=attempts,
            next_attempt_at=next_at,
        )
        failures = self._changed_failures if batch.is_retry else self._new_failures
        failures.append(failure)
        self._count_outcome(target, outcome.kind)
        if next_at is None:
            self.failed += 1
            self.waiting -= batch.is_retry
        else:
            self.waiting += not batch.is_retry
        if outcome.kind in (Kind.GONE, Kind.SUSPECT) and outcome.tried:
            gone = outcome.kind is Kind.GONE
            self._marks.append(
                Mark(target=target, disable=gone, reason=_sanitize(outcome.reason, 100))
            )
        if outcome.kind in (Kind.REFUSED, Kind.CREDENTIALS, Kind.UNCONFIGURED):
            self.error = _sanitize(f"{target.platform}: {outcome.reason}", 500)

    def _next_attempt_at(
        self, outcome: Outcome, attempts: int, now: datetime
    ) -> datetime | None:
        waited_s = (now - self._started_at).total_seconds()
        if outcome.kind in (Kind.CREDENTIALS, Kind.UNCONFIGURED):
            floor_s = outcome.retry_after_s or CREDENTIALS_RETRY_S
            delay_s = outage_delay_s(waited_s, floor_s)
        elif outcome.kind is Kind.SUSPECT and outcome.retry_after_s is not None:
            # Other messages of the device may have to wait for this try.
            delay_s = outage_delay_s(waited_s, outcome.retry_after_s)
        elif outcome.kind is not Kind.LATER:
            return None
        elif outcome.tried:
            delay_s = retry_delay_s(attempts, outcome.retry_after_s)
        else:
            delay_s = outage_delay_s(waited_s, outcome.retry_after_s)
        limit_s = outcome.give_up_after_s
        if limit_s is not None and waited_s + delay_s >= limit_s:
            return None
        next_at = now + timedelta(seconds=delay_s)
        return next_at if next_at < self._expires_at else None

    def _make_step(self) -> Step:
        # The chat's next message may follow once all of its devices are counted.
        is_done = self.fanned_out and not self._batches and not self.has_front
        if is_done:
            self.total = self.accepted + self.failed + self.waiting
            if self.waiting == 0:
                self.end = self._final_state()
        step = Step(
            job_id=self.job_id,
            attempts=self.attempts,
            cursor=self.cursor,
            fanned_out=is_done,
            lets_pass=self._unblocks_chat,
            total=self.total,
            accepted=self.accepted,
            failed=self.failed,
            error=self.error,
            outcomes=outcome_counts.write(self._counts),
            new_failures=self._new_failures,
            changed_failures=self._changed_failures,
            resolved=self._resolved,
            dropped=self._dropped,
            drop_all=self._drop_all,
            marks=self._marks,
            release_until=self._release_until,
            end=self.end,
        )
        self._clear_lists()
        self._changed = False
        return step

    def _final_state(self) -> str:
        """Failed if no device accepted and the payload or credentials were refused."""
        if self.failed == 0:
            self.error = None
        return FAILED if self.error and self.accepted == 0 else COMPLETED


def _check_registration(target: Target, outcome: Outcome) -> Outcome:
    """Gone becomes suspect if the token was registered after the time of its end."""
    since = outcome.gone_since
    if outcome.kind is not Kind.GONE or since is None or since >= target.registered_at:
        return outcome
    return Outcome(Kind.SUSPECT, outcome.reason)


def _sanitize(words: str, longest: int) -> str:
    """A provider's words in a form that every database can store."""
    return words.replace("\0", "").encode("utf-8", "replace").decode()[:longest]
