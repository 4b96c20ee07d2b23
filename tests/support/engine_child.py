"""The real engine in a process of its own; run as a module, ended by SIGTERM.

Its arguments: the database, its owner's name, the lease in seconds and a file, to which
it appends "text device owner" when a push arrives. The devices answer a bit later.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from datastore import Datastore
from models.pushes import Notification, Target
from notifier.channels import Report
from notifier.engine.loop import Engine
from notifier.outcome import ACCEPTED

# The longest time until a push arrives, and until it is answered.
ARRIVAL_S = 0.002
ANSWER_S = 0.02


class ArrivalChannel:
    awaits_token = False

    def __init__(self, path: str, owner: str) -> None:
        self._arrivals = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._owner = owner

    def render(self, notification: Notification) -> Notification:
        return notification

    async def send(
        self, rendered: Notification, targets: Sequence[Target], report: Report
    ) -> None:
        async with asyncio.TaskGroup() as group:
            for target in targets:
                group.create_task(self._push(rendered.text, target, report))

    async def _push(self, text: str, target: Target, report: Report) -> None:
        await asyncio.sleep(random.uniform(0, ARRIVAL_S))
        line = f"{text} {target.device_id} {self._owner}\n"
        os.write(self._arrivals, line.encode())
        await asyncio.sleep(random.uniform(0, ANSWER_S))
        report((target,), ACCEPTED)

    async def close(self) -> None:
        pass


async def run(url: str, owner: str, lease_s: str, path: str) -> None:
    channel = ArrivalChannel(path, owner)
    store = Datastore(url, durable=False)
    engine = Engine(
        store, lambda *_: {"apns": channel}, owner=owner, lease_s=float(lease_s)
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, engine.stop)
    await engine.run(linger_s=None, wake=asyncio.Event())


@contextmanager
def running(
    store: Datastore, owner: str, *, lease_s: float, path: Path
) -> Iterator[subprocess.Popen[bytes]]:
    url = store.url.render_as_string(hide_password=False)
    arguments = [url, owner, str(lease_s), str(path)]
    command = [sys.executable, "-m", "tests.support.engine_child", *arguments]
    with subprocess.Popen(command) as child:
        try:
            yield child
        finally:
            child.kill()


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:]))
