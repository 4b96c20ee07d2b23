"""A server whose dispatcher does nothing, to measure a send without any push."""

import server
from config import Settings
from notifier import dispatchers

NAME = "nothing"
# Every process of the host imports this module; the rest is as in server.py.
dispatchers.DISPATCHERS[NAME] = "benchmarks.push_off"


class NoDispatcher:
    """A dispatcher that ignores every job."""

    def start(self) -> None:
        pass

    def dispatch(self, job_id: int) -> None:
        pass

    def close(self) -> None:
        pass


def create(settings: Settings) -> NoDispatcher:
    return NoDispatcher()


def create_app() -> object:
    return server.create_app()


def create_own_app() -> object:
    return server.create_own_app()


if __name__ == "__main__":
    server.main("benchmarks.push_off:create_own_app")
