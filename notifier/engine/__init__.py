"""The engine's interface: how to build one, name it and talk to it."""

import asyncio
import gc
import logging
import os
import secrets
import socket
from collections.abc import Callable
from typing import Any, Protocol

from config import ON, Settings

log = logging.getLogger(__name__)

# In place of a job's id: look at the outbox, no particular job is meant.
ANY_JOB = 0


# The largest id of a database.
LARGEST_ID = 2**63 - 1


def is_job_id(value: object) -> bool:
    """Whether a wake-up may name this job; another process may have sent anything."""
    return type(value) is int and ANY_JOB <= value <= LARGEST_ID


class StuckDatabase(Exception):
    """A query of the engine has hung for longer than a lease.

    The engine has ended all the same, and writes nothing when the query returns.
    `Engine.run` raises it in an ExceptionGroup.
    """


def is_stuck(problem: BaseException) -> bool:
    """Whether this, raised by `Engine.run`, is a StuckDatabase."""
    if isinstance(problem, BaseExceptionGroup):
        return any(map(is_stuck, problem.exceptions))
    return isinstance(problem, StuckDatabase)


class Engine(Protocol):
    """Works through the outbox; one per process or thread, used on one event loop."""

    @property
    def has_room(self) -> bool:
        """Whether another job would be begun at once."""

    async def run(self, *, linger_s: float | None, wake: asyncio.Event) -> None:
        """Work until nothing has been due for `linger_s`; None means until `stop`."""

    def expect(self, job_id: int) -> None:
        """The wake-up that follows is for this job; ANY_JOB means any job."""

    def stop(self) -> None:
        """Begin nothing new, finish what is in flight, give the leases back."""


# Called with the settings, `owner`, the engine's name in its leases, and `is_retired`.
BuildEngine = Callable[..., Engine]
# Whether an engine with newer settings is in charge: this one begins nothing any more.
IsRetired = Callable[[], bool]


def never_retired() -> bool:
    return False


def build_engine(
    settings: Settings, *, owner: str, is_retired: IsRetired = never_retired
) -> Engine:
    """The engine that really pushes."""
    # Imported here, because a web worker under `process` never needs it.
    if settings.tracing == ON:
        from notifier.engine import traced  # noqa: PLC0415

        return traced.build(settings, owner=owner, is_retired=is_retired)
    from notifier.engine import loop  # noqa: PLC0415

    return loop.build(settings, owner=owner, is_retired=is_retired)


def preload() -> None:
    """Import all that an engine needs, in the process that engines are forked from."""
    from notifier.channels import registry  # noqa: PLC0415
    from notifier.engine import loop  # noqa: F401, PLC0415

    registry.import_all()


def collect_rarely() -> None:
    """Make the collector of cyclic garbage look less often, in a process of our own.

    By default it looks after 700 new objects, so several times at each device of a
    batch, which is no garbage. The limit is above what the open batches of a job make.
    """
    gc.set_threshold(25_000)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it is installed (the extra `speed`), else asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415 - it is there, or it is not
    except ImportError:
        loop = asyncio.new_event_loop()
    else:
        loop = uvloop.new_event_loop()
    loop.set_exception_handler(_log_trouble)
    return loop


def _log_trouble(_: asyncio.AbstractEventLoop, trouble: dict[str, Any]) -> None:
    """By our logger: asyncio's belongs to the host, which may write everything."""
    log.error("%s", trouble["message"], exc_info=trouble.get("exception"))


def new_owner(generation: int | None = None) -> str:
    """A name for leases that no engine has ever had."""
    name = f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(6)}"
    return f"{name}-{generation:x}" if generation else name
