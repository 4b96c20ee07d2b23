"""The dispatcher: its library, its broker or manager, and its workers."""

import socket
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from bottlepost.checks import Finding, ok, warning, wrong
from config import Settings, SettingsError
from notifier import dispatchers
from notifier.process.slots import worker_slots

CHECK = "dispatcher"
TIMEOUT_S = 3.0
# Dispatchers whose workers take wake-ups in the run directory of their host.
WITH_WORKERS = ("polling", "manager", "rq", "celery")
_WORKERS = {"manager": "manager run"}


def check(settings: Settings) -> Iterator[Finding]:
    name = settings.dispatcher
    try:
        dispatchers.create(settings).close()
    except SettingsError as problem:
        yield wrong(CHECK, str(problem), "see docs/dispatchers.md")
        return
    yield ok(CHECK, name)
    if name in _PEERS:
        where, ask = _PEERS[name](settings)
        try:
            ask()
        # Each library has errors of its own.
        except Exception as problem:
            why = str(problem).partition("\n")[0] or type(problem).__name__
            yield wrong(CHECK, f"{where}: {why}", "start it, or correct its address")
        else:
            yield ok(CHECK, f"{where} answers")
    if name in WITH_WORKERS:
        yield from _workers(settings)


def _workers(settings: Settings) -> Iterator[Finding]:
    slots = worker_slots(settings)
    try:
        count = slots.count_listeners()
    finally:
        slots.close()
    if count:
        yield ok("workers", f"workers that listen on this host: {count}")
        return
    name = _WORKERS.get(settings.dispatcher, settings.dispatcher)
    yield warning(
        "workers",
        "no worker listens on this host",
        f"unless another host has some: python -m notifier {name}",
    )


Ask = Callable[[], object]


def _redis(settings: Settings) -> tuple[str, Ask]:
    redis: Any = import_module("redis")
    client = redis.Redis.from_url(
        settings.redis_url,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
    )
    return _place("Redis", settings.redis_url), client.ping


def _broker(settings: Settings) -> tuple[str, Ask]:
    kombu: Any = import_module("kombu")
    broker = kombu.Connection(settings.broker_url, connect_timeout=TIMEOUT_S)

    def ask() -> None:
        with broker:
            broker.ensure_connection(max_retries=1, timeout=TIMEOUT_S)

    return _place("the broker", settings.broker_url), ask


def _manager(settings: Settings) -> tuple[str, Ask]:
    host, _, port = settings.manager_address.rpartition(":")

    def ask() -> None:
        socket.create_connection((host, int(port)), TIMEOUT_S).close()

    return f"the manager at {settings.manager_address}", ask


def _place(what: str, url: str) -> str:
    """Without a password."""
    parts = urlsplit(url)
    return f"{what} at {parts.netloc.rpartition('@')[2] or parts.path}"


_PEERS: dict[str, Callable[[Settings], tuple[str, Ask]]] = {
    "script": _redis,
    "rq": _redis,
    "celery": _broker,
    "manager": _manager,
}
