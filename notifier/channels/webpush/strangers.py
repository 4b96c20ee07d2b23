"""Pushes to servers that members have named: they may hang, so they hold little.

Any member can name a server that answers slowly or never, and be in many conversations.
Each of their jobs would hold a place in the engine until the request times out. So
these servers share a few places. Of these, each server and each owner of a device has
only a part; a push that finds its share taken is tried later, and so is one without an
answer after a few seconds. A silent device or server is then left alone for a while,
and its next try is short.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from models.pushes import Target
from notifier.channels import Report
from notifier.channels.shares import Rests, Shares
from notifier.outcome import Kind, Outcome

# Groups of pushes (those of one job to one server) that are under way at a time: to all
# these servers together, to one of them, and with a device of the same owner.
MOST_AT_A_TIME = 64
MOST_OF_SERVER = 32
MOST_OF_OWNER = 16
# A server that was silent the last time is asked by one job alone.
MOST_OF_SUSPECT_SERVER = 1
# A push is tried later if the server has answered nothing for this time, or for the
# shorter one if it, or the device, was silent the last time. Usually this includes
# looking up the name and connecting.
PATIENCE_S = 3.0
SHORT_PATIENCE_S = 1.0
# A server that answers one push after the other has this time for a group.
LONGEST_S = 30.0
# Before a push whose share was taken is tried again; the engine adds jitter.
BUSY_PAUSE_S = 1.0
# A message is given up after this time, even if its own time to live is longer.
GIVE_UP_AFTER_S = 24 * 3600.0


class Attempt:
    """Pushes to some devices of one server, which may hold a place for a while."""

    def __init__(
        self, origin: str, targets: Sequence[Target], rests: Rests, patience_s: float
    ) -> None:
        self.targets = targets
        self._origin = origin
        self._rests = rests
        self._patience_s = patience_s
        self._heard: set[int] = set()
        self._latest = 0.0
        self._limit = asyncio.timeout(None)

    def patience(self) -> asyncio.Timeout:
        """Raises TimeoutError when the server has answered nothing for so long."""
        self._latest = asyncio.get_running_loop().time() + LONGEST_S
        self._limit = asyncio.timeout(self._patience_s)
        return self._limit

    def answered(self, target: Target) -> None:
        """The server has answered about this device."""
        self._heard.add(target.device_id)
        self._rests.answered(target.device_id)
        self._rests.answered(self._origin)
        wait_until = asyncio.get_running_loop().time() + self._patience_s
        if not self._limit.expired():
            self._limit.reschedule(min(wait_until, self._latest))

    def silence(self) -> Outcome:
        """The time is over; returns the outcome of the pushes without an answer."""
        rests_s = [
            self._rests.silent(target.device_id)
            for target in self.targets
            if target.device_id not in self._heard
        ]
        if not self._heard:
            self._rests.silent(self._origin)
        reason = f"{self._origin}: no answer within {self._patience_s:g} s"
        return Outcome(Kind.LATER, reason, min(rests_s, default=None))


class Strangers:
    """Lets pushes to servers that we do not know begin; one per channel."""

    def __init__(self) -> None:
        self._shares = Shares()
        self._rests = Rests()

    @contextmanager
    def admit(
        self, origin: str, targets: Sequence[Target], report: Report
    ) -> Iterator[Attempt]:
        """Devices of one server that may be pushed to until the end of the block.

        The others are reported.
        """
        awake = self._awake(origin, targets, report)
        with self._shares.hold({"": MOST_AT_A_TIME, origin: self._most(origin)}) as has:
            if not has:
                _report_busy(awake, report)
                awake = []
            owners = {target.user_id for target in awake}
            with self._shares.hold_each(owners, MOST_OF_OWNER) as held:
                admitted = [each for each in awake if each.user_id in held]
                others = [each for each in awake if each.user_id not in held]
                _report_busy(others, report)
                patience_s = self._patience_s(origin, admitted)
                yield Attempt(origin, admitted, self._rests, patience_s)

    def _awake(
        self, origin: str, targets: Sequence[Target], report: Report
    ) -> list[Target]:
        """Those that are not left alone; the others are reported."""
        server_s = self._rests.left_s(origin)
        awake = []
        for target in targets:
            rest_s = max(server_s, self._rests.left_s(target.device_id))
            if rest_s > 0:
                report((target,), _later(f"{origin}: did not answer lately", rest_s))
            else:
                awake.append(target)
        return awake

    def _most(self, origin: str) -> int:
        is_suspect = self._rests.is_suspect(origin)
        return MOST_OF_SUSPECT_SERVER if is_suspect else MOST_OF_SERVER

    def _patience_s(self, origin: str, targets: Sequence[Target]) -> float:
        suspects = self._rests.is_suspect
        if suspects(origin) or all(suspects(each.device_id) for each in targets):
            return SHORT_PATIENCE_S
        return PATIENCE_S


def _report_busy(targets: Sequence[Target], report: Report) -> None:
    if targets:
        report(targets, _later("other pushes are under way", BUSY_PAUSE_S))


def _later(reason: str, pause_s: float) -> Outcome:
    return Outcome(Kind.LATER, reason, pause_s, tried=False)


def giving_up(report: Report) -> Report:
    """A report after which a message is not tried for as long as at a known service."""

    def report_within(targets: Sequence[Target], outcome: Outcome) -> None:
        report(targets, outcome._replace(give_up_after_s=GIVE_UP_AFTER_S))

    return report_within
