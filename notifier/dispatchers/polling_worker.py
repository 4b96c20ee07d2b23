"""The always-on worker of `polling`."""

import logging
import signal
import threading
from dataclasses import replace
from types import FrameType

from config import Settings
from datastore import Datastore, listen
from notifier.process.engine_thread import EngineThread

log = logging.getLogger(__name__)

# After a signal, pushes in flight have this long to be answered.
STOP_S = 12.0
RECONNECT_S = 1.0
# The listener checks this often that its connection is alive.
CHECK_S = 30.0


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    # The engine's watchdog does the polling.
    engine = EngineThread(replace(settings, watchdog_s=settings.poll_s))
    engine.wake()
    store = Datastore.of(settings)
    if listen.can_listen(store):
        threading.Thread(target=_listen, args=(store, engine), daemon=True).start()
    log.info("watching the outbox")
    stopping.wait()
    engine.stop(STOP_S)


def _listen(store: Datastore, engine: EngineThread) -> None:
    pause = threading.Event()
    while True:
        try:
            for _ in listen.listen(store, look_s=CHECK_S):
                engine.wake()
        except Exception as problem:
            # Polling goes on meanwhile.
            log.warning("cannot listen to the database: %s", problem)
            pause.wait(RECONNECT_S)
