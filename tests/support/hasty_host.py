"""`python server.py`, but that it soon loses patience with slow clients."""

import server
from host.body import Patience
from host.rsgi import Door

SILENT_S = 2.0


def create_app() -> Door:
    return server.create_own_app(
        Patience(silent_s=SILENT_S, short_s=3 * SILENT_S, long_s=3 * SILENT_S)
    )


if __name__ == "__main__":
    server.main("tests.support.hasty_host:create_app")
