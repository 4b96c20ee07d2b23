"""Waking the engines of this host for a job that a command has made due."""

from contextlib import suppress

from config import Settings
from notifier.process import bell
from notifier.process.generation import GenerationFile
from notifier.process.slots import Slots, WakeResult, worker_slots

EVERY_GENERATION = 0


def send(settings: Settings, job_id: int) -> None:
    """Wake an engine that listens in the run directory, or have a web worker wake one.

    If there is neither, a watchdog finds the job after a while. No engine is begun
    here: one with the settings of this shell would push with other keys than the
    server's.
    """
    if settings.dispatcher == "process":
        slots = Slots(settings.run_dir, settings.push_slots)
    else:
        slots = worker_slots(settings)
    try:
        result = slots.wake(job_id)
    finally:
        slots.close()
    if result is WakeResult.NO_LISTENER:
        directory = GenerationFile(settings.run_dir).directory
        with suppress(OSError):
            bell.ring(directory, above=EVERY_GENERATION)
