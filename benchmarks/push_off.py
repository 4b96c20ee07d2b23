"""The server with nobody to tell of new jobs: what a send costs without any push."""

import api
import config
import server
from config import Settings
from datastore import Datastore


class Nobody:
    """A dispatcher that lets every job lie."""

    def start(self) -> None:
        pass

    def dispatch(self, job_id: int) -> None:
        pass

    def close(self) -> None:
        pass


def create_app(settings: Settings | None = None) -> object:
    """As in server.py, but for the dispatcher."""
    settings = settings or config.from_env()
    return api.build(
        store=Datastore(settings.database_url),
        dispatcher=Nobody(),
        service_key=settings.service_key,
    )


if __name__ == "__main__":
    server.main("benchmarks.push_off:create_app")
