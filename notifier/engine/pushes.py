"""Hands the devices of one job to the channels; each gets an outcome."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from models.apns_push_types import suffix_of
from models.pushes import Notification, Target
from notifier.channels import Channel, not_set_up
from notifier.engine.tally import TargetBatch
from notifier.engine.variants import APNS, Variant, Variants
from notifier.outcome import ChannelDown, Kind, Outcome

log = logging.getLogger(__name__)

Report = Callable[[TargetBatch, Sequence[Target], Outcome], None]


class Pushes:
    """The pushes of one job; each variant of its notification is rendered once."""

    __slots__ = (
        "_channels",
        "_notification",
        "_rendered",
        "_variants",
        "answers",
        "under_way",
    )

    def __init__(
        self, notification: Notification, channels: Mapping[str, Channel]
    ) -> None:
        self._notification = notification
        self._channels = channels
        self._variants = Variants(notification)
        self._rendered: dict[tuple[str, Variant | None], Any] = {}
        # How many sends have not ended, and how often one has reported something.
        self.under_way = 0
        self.answers = 0

    def addressed(self, targets: Sequence[Target]) -> Sequence[Target]:
        """The devices that the push is for; on the hot path.

        The tokens of PushKit, for example, are for calls alone, and calls for them.
        """
        variants = self._variants
        if not variants.are_special and not any(target.app for target in targets):
            return targets
        return [
            target
            for target in targets
            if target.platform != APNS
            or suffix_of(target.app or "") == variants.topic_suffix(target)
        ]

    async def push(
        self, batch: TargetBatch, targets: Sequence[Target], report: Report
    ) -> None:
        """Push to devices of the batch; `report` tells the outcome of each one once."""
        by_platform: dict[str, list[Target]] = defaultdict(list)
        for target in targets:
            by_platform[target.platform].append(target)
        sends = [
            self._push(platform, variant, those, batch, report)
            for platform, found in by_platform.items()
            for variant, those in self._group(platform, found)
        ]
        # One platform, the usual case, needs no task of its own.
        await (sends[0] if len(sends) == 1 else asyncio.gather(*sends))

    def _group(
        self, platform: str, targets: list[Target]
    ) -> Iterable[tuple[Variant | None, list[Target]]]:
        if not self._variants.are_many(platform):
            return ((None, targets),)
        return self._variants.group(platform, targets).items()

    def await_token(self, targets: Iterable[Target]) -> bool:
        """Whether a push to one of these may wait for a provider token, not sent."""
        channels = {self._channels.get(target.platform) for target in targets}
        return any(channel is not None and channel.awaits_token for channel in channels)

    async def _push(
        self,
        platform: str,
        variant: Variant | None,
        targets: Sequence[Target],
        batch: TargetBatch,
        report: Report,
    ) -> None:
        """Push to devices of one platform, which show the same."""

        def on_outcome(some: Sequence[Target], outcome: Outcome) -> None:
            self.answers += 1
            report(batch, some, outcome)

        self.under_way += 1
        try:
            outcome = await self._send(platform, variant, targets, on_outcome)
        finally:
            self.under_way -= 1
        if missing := batch.unanswered(targets):
            report(batch, missing, outcome)

    async def _send(
        self,
        platform: str,
        variant: Variant | None,
        targets: Sequence[Target],
        report: Callable[[Sequence[Target], Outcome], None],
    ) -> Outcome:
        """Returns the outcome for the devices that the channel did not report."""
        channel = self._channels.get(platform)
        if channel is None:
            return Outcome(Kind.UNCONFIGURED, not_set_up.REASON, not_set_up.RETRY_S)
        try:
            rendered = self._render(platform, variant, channel)
        except ValueError as problem:
            return Outcome(Kind.REFUSED, str(problem))
        try:
            await channel.send(rendered, targets, report)
        except ChannelDown as down:
            # The channel's breaker knows when the next try makes sense.
            return Outcome(Kind.LATER, down.reason, down.retry_after_s, tried=False)
        except Exception:
            job_id = self._notification.job_id
            log.exception("job %d: channel %s failed", job_id, platform)
        return _NO_ANSWER

    def _render(self, platform: str, variant: Variant | None, channel: Channel) -> Any:
        key = platform, variant
        if key not in self._rendered:
            notification = self._notification
            if variant is not None:
                notification = self._variants.resolve(platform, variant)
            self._rendered[key] = channel.render(notification)
        return self._rendered[key]


_NO_ANSWER = Outcome(Kind.LATER, "the channel gave no answer")
