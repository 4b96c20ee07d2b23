"""Digests: several messages of a conversation in one mail, without losing any.

A mail for each line of a chat would be a nuisance, so messages wait until the end of
their digest's window, a minute. They wait in the database and not here: the outcome of
the first try is LATER, "at the end of this window", which the engine records as it does
for a busy provider. All processes compute the same windows, so the messages of a
conversation return at about the same time. Those that meet in one process within two
seconds go into one mail. Their outcomes are reported when the server has accepted it.
Until then their rows say "try again", so a process that dies loses nothing.

This also keeps slow SMTP out of the first round of a job: the next message of the
conversation can be pushed to phones while the mails wait.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

from models.pushes import Notification, Target
from notifier.channels.shares import Shares
from notifier.outcome import ChannelDown, Outcome

log = logging.getLogger(__name__)

# The engine adds up to a second of jitter to the first pause.
COLLECT_S = 2.0
# A message that would expire within this time after its wait is sent at once.
MARGIN_S = 30.0
MAX_MESSAGES = 50
# Mails that this process collects and sends at a time, and those to one address. Their
# jobs wait here meanwhile; the others wait in the database.
MOST_MAILS = 512
MOST_OF_ADDRESS = 16
# Before a push that finds no place is tried again; the engine adds jitter.
BUSY_PAUSE_S = 5.0
CLOSED = "the channel was closed"


def pause_s(
    notification: Notification, target: Target, now: datetime, window_s: float
) -> float | None:
    """How long this push has to wait for the end of its window; None for not at all."""
    left_s = (notification.expires_at - now).total_seconds()
    # Windows of different conversations end at different times. Otherwise the mails of
    # a whole minute would be sent in its first second.
    offset_s = (notification.chat_id * 0.618034 % 1.0) * window_s
    wait_s = 0.0
    if window_s > 0:
        age_s = (notification.created_at.timestamp() - offset_s) % window_s
        wait_s = window_s - age_s - (now - notification.created_at).total_seconds()
    if target.attempts == 0:
        wait_s = max(wait_s, 1.0)
    return wait_s if 0 < wait_s < left_s - MARGIN_S else None


class DigestEntry(NamedTuple):
    """One push that waits to become part of a mail."""

    notification: Notification
    target: Target
    outcome: asyncio.Future[Outcome]


# What a mail holds, and the limits.
Share = dict[Hashable, int]
# Sends one mail with these entries to an address; may raise ChannelDown.
Deliver = Callable[[str, Sequence[DigestEntry]], Awaitable[Outcome]]


class DigestsFull(Exception):
    """As many mails are under way as may be."""


class Digests:
    """The digests that this process is collecting."""

    def __init__(self, deliver: Deliver, *, collect_s: float = COLLECT_S) -> None:
        self._deliver = deliver
        self._gather_s = collect_s
        self._open: dict[tuple[int, str], list[DigestEntry]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._shares = Shares()
        self._closed = False

    def add(
        self, notification: Notification, target: Target, address: str
    ) -> asyncio.Future[Outcome]:
        """Add the push to its next digest; the future gets the outcome of that mail.

        Cancelling the future removes the push again, unless the mail is being sent.
        Its exception can be ChannelDown. Raises ChannelDown when this is closed, and
        DigestsFull when there is no room for another mail.
        """
        if self._closed:
            raise ChannelDown(CLOSED)
        loop = asyncio.get_running_loop()
        entry = DigestEntry(notification, target, loop.create_future())
        key = notification.chat_id, address
        entries = self._open.get(key)
        if entries is None or len(entries) >= MAX_MESSAGES:
            share: Share = {"": MOST_MAILS, address: MOST_OF_ADDRESS}
            if not self._shares.take(share):
                raise DigestsFull
            entries = self._open[key] = []
            task = loop.create_task(self._collect_and_send(key, entries))
            self._tasks.add(task)
            task.add_done_callback(partial(self._end, entries, share))
        entries.append(entry)
        return entry.outcome

    async def _collect_and_send(
        self, key: tuple[int, str], entries: list[DigestEntry]
    ) -> None:
        await asyncio.sleep(self._gather_s)
        if self._open.get(key) is entries:
            del self._open[key]
        wanted = [entry for entry in entries if not entry.outcome.done()]
        if not wanted:
            return
        outcome = await self._deliver(key[1], wanted)
        for entry in wanted:
            if not entry.outcome.done():
                entry.outcome.set_result(outcome)

    def _end(
        self, entries: list[DigestEntry], share: Share, task: asyncio.Task[None]
    ) -> None:
        """Set an error where there is no outcome; the task may not have started."""
        self._tasks.discard(task)
        self._shares.give_back(share)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ChannelDown):
            log.error("a mail with %d messages failed", len(entries), exc_info=error)
            error = ChannelDown("the mail could not be made; see the log")
        for entry in entries:
            if not entry.outcome.done():
                entry.outcome.set_exception(error or ChannelDown(CLOSED))

    async def close(self) -> None:
        """Abandon all mails that were not accepted: the database still has them."""
        self._closed = True
        self._open.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
