"""Several messages of a conversation in one mail, without anything to be lost.

A mail for each line of a chat is a nuisance, so messages wait for the end of their
minute. They wait in the database and not here: the first try of a push is answered
with LATER, "at the end of this minute", which the engine records as it does for a busy
provider. The minutes of a conversation are the same for all processes, so its messages
come back at about the same moment; those that meet in one process within two seconds
go into one mail. The outcome of each is reported when the server has taken that mail.
Until then its row says "try again", so a process that dies has lost nothing.

It also keeps SMTP, which is slow, out of the first round of a job: the next message of
the conversation can go to the phones while the mails wait.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

from models.pushes import Notification, Target
from notifier.outcome import ChannelDown, Outcome

log = logging.getLogger(__name__)

# The engine adds up to a second to the first pause, so that not all come at once.
GATHER_S = 2.0
# A message that would expire meanwhile does not wait.
MARGIN_S = 30.0
MOST_MESSAGES = 50
CLOSED = "the channel was closed"


def pause_s(
    notification: Notification, target: Target, now: datetime, window_s: float
) -> float | None:
    """How long this push has to wait for its minute to end; None when it need not."""
    left_s = (notification.expires_at - now).total_seconds()
    # Windows of different conversations end at different times: 60 s of mails would
    # otherwise leave in the first second of each minute.
    offset_s = (notification.chat_id * 0.618034 % 1.0) * window_s
    wait_s = 0.0
    if window_s > 0:
        age_s = (notification.created_at.timestamp() - offset_s) % window_s
        wait_s = window_s - age_s - (now - notification.created_at).total_seconds()
    if target.attempts == 0:
        wait_s = max(wait_s, 1.0)
    return wait_s if 0 < wait_s < left_s - MARGIN_S else None


class DigestEntry(NamedTuple):
    """One push that waits to be part of a mail."""

    notification: Notification
    target: Target
    outcome: asyncio.Future[Outcome]


# Sends one mail with these entries to an address; may raise ChannelDown.
Deliver = Callable[[str, Sequence[DigestEntry]], Awaitable[Outcome]]


class Digests:
    """The mails that are being gathered in this process."""

    def __init__(self, deliver: Deliver, *, gather_s: float = GATHER_S) -> None:
        self._deliver = deliver
        self._gather_s = gather_s
        self._open: dict[tuple[int, str], list[DigestEntry]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def join(
        self, notification: Notification, target: Target, address: str
    ) -> asyncio.Future[Outcome]:
        """Put the push into its next mail; the result is that mail's outcome.

        Cancelling it takes the push out again, if the mail has not left yet. Its
        exception can be ChannelDown, which is also raised once this is closed.
        """
        if self._closed:
            raise ChannelDown(CLOSED)
        loop = asyncio.get_running_loop()
        entry = DigestEntry(notification, target, loop.create_future())
        key = notification.chat_id, address
        entries = self._open.get(key)
        if entries is None or len(entries) >= MOST_MESSAGES:
            entries = self._open[key] = []
            task = loop.create_task(self._gather(key, entries))
            self._tasks.add(task)
            task.add_done_callback(partial(self._part, entries))
        entries.append(entry)
        return entry.outcome

    async def _gather(self, key: tuple[int, str], entries: list[DigestEntry]) -> None:
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

    def _part(self, entries: list[DigestEntry], task: asyncio.Task[None]) -> None:
        """Tell those who have no outcome why; the task may not even have begun."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ChannelDown):
            log.error("a mail with %d messages failed", len(entries), exc_info=error)
            error = ChannelDown("the mail could not be made; see the log")
        for entry in entries:
            if not entry.outcome.done():
                entry.outcome.set_exception(error or ChannelDown(CLOSED))

    async def close(self) -> None:
        """Let everything go that has not been taken: it is still in the database."""
        self._closed = True
        self._open.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
