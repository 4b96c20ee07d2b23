"""Servers with one dispatcher each and their workers, which share a sandbox."""

import json
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from sqlalchemy.engine import make_url

from benchmarks import cold_celery, push_off
from tests.support import chats, databases, dispatcher_host
from tests.support import sandbox as sandboxes
from tests.support.dispatcher_host import UWSGI, DispatcherHost, Kind
from tests.support.redis_server import RedisServer
from tests.support.running_system import Conversation
from tests.support.sandbox import Sandbox
from tests.support.wait import until

# On the disk of the checkout: /tmp may be memory, where nothing waits for a disk.
SCRATCH = Path("var")
# As in production, but short leases and watchdog pauses, for the killed workers.
SETTINGS = {
    "BOTTLEPOST_LEASE_S": "6",
    "BOTTLEPOST_WATCHDOG_S": "2",
    "BOTTLEPOST_PUSH_LINGER_S": "300",
}
# The same hosts with a dispatcher that does nothing.
OFF, OFF_UWSGI = "push off", "push off in uWSGI"
dispatcher_host.KINDS[OFF] = Kind(host=f"{sys.executable} -m benchmarks.push_off")
dispatcher_host.KINDS[OFF_UWSGI] = Kind(
    host=UWSGI.replace("server:", "benchmarks.push_off:")
)
# The web server of `celery`, with tasks that open a new connection each time.
COLD_CELERY = "celery cold"
dispatcher_host.KINDS[COLD_CELERY] = Kind(
    workers=("benchmarks.cold_celery",), broker=True
)
for _name, _kind in dispatcher_host.KINDS.items():
    if _kind.host:
        # Clients keep their connections open, and each occupies a thread of uWSGI.
        _host = _kind.host.replace("--http-socket", "--http11-socket")
        _host = _host.replace("--threads 4", "--threads 8")
        dispatcher_host.KINDS[_name] = replace(_kind, host=_host)
ARRIVAL_S = 20.0


class Arrivals:
    """The arrival times of the pushes of each message, from the sandbox's journal."""

    def __init__(self, path: Path) -> None:
        self._file = path.open()
        self._partial_line = ""
        self._seen: dict[int, list[float]] = {}

    def of(self, message_id: int) -> list[float]:
        """Arrival times by the clock of this machine, in order."""
        self._read()
        return self._seen.get(message_id, [])

    def wait(self, message_id: int, count: int) -> list[float]:
        """The arrival times, once `count` pushes of the message have arrived."""
        deadline = time.monotonic() + ARRIVAL_S
        pause = threading.Event()
        while len(found := self.of(message_id)) < count:
            if time.monotonic() > deadline:
                raise SystemExit(f"message {message_id}: {len(found)} of {count} came")
            pause.wait(0.002)
        return found

    def clear(self) -> None:
        """Start anew, because the message ids of each database start at 1."""
        self._read()
        self._seen.clear()

    def _read(self) -> None:
        *lines, self._partial_line = (self._partial_line + self._file.read()).split(
            "\n"
        )
        for line in lines:
            _, at, _, _, _, _, mark, *_ = json.loads(line)
            # The collapse id of a push is "message-<id of the message>".
            message_id = int(mark.rpartition("-")[2])
            self._seen.setdefault(message_id, []).append(at)


class StageSet:
    """The stages of a benchmark, by name, with the sandbox that they share."""

    def __init__(self, sandbox: Sandbox, journal: Path) -> None:
        self.sandbox = sandbox
        self.arrivals = Arrivals(journal)
        self.stages: dict[str, DispatcherHost] = {}


@contextmanager
def running(names: Sequence[str], database: str = "sqlite") -> Iterator[StageSet]:
    """Start the stages, each with a new database of that kind."""
    # SIGTERM must stop the servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as stack:
        SCRATCH.mkdir(exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix="stages-", dir=SCRATCH)).resolve()
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        journal = scratch / "journal"
        sandbox = stack.enter_context(
            sandboxes.running(scratch / "sandbox", journal=journal)
        )
        redis = RedisServer(scratch)
        stack.callback(redis.stop)
        stage_set = StageSet(sandbox, journal)
        for number, name in enumerate(names):
            run_dir = scratch / str(number)
            run_dir.mkdir()
            url = databases.fresh_url(database, run_dir)
            settings = {**SETTINGS, **_dispatcher(name, redis)}
            settings["BOTTLEPOST_DATABASE_URL"] = url
            stage = dispatcher_host.running(name, run_dir, sandbox, redis, settings)
            stage_set.stages[name] = stack.enter_context(stage)
        yield stage_set


def _dispatcher(name: str, redis: RedisServer) -> dict[str, str]:
    """Settings of the stages that use none of our dispatchers."""
    if name in (OFF, OFF_UWSGI):
        return {"BOTTLEPOST_DISPATCHER": push_off.NAME}
    if name == COLD_CELERY:
        url = make_url(redis.url).set(database=str(cold_celery.DATABASE))
        return {"BOTTLEPOST_DISPATCHER": "celery", "BOTTLEPOST_BROKER_URL": str(url)}
    return {}


def send(
    conversation: Conversation, text: str = "Land in sight"
) -> tuple[int, float, float]:
    """The message's id, when it was sent, and the latency of the answer."""
    sent_at = time.time()
    started_at = time.perf_counter()
    posted = conversation.post(text)
    took_s = time.perf_counter() - started_at
    if posted.status != 201:
        raise SystemExit(f"answered {posted.status}: {posted.body!r}")
    return posted.json["message"]["id"], sent_at, took_s


def warm_up(
    stage_set: StageSet, stage: DispatcherHost, conversation: Conversation
) -> None:
    """Send messages until its workers are connected, and wait until they are idle."""
    for _ in range(3):
        stage_set.arrivals.clear()
        message_id, *_ = send(conversation, "warm up")
        stage_set.arrivals.wait(message_id, len(conversation.tokens))
    until(lambda: not chats.open_jobs(stage.store), what="for idle workers")
