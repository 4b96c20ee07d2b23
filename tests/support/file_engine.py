"""The real engine, in any process; its pushes go to a file instead of a provider."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url

from config import Settings
from datastore import Datastore
from models.pushes import Notification, Target
from notifier.channels import Report
from notifier.engine import IsRetired, never_retired
from notifier.engine.loop import Engine
from notifier.outcome import ACCEPTED

# The name of the engine's connections, as PostgreSQL shows them.
CONNECTION = "engine"


@dataclass(frozen=True)
class FileEngines:
    """Builds engines that append "text device pid" to the file `pushes`."""

    def __call__(
        self, settings: Settings, *, owner: str, is_retired: IsRetired = never_retired
    ) -> Engine:
        url = make_url(settings.database_url)
        if url.get_backend_name() == "postgresql":
            url = url.update_query_dict({"application_name": CONNECTION})
        return Engine(
            Datastore(url.render_as_string(hide_password=False), durable=False),
            lambda *_: {"apns": FileChannel(settings.run_dir / "pushes")},
            owner=owner,
            lease_s=settings.lease_s,
            is_retired=is_retired,
        )


class FileChannel:
    awaits_token = False

    def __init__(self, path: Path) -> None:
        self._path = path

    def render(self, notification: Notification) -> Notification:
        return notification

    async def send(
        self, rendered: Notification, targets: Sequence[Target], report: Report
    ) -> None:
        with self._path.open("a") as pushes:
            for target in targets:
                pushes.write(f"{rendered.text} {target.device_id} {os.getpid()}\n")
        report(targets, ACCEPTED)

    async def close(self) -> None:
        pass


def pushes(run_dir: Path) -> list[tuple[str, int, int]]:
    """The (text, device, pid) of every push so far."""
    path = run_dir / "pushes"
    if not path.exists():
        return []
    rows = (line.split() for line in path.read_text().splitlines())
    return [(text, int(device), int(pid)) for text, device, pid in rows]
