"""`python server.py` with short timeouts for slow clients."""

import server
from host.body import Timeouts
from host.rsgi import RsgiApp
from host.watcher import Patience

SILENT_S = 2.0
# A client that takes something within each SILENT_S may still be too slow.
TAKEN_PER_S = 32 * 1024
SENT_PER_S = 8 * 1024


def create_app() -> RsgiApp:
    return server.create_own_app(
        Timeouts(
            silent_s=SILENT_S,
            short_s=3 * SILENT_S,
            long_s=30 * SILENT_S,
            bytes_per_s=SENT_PER_S,
            average_s=SILENT_S,
        ),
        Patience(silent_s=SILENT_S, bytes_per_s=TAKEN_PER_S, slow_s=2 * SILENT_S),
    )


if __name__ == "__main__":
    server.main("tests.support.impatient_server:create_app")
