"""The web server: connects settings, database, dispatcher, API and pages.

`create_app` is the factory for any WSGI host; `bottlepost serve` starts our own host.
"""

import errno
import gc
import hmac
import logging
import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, NoReturn

# First, because it finds the modules below, also where others have their names.
from bottlepost import own_modules, starting_database  # isort: split

import bottle
from granian import Granian
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import configure_mappers

import api
import config
from api import front
from api.app_tokens import AppTokens
from api.client_address import ClientAddresses, share_of
from api.context import AppContext
from api.cors import Cors
from api.known_kinds import KnownKinds
from api.long_poll import LongPoll
from api.rate_limits import per_minute
from api.seats import Seats
from api.service_key import ServiceKey
from bottlepost import logs
from config import (
    ON,
    Settings,
    SettingsError,
    key_files,
    platform,
    run_directory,
    tls,
    vapid,
)
from datastore import OUTAGES, Datastore, kind_documents
from host import access
from host.body import Timeouts
from host.rsgi import Clients, RsgiApp, caller_of
from host.shares import Client
from host.watcher import Patience
from notifier import dispatchers
from notifier.preview import Drawing
from notifier.process import fork_server, generation
from notifier.process.slots import Slots, worker_slots
from web import pages

# Also as a program, where our name is another one.
log = logging.getLogger("server")

KINDS_FILE = "BOTTLEPOST_KINDS_FILE"
# Most threads only wait in long polls; the API limits how many work at once.
THREADS = 64
BACKLOG = 2048
# Per worker; further connections wait in the backlog.
CONNECTIONS = 4096
# Open files beside connections: the database, the log, libraries.
OTHER_FILES = 128
# The dispatchers that have their processes forked.
FORKING = ("process", "pool")
# All others have sockets of their workers in the run directory.
WITHOUT_WORKER_SLOTS = ("process", "inline")
# The size of granian's reads; a body in memory may be longer by this much.
READ_SIZE = 64 * 1024


def create_app(
    settings: Settings | None = None, *, max_waiting: int = 1
) -> bottle.Bottle:
    """Build the WSGI application, and start its dispatcher.

    Up to `max_waiting` threads of the host may wait in long polls at a time.
    """
    try:
        settings = settings or config.from_env()
        logs.foreign("web", settings)
        _protect(settings)
        _check_keys(settings)
        starting_database.check(settings)
        return _build(settings, max_waiting)
    except SettingsError as problem:
        own_modules.end(str(problem))


def _protect(settings: Settings) -> None:
    """Take what is in the run directory away from other users, or say what does."""
    run_directory.tighten(settings.run_dir)
    if told := run_directory.warning(settings.run_dir):
        log.warning("%s", told)


def _build(settings: Settings, max_waiting: int) -> bottle.Bottle:
    dispatcher = dispatchers.create(settings)
    app = AppContext(
        store=Datastore.of_web_worker(settings),
        dispatcher=dispatcher,
        service_key=ServiceKey(settings.service_key, settings.service_key_old),
        addresses=ClientAddresses(settings.trusted_proxies),
        public_url=settings.public_url,
        limits=per_minute(
            user=settings.user_sends_per_minute, chat=settings.chat_sends_per_minute
        ),
        seats=Seats(settings.add_members, settings.user_adds_per_hour),
        long_poll=LongPoll(max_waiting),
        slots=_slots(settings),
        app_tokens=_app_tokens(settings),
        webpush_key=_webpush_key(settings),
        message_days=settings.message_days,
        kinds=_kinds(settings),
        preview=Drawing(settings),
        is_traced=settings.tracing == ON,
    )
    _store_kinds(app.kinds, settings)
    application = api.build(app)
    pages.mount(application, app, settings.demo_file)
    front.install(application, app, Cors(settings.cors_origins))
    dispatcher.start()
    return application


def _kinds(settings: Settings) -> KnownKinds:
    """The kinds of the settings' file, which are checked at the start."""
    path = settings.kinds_file
    try:
        return KnownKinds({} if path is None else kind_documents.read_file(path))
    except kind_documents.BadKindFile as problem:
        raise SettingsError(KINDS_FILE, str(problem)) from None


def _store_kinds(kinds: KnownKinds, settings: Settings) -> None:
    """Store the kinds of the file; if the database is not ready, /readyz does it."""
    # A connection of its own, because the host may fork the application afterwards.
    store = Datastore(settings.database_url)
    try:
        kinds.store_file(store)
    except (SQLAlchemyError, *OUTAGES) as problem:
        if settings.kinds_file is not None:
            reason = getattr(problem, "orig", problem)
            log.warning("%s is not stored yet: %s", KINDS_FILE, reason)
    finally:
        store.close()


def _slots(settings: Settings) -> Callable[[], tuple[int, int]] | None:
    """The running and the allowed number of PushProcesses, for the dashboard."""
    if settings.dispatcher != "process":
        return None
    slots = Slots(settings.run_dir, settings.push_slots)
    return lambda: (slots.count_listeners(), slots.count)


def _app_tokens(settings: Settings) -> AppTokens | None:
    """The verifier of the app's own tokens; None if they are not configured."""
    keys = config.jwt_keys(settings)
    if not keys or settings.jwt_audience is None or settings.jwt_issuer is None:
        return None
    return AppTokens(
        keys,
        audience=settings.jwt_audience,
        issuer=settings.jwt_issuer,
        subject="id" if settings.jwt_subject == "id" else "external_id",
    )


