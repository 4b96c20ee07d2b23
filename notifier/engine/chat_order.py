"""The order of a chat's jobs that one engine has claimed together."""

import asyncio
from collections.abc import Callable


class Moment:
    """Something that happens once; what waits for it is called then."""

    __slots__ = ("_callbacks", "has_come")

    def __init__(self) -> None:
        self.has_come = False
        self._callbacks: list[Callable[[], None]] | None = None

    def come(self) -> None:
        self.has_come = True
        callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            callback()

    def then(self, callback: Callable[[], None]) -> None:
        """Call it when the moment comes, or now if it has come."""
        if self.has_come:
            callback()
        elif self._callbacks is None:
            self._callbacks = [callback]
        else:
            self._callbacks.append(callback)

    async def wait(self) -> None:
        if not self.has_come:
            come = asyncio.Event()
            self.then(come.set)
            await come.wait()


class Turn:
    """A job's place in its chat; `after` is the turn of the job before it, if any.

    Every turn has to end, whatever becomes of its job.
    """

    __slots__ = ("_after", "_end", "_front", "_lets_next_start", "_may_start", "_pass")

    def __init__(self, after: "Turn | None" = None) -> None:
        self._after = after
        self._front = after
        self._may_start = True
        self._lets_next_start = False
        self._end = Moment()
        self._pass = Moment()

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

    @property
    def has_front(self) -> bool:
        """Whether the outbox may not have let the job before pass yet."""
        return self._front is not None and not self._front._pass.has_come

    async def wait(self) -> bool:
        """Wait for the job before; False if ours must not start after it."""
        if self._after is not None:
            await self._after._end.wait()
        return self._come()

    def when_it_comes(self, begin: Callable[[bool], None]) -> None:
        """As `wait`, by a call with its result."""
        if self._after is None:
            begin(True)
        else:
            self._after._end.then(lambda: begin(self._come()))

    def _come(self) -> bool:
        if self._after is not None:
            self._may_start, self._after = self._after._lets_next_start, None
        return self._may_start

    async def wait_for_front(self) -> None:
        """Wait until the outbox lets the job before pass, or until that one is gone."""
        if self._front is not None:
            await self._front._pass.wait()
            self._front = None

    def let_pass(self) -> None:
        """The outbox lets the next message pass, so that one may end, too."""
        self._front = None
        self._pass.come()

    def let_next_start(self) -> None:
        """End the turn; the chat's next message need not wait for this one any more."""
        self._lets_next_start = True
        self.end()

    def end(self) -> None:
        """End the turn; a next job that was not let start goes back to the outbox."""
        self._end.come()

    def leave(self) -> None:
        """The job does not run here any more."""
        self._front = None
        self.end()
        self._pass.come()
