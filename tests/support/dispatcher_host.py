"""A dispatcher under its real host with its real workers, which tests may kill."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Protocol

from sqlalchemy import func, select

from datastore import Datastore, migrations
from datastore.outbox import job_status
from datastore.outbox.job_status import JobStatus
from models.pushes import PushJob
from tests.support import push_processes
from tests.support.running_system import FAST, SHORT_LEASE, Conversation, RunningSystem
from tests.support.sandbox import Sandbox
from tests.support.server import ROOT, Server, free_port
from tests.support.wait import until

BIN = Path(sys.executable).parent
UWSGI = (
    f"{BIN}/uwsgi --http-socket 127.0.0.1:{{port}} --master --need-app --die-on-term "
    "--worker-reload-mercy 5 --enable-threads --threads 4 "
    "--module server:create_app()"
)
GUNICORN = (
    f"{sys.executable} -m gunicorn --bind 127.0.0.1:{{port}} --worker-class gthread "
    "--threads 4 --preload server:create_app()"
)
SCRIPT = f"{sys.executable} -m tests.support.unguarded_app {{port}}"
SPOOLER = "--spooler spool --spooler-processes 2 --spooler-frequency 1"


class Broker(Protocol):
    """A message broker that a test may stop and start again."""

    url: str

    def start(self) -> None: ...

    def stop(self) -> None: ...


@dataclass(frozen=True)
class Kind:
    """How to run one dispatcher."""

    # `python -m …`, once for each entry.
    workers: tuple[str, ...] = ()
    # Instead of `python server.py`.
    host: str | None = None
    # A broker, or a manager, that can be down while web workers run.
    broker: bool = False


KINDS = {
    "inline": Kind(),
    "thread": Kind(),
    "process": Kind(),
    "pool": Kind(),
    "manager": Kind(workers=("bottlepost worker manager run",), broker=True),
    "polling": Kind(workers=("bottlepost worker polling", "bottlepost worker polling")),
    "script": Kind(broker=True),
    "uwsgi_thread": Kind(host=UWSGI),
    "uwsgi_spooler": Kind(host=f"{UWSGI} {SPOOLER}"),
    "rq": Kind(workers=("bottlepost worker rq", "bottlepost worker rq"), broker=True),
    "celery": Kind(workers=("bottlepost worker celery",), broker=True),
}


class DispatcherHost(RunningSystem):
    """A running system whose workers and broker can be stopped."""

    def __init__(
        self, name: str, server: Server, sandbox: Sandbox, broker: Broker | None
    ) -> None:
        super().__init__(server.run_dir, server, sandbox)
        self.name = name
        self.kind = KINDS[name]
        self._broker = broker
        self._workers: list[subprocess.Popen[bytes]] = []
        self.start_workers()

    def start_workers(self) -> None:
        for command in self.kind.workers:
            with (self.run_dir / "worker.log").open("ab") as output:
                worker = subprocess.Popen(
                    [sys.executable, "-m", *command.split()],
                    cwd=ROOT,
                    env=self.server.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._workers.append(worker)

    def last_job(self, conversation: Conversation) -> JobStatus | None:
        """The newest job of a conversation, read from the database."""
        with self.store.read() as session:
            newest = select(func.max(PushJob.id)).where(
                PushJob.chat_id == conversation.id, PushJob.parent_id.is_(None)
            )
            job_id = session.scalar(newest)
            return None if job_id is None else job_status.find(session, job_id)

    def lease_owners(self) -> set[int]:
        """The pids of the engines that hold leases now."""
        with self.store.read() as session:
            owners = session.scalars(
                select(PushJob.lease_owner).where(PushJob.lease_owner.is_not(None))
            ).all()
        return {int(owner.split(":")[1]) for owner in owners if owner}

    def worker_pids(self) -> list[int]:
        return [worker.pid for worker in self._workers]

    def kill_engine(self) -> None:
        """SIGKILL the process that is pushing."""
        for pid in self.lease_owners():
            # A process that ends with its job may have done so just now.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(self._answers, what="for the host to replace its worker")

    @contextmanager
    def broker_down(self) -> Iterator[None]:
        """Stop the broker, or the manager, during this block."""
        if self._broker is None:
            self.end_workers()
        else:
            self._broker.stop()
        try:
            yield
        finally:
            if self._broker is None:
                self.start_workers()
            else:
                self._broker.start()

    def _answers(self) -> bool:
        with suppress(OSError, HTTPException):
            return self.server.client.get("/readyz").status == 200
        return False

    def end_workers(self) -> None:
        for worker in self._workers:
            worker.send_signal(signal.SIGTERM)
        for worker in self._workers:
            worker.wait(60)
        self._workers.clear()

    def close(self) -> None:
        self.end_workers()
        push_processes.end_all(self.run_dir)
        self.store.close()


def family(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [pid, *(int(child) for child in children.split())]


@contextmanager
def running(
    name: str,
    run_dir: Path,
    sandbox: Sandbox,
    broker: Broker | None = None,
    settings: Mapping[str, str] | None = None,
    host: str | None = None,
) -> Iterator[DispatcherHost]:
    """Run a dispatcher, with further settings or under another host."""
    environment = {
        **sandbox.environment,
        **FAST,
        **SHORT_LEASE,
        "BOTTLEPOST_DISPATCHER": name,
        "BOTTLEPOST_DATABASE_URL": f"sqlite:///{run_dir}/test.db",
        **_addresses(broker),
        "BOTTLEPOST_MANAGER_ADDRESS": f"127.0.0.1:{free_port()}",
        "BOTTLEPOST_MANAGER_AUTHKEY": "the tests' own authkey",
        **(settings or {}),
    }
    store = Datastore(environment["BOTTLEPOST_DATABASE_URL"])
    migrations.upgrade(store)
    store.close()
    with Server(
        run_dir, environment, _command(host or KINDS[name].host, run_dir)
    ) as server:
        host = DispatcherHost(name, server, sandbox, broker)
        try:
            yield host
        finally:
            host.close()


def _addresses(broker: Broker | None) -> dict[str, str]:
    if broker is None:
        return {}
    is_redis = broker.url.startswith("redis:")
    more = {"BOTTLEPOST_REDIS_URL": broker.url} if is_redis else {}
    return {"BOTTLEPOST_BROKER_URL": broker.url, **more}


def _command(host: str | None, run_dir: Path) -> Sequence[str]:
    if host is None:
        return (sys.executable, "server.py")
    (run_dir / "spool").mkdir()
    return host.replace(" spool ", f" {run_dir}/spool ").split()
