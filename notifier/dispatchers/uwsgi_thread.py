"""Dispatcher `uwsgi_thread`: a warm engine on a thread of the uWSGI worker."""

import logging

from config import Settings
from notifier.dispatchers import uwsgi_host
from notifier.process import preload  # noqa: F401 - once, before uWSGI forks its workers
from notifier.process.engine_thread import WarmEngine, Work
from notifier.process.per_process import PerProcess

uwsgi_host.check("uwsgi_thread", "enable-threads", "threads")

from uwsgidecorators import thread  # noqa: E402 - only after the check

log = logging.getLogger(__name__)

# A worker that is reloaded lets what is in flight be answered for so long.
STOP_S = 5.0


class UwsgiThreadDispatcher(PerProcess):
    """Shares the worker's interpreter: pushing slows its answers down."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def dispatch(self, job_id: int) -> None:
        try:
            self.start()
            self._engine.wake()
        except Exception:
            log.exception("job %d: nobody was woken; the watchdog looks", job_id)

    def _begin(self) -> None:
        self._engine = WarmEngine(self._settings, start_thread=_start_thread)
        self._engine.watch()

    def _end(self) -> None:
        self._engine.stop(STOP_S)


def _start_thread(work: Work) -> None:
    thread(work)()


create = UwsgiThreadDispatcher
