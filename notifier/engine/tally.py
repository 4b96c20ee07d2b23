"""One job's bookkeeping: which devices have been pushed, and what remains to be said.

Pure state, no I/O. The cursor only moves over devices whose end is known, in keyset
order, so what it has passed is never pushed again and what it has not passed is.
"""

import math
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

from datastore.outbox import Claim
from datastore.outbox.progress import Failure, Mark, Step
from models.pushes import COMPLETED, FAILED, Target
from notifier.outcome import Kind, Outcome, outage_delay_s, retry_delay_s

# Our credentials are being mended by people: look again, but not in a hurry.
CREDENTIALS_RETRY_S = 60.0
# The share of a batch whose ends are known when the next ones need not wait for it.
MOSTLY = 0.9


class TargetBatch:
    """Devices handed to the channels together, and the ends known so far."""

    __slots__ = ("again", "most", "outcomes", "passed", "targets")

    def __init__(self, targets: Sequence[Target], *, again: bool) -> None:
        self.targets = targets
        # Tried before: these stand in push_failure and lie behind the cursor.
        self.again = again
        # By device id; filled by the channels' reports, read by `Tally.take`.
        self.outcomes: dict[int, Outcome] = {}
        self.passed = 0
        # With so many outcomes it is mostly known.
        self.most = math.ceil(len(targets) * MOSTLY)

    @property
    def is_mostly_known(self) -> bool:
        return len(self.outcomes) >= self.most

    def missing(self, targets: Sequence[Target]) -> list[Target]:
        """Those of the given ones whose ends are not known."""
        known = self.outcomes
        return [target for target in targets if target.device_id not in known]


