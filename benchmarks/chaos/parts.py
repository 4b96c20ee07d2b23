"""The parts of a run: a dispatcher, a database and a number of hosts."""

import random
from collections.abc import Sequence
from typing import NamedTuple

from tests.support import rabbitmq_server

SQLITE, POSTGRESQL = DATABASES = ("sqlite", "postgresql")
DISPATCHERS = (
    "process",
    "thread",
    "pool",
    "manager",
    "polling",
    "script",
    "rq",
    "celery",
    "uwsgi_spooler",
)
REDIS, RABBITMQ = "redis", "rabbitmq"
# Celery has two of them.
BROKERS = {"script": REDIS, "rq": REDIS, "celery": REDIS}
# The first host runs an older commit, until it is started anew.
ROLLING = "rolling"


class Part(NamedTuple):
    """What runs while the strikes of a part are made."""

    dispatcher: str
    database: str
    hosts: int = 1
    is_rolling: bool = False
    on_rabbitmq: bool = False

    @property
    def name(self) -> str:
        hosts = ROLLING if self.is_rolling else str(self.hosts)
        broker = f"_{RABBITMQ}" if self.on_rabbitmq else ""
        return f"{self.dispatcher}{broker}-{self.database}-{hosts}"

    @property
    def broker(self) -> str | None:
        return RABBITMQ if self.on_rabbitmq else BROKERS.get(self.dispatcher)


def every() -> list[Part]:
    """SQLite belongs to one host; a rolling update needs a second one.

    RabbitMQ is left out where it is not installed.
    """
    parts = [
        Part(dispatcher, database, hosts)
        for database, hosts in ((SQLITE, 1), (POSTGRESQL, 1), (POSTGRESQL, 2))
        for dispatcher in DISPATCHERS
    ]
    parts.append(Part("process", POSTGRESQL, 2, is_rolling=True))
    if rabbitmq_server.is_installed():
        parts += [
            Part("celery", SQLITE, on_rabbitmq=True),
            Part("celery", POSTGRESQL, 2, on_rabbitmq=True),
        ]
    return parts


QUICK = ("process-sqlite-1", "process-postgresql-2")


def choose(names: Sequence[str]) -> list[Part]:
    """The parts whose names begin with one of these, or all parts."""
    found = [
        part for part in every() if not names or part.name.startswith(tuple(names))
    ]
    if not found:
        known = ", ".join(part.name for part in every())
        raise SystemExit(f"unknown: {', '.join(names)}; there are {known}")
    return found


def share(strikes: int, parts: Sequence[Part]) -> dict[Part, int]:
    """Spread the strikes evenly over the parts."""
    each, rest = divmod(strikes, len(parts))
    return {part: each + (number < rest) for number, part in enumerate(parts)}


def randoms(seed: int, part: Part) -> random.Random:
    """A part's own random numbers, whichever parts ran before."""
    return random.Random(f"{seed} {part.name}")
