"""Dispatcher `uwsgi_thread`: a warm engine on a thread of the uWSGI worker.

It shares the worker's interpreter, so pushing slows down the worker's answers.
"""

from config import Settings
from notifier.dispatchers import uwsgi_host
from notifier.process import preload  # noqa: F401 - once, before uWSGI forks its workers
from notifier.process.engine_thread import EngineThreadDispatcher, Work

uwsgi_host.require("uwsgi_thread", "enable-threads", "threads")

from uwsgidecorators import thread  # noqa: E402 - only after the check


def create(settings: Settings) -> EngineThreadDispatcher:
    return EngineThreadDispatcher(settings, start_thread=_start_thread)


def _start_thread(work: Work) -> None:
    thread(work)()
