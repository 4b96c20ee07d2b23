"""Dispatcher `script`: a process per message, with the job's status in Redis."""

import logging
import os
import subprocess
import threading
from collections.abc import Sequence

from redis import RedisError

from config import Settings
from notifier.dispatchers.script_status import StatusPublisher
from notifier.engine import ANY_JOB
from notifier.process import interpreter
from notifier.process.wake_sender import WakeSender

log = logging.getLogger(__name__)

# Jobs that are published later if Redis is down.
MAX_UNPUBLISHED = 1000


def create(settings: Settings) -> WakeSender:
    return WakeSender(settings, ScriptLink, shares_settings=True)


class ScriptLink:
    """Starts `bottlepost worker script <job id>`, at most `script_limit` at once.

    At the limit no script is started, because a running one looks at the outbox before
    it ends. Without Redis, pushes are still sent; only their status is not published.
    """

    def __init__(self, settings: Settings, number: int) -> None:
        self._number = number
        self._publisher = StatusPublisher(settings)
        self._free = threading.BoundedSemaphore(settings.script_limit)
        self._unpublished: list[int] = []
        self._log = settings.run_dir / "script.log"

    def send(self, job_ids: Sequence[int]) -> None:
        for job_id in job_ids:
            if self._free.acquire(blocking=False):
                self._start(job_id)
        self._publish([job_id for job_id in job_ids if job_id != ANY_JOB])

    def close(self) -> None:
        """Running scripts go on."""
        self._publisher.close()

    def _start(self, job_id: int) -> None:
        command = interpreter.command("worker", "script", str(job_id))
        command += ["--generation", str(self._number), "--log", str(self._log)]
        try:
            with open(self._log, "ab", opener=_open_private) as output:
                script = subprocess.Popen(  # noqa: S603 - no argument comes from outside
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except BaseException:
            self._free.release()
            raise
        threading.Thread(target=self._reap, args=(script,), daemon=True).start()

    def _publish(self, job_ids: Sequence[int]) -> None:
        self._unpublished = [*self._unpublished, *job_ids][-MAX_UNPUBLISHED:]
        try:
            self._publisher.publish(self._unpublished)
        except RedisError as problem:
            log.warning(
                "cannot publish the status of %d jobs: %s",
                len(self._unpublished),
                problem,
            )
        else:
            self._unpublished.clear()

    def _reap(self, script: "subprocess.Popen[bytes]") -> None:
        """Wait for the script, so that it leaves no zombie."""
        script.wait()
        self._free.release()


def _open_private(path: str, flags: int) -> int:
    """The host's umask may let others read what it creates."""
    return os.open(path, flags, 0o600)