def _webpush_key(settings: Settings) -> str | None:
    """The public key for browsers; the first process creates the key."""
    if settings.vapid_subject is None:
        return None
    try:
        return vapid.public_key(settings)
    except (ValueError, OSError) as problem:
        raise SettingsError(
            "BOTTLEPOST_VAPID_KEY_FILE", f"cannot be used: {problem}"
        ) from problem


def create_own_app(
    timeouts: Timeouts | None = None, patience: Patience | None = None
) -> RsgiApp:
    """The application for our own host, which has threads for long polls."""
    # The server has checked settings and database.
    settings = config.from_env()
    form = logs.own("web", settings)
    app = _build(settings, max_waiting=THREADS - THREADS // 4)
    return RsgiApp(
        app,
        threads=THREADS,
        connections=_count_connections(),
        clients=_Clients(settings),
        timeouts=timeouts,
        patience=patience,
        record=access.begin(form) if settings.access_log == ON else None,
    )


class _Clients(Clients):
    """Tells our host who sends a request, before the application is called."""

    def __init__(self, settings: Settings) -> None:
        self._addresses = ClientAddresses(settings.trusted_proxies)
        keys = filter(None, (settings.service_key, settings.service_key_old))
        self._services = [f"Bearer {key}".encode() for key in keys]
        self._cors = Cors(settings.cors_origins)

    def identify(self, peer: str, headers: Any) -> Client:
        address = self._addresses.find(
            peer,
            ",".join(headers.get_all("x-forwarded-for")),
            ",".join(headers.get_all("forwarded")),
        )
        sent = headers.get("authorization") or ""
        # All are compared, so that the time does not tell which one fits.
        fits = [hmac.compare_digest(sent.encode(), each) for each in self._services]
        is_service = any(fits)
        return Client(share_of(address), caller_of(headers), is_service, address)

    def is_proxy(self, peer: str) -> bool:
        return self._addresses.is_proxy(peer)

    def more_headers(self, headers: Any) -> list[tuple[str, str]]:
        return self._cors.headers(headers.get("origin") or "")


def _check_keys(settings: Settings) -> None:
    """Refuse key files that cannot be used; tell of certificates that end.

    An expired one stops nothing, because there may be other platforms to push to.
    """
    key_files.check(settings)
    for told in key_files.notices(settings, datetime.now(UTC)):
        log.warning("%s", told)


def main(app: str = "server:create_own_app") -> None:
    """Upgrade the database, and serve the application of a factory."""
    run_directory.keep_private()
    try:
        settings = config.from_env()
        logs.own("server", settings)
        _protect(settings)
        # Report a wrong setting once, and not in each worker.
        dispatchers.create(settings).close()
        if settings.dispatcher not in WITHOUT_WORKER_SLOTS:
            worker_slots(settings).close()
        _webpush_key(settings)
        _kinds(settings)
        _check_keys(settings)
    except SettingsError as problem:
        _exit(2, str(problem))
    if told := tls.notice(settings.tls_cert_file, datetime.now(UTC)):
        log.warning("%s: %s", tls.CERT_FILE, told)
    _check_port(settings)
    starting_database.upgrade(settings)
    if settings.dispatcher in FORKING:
        fork_server.preload()
    _prepare_memory()
    if settings.dispatcher in FORKING:
        fork_server.share()
    log.info("%s", generation.describe(settings))
    scheme = "http" if settings.tls_cert_file is None else "https"
    address = f"{scheme}://{settings.host}:{settings.port}"
    log.info("Bottlepost listens on %s", address)
    Granian(
        app,
        factory=True,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.RSGI,
        workers=settings.workers,
        backlog=BACKLOG,
        backpressure=_count_connections(),
        # With HTTP/2 one connection could send 200 requests at once, and the truncation
        # of a body without a length would go unnoticed.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(max_buffer_size=READ_SIZE),
        websockets=False,
        ssl_cert=settings.tls_cert_file,
        ssl_key=settings.tls_key_file,
        ssl_protocol_min=SSLProtocols.tls12,
        log_access=False,
        # The start is reported above.
        log_level=LogLevels.error,
        log_dictconfig=logs.OF_GRANIAN,
        respawn_failed_workers=True,
        # Long polls are cut off then; all other requests take less.
        workers_kill_timeout=5,
    ).serve()


def _prepare_memory() -> None:
    """Keep the processes that are forked from us from copying what they could share."""
    # Each of them would do this for itself.
    configure_mappers()
    # The collector of each would write to all objects that we have now.
    gc.freeze()


def _count_connections() -> int:
    """The number of connections that leaves OTHER_FILES for the rest."""
    files = platform.raise_file_limit(CONNECTIONS + OTHER_FILES)
    return max(1, min(CONNECTIONS, files - OTHER_FILES))


def _check_port(settings: Settings) -> None:
    """Exit if the port is taken; granian shares ports, so it would not notice."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as problem:
            is_taken = problem.errno == errno.EADDRINUSE
            reason = "is taken by another program" if is_taken else str(problem)
            _exit(1, f"port {settings.port} on {settings.host}: {reason}")


def _exit(status: int, message: str) -> NoReturn:
    own_modules.end(message, status)


if __name__ == "__main__":
    # Imported by name, because commands stand above the server.
    import_module("bottlepost.cli").main(["serve", *sys.argv[1:]])
