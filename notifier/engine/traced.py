"""The engine while jobs are traced; the others know nothing of it."""

from collections.abc import Mapping, Sequence

from bottlepost import tracing
from bottlepost.tracing import JobTrace
from config import Settings
from datastore.outbox import Claim
from models.pushes import Notification, Target
from notifier.channels import Channel
from notifier.engine import IsRetired, loop, never_retired, redact
from notifier.engine.job_run import JobRun
from notifier.engine.loop import Engine
from notifier.engine.pushes import Pushes, Report
from notifier.engine.small_job import SmallJob
from notifier.engine.tally import TargetBatch
from notifier.engine.variants import Variant
from notifier.outcome import Outcome


def build(
    settings: Settings, *, owner: str, is_retired: IsRetired = never_retired
) -> Engine:
    """As `loop.build`."""
    return loop.build(settings, owner=owner, is_retired=is_retired, kind=TracedEngine)


class TracedPushes(Pushes):
    """Tells the trace of the job when providers are asked and what they answer."""

    __slots__ = ("_trace",)

    def __init__(
        self,
        notification: Notification,
        channels: Mapping[str, Channel],
        job: JobTrace,
    ) -> None:
        super().__init__(notification, channels)
        self._trace = job

    async def push(
        self, batch: TargetBatch, targets: Sequence[Target], report: Report
    ) -> None:
        def count(batch: TargetBatch, some: Sequence[Target], outcome: Outcome) -> None:
            if some:
                platform = some[0].platform
                self._trace.answered(platform, outcome.kind.value, len(some))
            report(batch, some, outcome)

        await super().push(batch, targets, count)

    async def _push(
        self,
        platform: str,
        variant: Variant | None,
        targets: Sequence[Target],
        batch: TargetBatch,
        report: Report,
    ) -> None:
        self._trace.begin(platform)
        await super()._push(platform, variant, targets, batch, report)

    def end(self) -> None:
        self._trace.end()


class TracedEngine(Engine):
    """Makes a span of each job, and exports them before it ends."""

    def _pushes(self, claim: Claim) -> Pushes:
        job = JobTrace(claim.job_id, claim.request_id, claim.traceparent)
        shown = redact.redact(claim.notification, self._preview)
        return TracedPushes(shown, self._channels, job)

    def _forget(self, run: JobRun | SmallJob) -> None:
        super()._forget(run)
        _end(run.pushes)

    async def _close(self) -> None:
        try:
            await super()._close()
        finally:
            for run in self._running:
                _end(run.pushes)
            tracing.flush()


def _end(pushes: Pushes) -> None:
    if isinstance(pushes, TracedPushes):
        pushes.end()
