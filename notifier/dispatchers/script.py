"""Dispatcher `script`: an external script per message, its status in Redis."""

import logging
import subprocess
import threading
from collections.abc import Sequence
from functools import partial

from redis import RedisError

from config import Settings
from notifier.dispatchers.script_status import StatusBoard
from notifier.process import engine_thread, interpreter
from notifier.process.wake_sender import ANY_JOB, WakeSender

log = logging.getLogger(__name__)

# While Redis is away.
MOST_UNTOLD = 1000


def create(settings: Settings) -> WakeSender:
    return WakeSender(
        settings, partial(ScriptLink, settings), slots=engine_thread.slots(settings)
    )


class ScriptLink:
    """Starts `python -m notifier script <job id>`, a bounded number at once.

    Past the bound nothing is started: a running script looks at the outbox before it
    ends. Redis tells how far a job is; without it, pushing goes on untold.
    """

    def __init__(self, settings: Settings) -> None:
        self._board = StatusBoard(settings)
        self._free = threading.BoundedSemaphore(settings.script_limit)
        self._untold: list[int] = []
        self._log = settings.run_dir / "script.log"

    def send(self, job_ids: Sequence[int]) -> None:
        for job_id in job_ids:
            if self._free.acquire(blocking=False):
                self._start(job_id)
        self._tell([job_id for job_id in job_ids if job_id != ANY_JOB])

    def close(self) -> None:
        """ScriptLink go on by themselves."""
        self._board.close()

    def _start(self, job_id: int) -> None:
        try:
            with self._log.open("ab") as output:
                script = subprocess.Popen(  # noqa: S603 - nothing of it comes from outside
                    [interpreter.path(), "-m", "notifier", "script", str(job_id)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except BaseException:
            self._free.release()
            raise
        threading.Thread(target=self._see_end, args=(script,), daemon=True).start()

    def _tell(self, job_ids: Sequence[int]) -> None:
        self._untold = [*self._untold, *job_ids][-MOST_UNTOLD:]
        try:
            self._board.announce(self._untold)
        except RedisError as problem:
            log.warning("Redis is not told of %d jobs: %s", len(self._untold), problem)
        else:
            self._untold.clear()

    def _see_end(self, script: "subprocess.Popen[bytes]") -> None:
        """Nothing of a script that has ended is left in the process table."""
        script.wait()
        self._free.release()
