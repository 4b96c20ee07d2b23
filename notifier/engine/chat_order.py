"""Whose turn it is in a chat, among jobs that one engine has taken together."""

import asyncio


class Turn:
    """A job's place in its chat; `after` is that of the job before it, if there is one.

    Whatever becomes of a job, its turn has to end.
    """

    def __init__(self, after: "Turn | None" = None) -> None:
        self._after = after
        self._lets_pass = False
        self._has_ended = asyncio.Event()

    @property
    def is_awaited(self) -> bool:
        """Whether the job still waits for the one before it."""
        return self._after is not None

    async def wait(self) -> bool:
        """Wait for the job before; False when it has not let ours pass."""
        if self._after is None:
            return True
        await self._after._has_ended.wait()
        lets_pass, self._after = self._after._lets_pass, None
        return lets_pass

    def let_pass(self) -> None:
        """The next message of the chat need not wait for this one any more."""
        self._lets_pass = True
        self.end()

    def end(self) -> None:
        """Whoever has not been let pass by now goes back to the outbox."""
        self._has_ended.set()
