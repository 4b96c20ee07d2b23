"""The server with nobody to tell of new jobs: what a send costs without any push."""

import server
from config import Settings
from notifier import dispatchers

NAME = "nobody"
# Everything else is as in server.py; every process of the host comes by here.
dispatchers.DISPATCHERS[NAME] = "benchmarks.push_off"


class Nobody:
    """A dispatcher that lets every job lie."""

    def start(self) -> None:
        pass

    def dispatch(self, job_id: int) -> None:
        pass

    def close(self) -> None:
        pass


def create(settings: Settings) -> Nobody:
    return Nobody()


def create_app() -> object:
    return server.create_app()


def create_own_app() -> object:
    return server.create_own_app()


if __name__ == "__main__":
    server.main("benchmarks.push_off:create_own_app")
