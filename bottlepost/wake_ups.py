"""Waking the engines of this host for a job that a command has made due."""

from config import Settings
from notifier.process.slots import Slots, worker_slots


def send(settings: Settings, job_id: int) -> None:
    """Wake an engine, if one listens in the run directory.

    Else a watchdog finds the job after a while. No engine is begun here: one with the
    settings of this shell would push with other keys than the server's.
    """
    if settings.dispatcher == "process":
        slots = Slots(settings.run_dir, settings.push_slots)
    else:
        slots = worker_slots(settings)
    try:
        slots.wake(job_id)
    finally:
        slots.close()
