"""The order of a chat's jobs that one engine has claimed together."""

import asyncio


class Turn:
    """A job's place in its chat; `after` is the turn of the job before it, if any.

    Every turn has to end, whatever becomes of its job.
    """

    def __init__(self, after: "Turn | None" = None) -> None:
        self._after = after
        self._front = after
        self._lets_next_start = False
        self._has_ended = asyncio.Event()
        self._has_passed = asyncio.Event()

    @classmethod
    def that_never_comes(cls) -> "Turn":
        """The turn of a job whose job before is not here."""
        before = cls()
        before.leave()
        return cls(before)

    @property
    def is_awaited(self) -> bool:
        """Whether the job still waits for the one before it."""
        return self._after is not None

    async def wait(self) -> bool:
        """Wait for the job before; False if ours must not start after it."""
        if self._after is None:
            return True
        await self._after._has_ended.wait()
        may_start, self._after = self._after._lets_next_start, None
        return may_start

    async def wait_for_front(self) -> None:
        """Wait until the outbox lets the job before pass, or until that one is gone."""
        if self._front is not None:
            await self._front._has_passed.wait()
            self._front = None

    def let_pass(self) -> None:
        """The outbox lets the next message pass, so that one may end, too."""
        self._has_passed.set()

    def let_next_start(self) -> None:
        """End the turn; the chat's next message need not wait for this one any more."""
        self._lets_next_start = True
        self.end()

    def end(self) -> None:
        """End the turn; a next job that was not let start goes back to the outbox."""
        self._has_ended.set()

    def leave(self) -> None:
        """The job does not run here any more."""
        self.end()
        self._has_passed.set()
