"""A server whose dispatcher does nothing, to measure a send without any push."""

import server
from config import Settings
from notifier import dispatchers

NAME = "nothing"


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


def register() -> None:
    """Make the dispatcher known to this process; the rest is as in server.py."""
    dispatchers.DISPATCHERS[NAME] = "benchmarks.push_off"


def create_app() -> object:
    register()
    return server.create_app()


def create_own_app() -> object:
    register()
    return server.create_own_app()


if __name__ == "__main__":
    register()
    server.main("benchmarks.push_off:create_own_app")