class Tally:
    """Counts the outcomes of one job and turns them into steps to be recorded."""

    def __init__(self, claim: Claim, *, waiting: int = 0) -> None:
        self.job_id = claim.job_id
        self.cursor = claim.cursor
        self.accepted = claim.accepted
        self.failed = claim.failed
        self.waiting = waiting
        self.total = claim.total
        self.error = claim.error
        self.fanned_out = claim.fanned_out
        self.end: str | None = None
        self._started_at = claim.started_at
        self._expires_at = claim.notification.expires_at
        self._batches: deque[TargetBatch] = deque()
        self._release_until: datetime | None = None
        self._gives_way = False
        self._changed = False
        self._clear_lists()

    def _clear_lists(self) -> None:
        self._new: list[Failure] = []
        self._repeated: list[Failure] = []
        self._resolved: list[int] = []
        self._dropped: list[int] = []
        self._drop_all = False
        self._marks: list[Mark] = []

    def open_batch(
        self, targets: Sequence[Target], *, again: bool = False
    ) -> TargetBatch:
        """Notification devices, in keyset order, that are about to be pushed."""
        batch = TargetBatch(targets, again=again)
        self._batches.append(batch)
        return batch

    def set_rest(self, rest: int) -> None:
        """So many devices come after those of the batches opened until now."""
        open_ones = sum(len(batch.targets) - batch.passed for batch in self._batches)
        self.total = self.accepted + self.failed + self.waiting + open_ones + rest
        self._changed = True

    def close_fan_out(self) -> None:
        """No further devices will come; those under way may still be unknown."""
        self.fanned_out = True
        self._changed = True

    @property
    def answered(self) -> int:
        """How many devices have had an answer; grows as long as answers come."""
        open_ones = sum(len(batch.outcomes) - batch.passed for batch in self._batches)
        return self.accepted + self.failed + self.waiting + open_ones

    def give_way(self) -> None:
        """Let later messages of the chat pass those who are still to answer."""
        self._gives_way = True
        self._changed = True

    def drop(self, device_ids: Sequence[int]) -> None:
        """These waiting devices will not be tried again after all."""
        self._dropped.extend(device_ids)
        self.waiting -= len(device_ids)
        self.failed += len(device_ids)
        self._changed = True

    def drop_all(self) -> None:
        """None of the waiting devices will be tried again: the message has expired."""
        self._drop_all = True
        self.failed += self.waiting
        self.waiting = 0
        self._changed = True

    @property
    def is_let_go(self) -> bool:
        """Whether the job has ended or is given back: its lease is not ours to keep."""
        return self.end is not None or self._release_until is not None

    def release(self, until: datetime) -> None:
        """Give the job back with the next step, to be claimed at that time."""
        self._release_until = until
        self._changed = True

    def expire(self, rest: int) -> None:
        """Nobody whom it has not reached by now is told; `rest` were not even tried."""
        self.error = self.error or "expired before it could be pushed"
        self.failed += rest
        self.fanned_out = True
        self.drop_all()

    def withdraw(self) -> None:
        """The message was deleted: nobody else is told of it."""
        self.fanned_out = True
        self.drop_all()

    def take(self, now: datetime) -> Step | None:
        """What is new since the last call, ready to be recorded; None if nothing is."""
        while self._batches:
            batch = self._batches[0]
            self._pass(batch, now)
            if batch.passed < len(batch.targets):
                break
            self._batches.popleft()
        if not self._changed or self.end is not None:
            return None
        return self._step()

    def _pass(self, batch: TargetBatch, now: datetime) -> None:
        """Go over the devices from the front whose ends are known."""
        targets, outcomes = batch.targets, batch.outcomes
        start = position = batch.passed
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
        if not batch.again:
            self.cursor = targets[position - 1][:2]

    def _accept(self, batch: TargetBatch, target: Target, outcome: Outcome) -> None:
        self.accepted += 1
        if batch.again:
            self.waiting -= 1
            self._resolved.append(target.device_id)
        if outcome.environment is not None:
            self._marks.append(Mark(target=target, environment=outcome.environment))

    def _fail(
        self, batch: TargetBatch, target: Target, outcome: Outcome, now: datetime
    ) -> None:
        outcome = _sober(target, outcome)
        attempts = target.attempts + outcome.tried
        next_at = self._next_attempt_at(outcome, attempts, now)
        failure = Failure(
            device_id=target.device_id,
            outcome=outcome.kind,
            reason=_storable(outcome.reason, 200),
            attempts=attempts,
            next_attempt_at=next_at,
        )
        (self._repeated if batch.again else self._new).append(failure)
        if next_at is None:
            self.failed += 1
            self.waiting -= batch.again
        else:
            self.waiting += not batch.again
        if outcome.kind in (Kind.GONE, Kind.SUSPECT):
            gone = outcome.kind is Kind.GONE
            self._marks.append(
                Mark(target=target, disable=gone, reason=_storable(outcome.reason, 100))
            )
        if outcome.kind in (Kind.REFUSED, Kind.CREDENTIALS):
            self.error = _storable(f"{target.platform}: {outcome.reason}", 500)

    def _next_attempt_at(
        self, outcome: Outcome, attempts: int, now: datetime
    ) -> datetime | None:
        waited_s = (now - self._started_at).total_seconds()
        if outcome.kind is Kind.CREDENTIALS:
            floor_s = outcome.retry_after_s or CREDENTIALS_RETRY_S
            delay_s = outage_delay_s(waited_s, floor_s)
        elif outcome.kind is not Kind.LATER:
            return None
        elif outcome.tried:
            delay_s = retry_delay_s(attempts, outcome.retry_after_s)
        else:
            delay_s = outage_delay_s(waited_s, outcome.retry_after_s)
        next_at = now + timedelta(seconds=delay_s)
        return next_at if next_at < self._expires_at else None

    def _step(self) -> Step:
        if self.fanned_out and not self._batches:
            self.total = self.accepted + self.failed + self.waiting
            if self.waiting == 0:
                self.end = self._verdict()
        step = Step(
            job_id=self.job_id,
            cursor=self.cursor,
            # The next message of the chat may follow once all of these have an end.
            fanned_out=self.fanned_out and not self._batches,
            gives_way=self._gives_way,
            total=self.total,
            accepted=self.accepted,
            failed=self.failed,
            error=self.error,
            new_failures=self._new,
            changed_failures=self._repeated,
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

    def _verdict(self) -> str:
        """Failed is a job whose payload or credentials nobody took."""
        if self.failed == 0:
            self.error = None
        return FAILED if self.error and self.accepted == 0 else COMPLETED


def _sober(target: Target, outcome: Outcome) -> Outcome:
    """A token that was registered after its death was announced is not dead."""
    since = outcome.gone_since
    if outcome.kind is not Kind.GONE or since is None or since >= target.registered_at:
        return outcome
    return Outcome(Kind.SUSPECT, outcome.reason)


def _storable(words: str, longest: int) -> str:
    """A provider's words as every database takes them."""
    return words.replace("\0", "").encode("utf-8", "replace").decode()[:longest]
