"""`python server.py` with short timeouts for slow clients."""

import server
from host.body import Timeouts
from host.rsgi import RsgiApp

SILENT_S = 2.0


def create_app() -> RsgiApp:
    return server.create_own_app(
        Timeouts(silent_s=SILENT_S, short_s=3 * SILENT_S, long_s=3 * SILENT_S)
    )


if __name__ == "__main__":
    server.main("tests.support.impatient_server:create_app")
