"""Which devices of a route fail, and whether that is their fault or the route's.

Any member can register a device that every provider refuses. So a route is judged by
different devices of different owners, and only while none of its pushes is accepted.
A device that fails while others are accepted, or again and again alone, is suspect: it
is tried ever more rarely, and its failures say nothing about the route.

Pure state of one process, bounded, without I/O. Devices that accept cost next to
nothing.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import TypeVar

from models.pushes import Target
from notifier.outcome import Kind, Outcome


class Fault(Enum):
    """The ways in which a push of one device fails that may be the route's fault."""

    # Our credentials were refused.
    REFUSAL = auto()
    # An error of the provider's own.
    ERROR = auto()
    # No response, although the provider can be reached.
    SILENCE = auto()


# The route is at fault when this many owners had failures and nobody was accepted.
# Errors are the most frequent ones, and each costs little.
ENOUGH_OWNERS = {Fault.REFUSAL: 3, Fault.ERROR: 20, Fault.SILENCE: 3}
# Responses that arrive within this time belong together.
TOGETHER_S = 1.0
# Failures that are further apart have different causes.
WINDOW_S = 600.0
# A device is suspect after this many failures in a row.
SUSPECT_AFTER = 3
# The pauses of a suspect device while others are accepted: 1, 2, 4 … 60 minutes.
FIRST_PAUSE_S = 60.0
LONGEST_PAUSE_S = 3600.0
# The pauses while no device is accepted: 5, 10, 20, 40, 60, 60 … seconds. The provider
# may be at fault, and may soon be back.
FIRST_PAUSE_ALONE_S = 5.0
LONGEST_PAUSE_ALONE_S = 60.0
# While a push was accepted within this time, a single refusal is no alarm.
ACCEPTED_LATELY_S = 60.0
# The same where members choose what answers: a refusal alone says much less there.
ACCEPTED_LATELY_BY_CHOICE_S = 3600.0
FEW_TRIED = "few devices have tried so far"
# The bounds of the memory.
MOST_FAILING = 1000
MOST_OWNERS = 1000
MOST_ACCEPTED = 256

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class _Record:
    """A device that has failed since it last accepted."""

    __slots__ = ("failures", "is_suspect", "pause_s", "paused_until", "reason", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        # In a row, without those that were the route's fault.
        self.failures = 0
        self.is_suspect = False
        self.pause_s = 0.0
        # It is not tried before.
        self.paused_until = 0.0
        self.reason = ""


class RouteHealth:
    """The failing devices of one route, and the devices accepted last.

    With `is_by_choice`, members choose the server or path that responds.
    """

    def __init__(
        self,
        *,
        is_by_choice: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_by_choice = is_by_choice
        self._clock = clock
        self._failing: OrderedDict[int, _Record] = OrderedDict()
        # Owners who may be evidence against the route, with the time and the device.
        self._evidence: dict[Fault, dict[int, tuple[float, int]]] = {
            fault: {} for fault in Fault
        }
        self._has_evidence = False
        # Owners by whose devices the route was judged last.
        self._blaming: list[int] = []
        # Owners who were refused while others were accepted, or blamed it in error.
        self._doubtful: OrderedDict[int, None] = OrderedDict()
        # A sample of the devices that were accepted last.
        self._accepted: OrderedDict[int, None] = OrderedDict()
        self._accepted_at: float | None = None
        self._probes = 0
        # Why our credentials seem to be refused, as far as the few who tried can tell.
        self.refusal: str | None = None

    # -- before a push

    def failing_among(self, targets: Sequence[Target]) -> list[int]:
        """The indexes of devices that have failed since they last accepted."""
        failing = self._failing
        if not failing:
            return []
        return [index for index, target in enumerate(targets) if target[1] in failing]

    def hold(self, target: Target) -> Outcome | None:
        """The outcome of a suspect device's push while its pause lasts.

        If the pause is over this is None, and another one begins, so that its other
        messages wait for the result.
        """
        record = self._failing.get(target.device_id)
        if record is None or not record.is_suspect:
            return None
        now = self._clock()
        left_s = record.paused_until - now
        if left_s > 0:
            return Outcome(Kind.SUSPECT, record.reason, left_s, tried=False)
        record.paused_until = now + record.pause_s
        return None

    def is_doubtful(self, target: Target) -> bool:
        """Whether this device's failure would say nothing about the route."""
        record = self._failing.get(target.device_id)
        if record is not None and record.is_suspect:
            return True
        was_accepted = target.device_id in self._accepted
        return target.user_id in self._doubtful and not was_accepted

    def by_trust(
        self, targets: Sequence[Target], indexes: Sequence[int]
    ) -> Sequence[int]:
        """The indexes, those first whose devices are the best probes.

        Equally good ones take turns, so that no single device is always the probe.
        """
        shift = self._probes % len(indexes)
        self._probes += 1
        turned = [*indexes[shift:], *indexes[:shift]]
        return sorted(turned, key=lambda index: self._distrust(targets[index]))

    def _distrust(self, target: Target) -> int:
        if self.is_doubtful(target):
            return 3
        if target.device_id in self._failing:
            return 2
        return 0 if target.device_id in self._accepted else 1

    # -- after a push

    def accept(self, target: Target, *, is_sample: bool) -> None:
        """A device was accepted, perhaps with many others."""
        self._accepted_at = self._clock()
        self.refusal = None
        if self._has_evidence:
            self._acquit()
        if is_sample:
            _remember(self._accepted, target.device_id, None, MOST_ACCEPTED)

    def _acquit(self) -> None:
        """The provider serves us, so the recent failures were the devices' own.

        Or they were the provider's, and are over: each device may be tried once more.
        """
        for fault, owners in self._evidence.items():
            for user_id, (_, device_id) in owners.items():
                if record := self._failing.get(device_id):
                    record.paused_until = 0.0
                if fault is Fault.REFUSAL:
                    _remember(self._doubtful, user_id, None, MOST_OWNERS)
                    self._accepted.pop(device_id, None)
            owners.clear()
        self._has_evidence = False

    def recover(self, target: Target) -> None:
        """A failing device was accepted."""
        self._failing.pop(target.device_id, None)
        self._doubtful.pop(target.user_id, None)

    def answer(self) -> None:
        """The provider gave a device another answer, so it works."""
        self._evidence[Fault.ERROR].clear()
        self._evidence[Fault.SILENCE].clear()

    def fail(
        self,
        target: Target,
        fault: Fault,
        outcome: Outcome,
        *,
        is_counted: bool = True,
        is_evidence: bool = True,
    ) -> Outcome:
        """A device failed; returns the outcome to be reported.

        It does not count as the device's failure when the route is at fault, and it is
        no evidence against the route when the provider answered others meanwhile.
        """
        record = self._failing.get(target.device_id) or _Record(self._clock())
        _remember(self._failing, target.device_id, record, MOST_FAILING)
        if fault is not Fault.SILENCE:
            self._evidence[Fault.SILENCE].clear()
        if is_evidence:
            self._add_evidence(fault, target)
        if fault is Fault.REFUSAL:
            self._doubt_credentials(record, target, outcome.reason)
        if not is_counted or self._is_of_many(fault):
            return outcome
        record.failures += 1
        record.reason = outcome.reason
        record.is_suspect = self._is_suspect(record, target, fault)
        return self._pause(record, fault, outcome) if record.is_suspect else outcome

    def _add_evidence(self, fault: Fault, target: Target) -> None:
        owners, now = self._evidence[fault], self._clock()
        for user_id in [u for u, (at, _) in owners.items() if at < now - WINDOW_S]:
            del owners[user_id]
        if not self._is_of_many(fault):
            owners.setdefault(target.user_id, (now, target.device_id))
        self._has_evidence = True

    def _doubt_credentials(self, record: _Record, target: Target, reason: str) -> None:
        """Note a refusal that is no proof, but that the operator should know of."""
        if not self._is_by_choice:
            if not self._was_accepted_within(ACCEPTED_LATELY_S):
                self.refusal = reason
            return
        # A path that refuses once says nothing: the retry comes a minute later.
        is_trusted = target.device_id in self._accepted or (
            target.user_id not in self._doubtful and self._is_alone(record)
        )
        lately = self._was_accepted_within(ACCEPTED_LATELY_BY_CHOICE_S)
        if is_trusted and target.attempts > 0 and not lately:
            self.refusal = f"{reason} ({FEW_TRIED})"

    def _was_accepted_within(self, seconds: float) -> bool:
        at = self._accepted_at
        return at is not None and at > self._clock() - seconds

    def _is_suspect(self, record: _Record, target: Target, fault: Fault) -> bool:
        if fault is Fault.REFUSAL:
            if target.user_id in self._doubtful:
                return True
            if self._was_accepted_within(ACCEPTED_LATELY_S):
                return True
            if not self._is_by_choice:
                # No device was accepted lately, so it is about us.
                return False
        return record.is_suspect or record.failures >= SUSPECT_AFTER

    def _pause(self, record: _Record, fault: Fault, outcome: Outcome) -> Outcome:
        is_alone = self._is_alone(record)
        longest_s = LONGEST_PAUSE_ALONE_S if is_alone else LONGEST_PAUSE_S
        # Refused credentials are mended by people, which takes longer.
        is_short = is_alone and fault is not Fault.REFUSAL
        first_s = FIRST_PAUSE_ALONE_S if is_short else FIRST_PAUSE_S
        record.pause_s = min(max(record.pause_s * 2, first_s), longest_s)
        pause_s = max(record.pause_s, outcome.retry_after_s or 0.0)
        record.paused_until = self._clock() + pause_s
        return Outcome(Kind.SUSPECT, outcome.reason, pause_s)

    def _is_alone(self, record: _Record) -> bool:
        """Whether no push was accepted since the device began to fail."""
        at = self._accepted_at
        return at is None or at < record.since

    def is_at_fault(self, fault: Fault) -> bool:
        """Whether enough owners failed like this since a push was last accepted.

        Refusals that arrive together with acceptances are not about the route.
        """
        is_mixed = fault is Fault.REFUSAL and self._was_accepted_within(TOGETHER_S)
        return self._is_of_many(fault) and not is_mixed

    def _is_of_many(self, fault: Fault) -> bool:
        return len(self._evidence[fault]) >= ENOUGH_OWNERS[fault]

    def forgive(self, fault: Fault) -> None:
        """The route is at fault, so these failures were not the devices' own."""
        owners = self._evidence[fault]
        self._blaming = list(owners)
        for _, device_id in owners.values():
            if record := self._failing.get(device_id):
                record.failures = 0
                record.is_suspect = False
        owners.clear()

    def contradict(self) -> None:
        """Another device was accepted meanwhile, so the route was not at fault."""
        for user_id in self._blaming:
            _remember(self._doubtful, user_id, None, MOST_OWNERS)
        self._blaming = []


def _remember(
    memory: OrderedDict[_Key, _Value], key: _Key, value: _Value, most: int
) -> None:
    """Add an entry as the newest one; the oldest one goes when there are too many."""
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > most:
        memory.popitem(last=False)
