"""The context of a request, and the result that its handler returns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from api.app_tokens import AppTokens
from api.client_address import ClientAddresses, share_of
from api.known_kinds import KnownKinds
from api.long_poll import LongPoll
from api.rate_limits import Limits, per_minute
from api.request_metrics import Traffic
from api.schemas import Out
from api.seats import Seats
from api.service_key import ServiceKey
from bottlepost.logs import request_ids
from datastore import Datastore
from datastore.accounts import Identity
from datastore.posts import NO_ORIGIN, Origin
from models.errors import Forbidden
from models.previews import Preview
from notifier.dispatchers import Dispatcher


@dataclass(frozen=True)
class RawBody:
    """A body that has no schema."""

    content: bytes
    headers: dict[str, str] = field(default_factory=dict)
    content_type: ClassVar[str]


@dataclass(frozen=True)
class LineStream:
    """A body of JSON lines that is made while it is sent."""

    pieces: Iterator[bytes]
    content_type: ClassVar[str] = "application/x-ndjson"


class DrawPreviews(Protocol):
    """Makes the requests of a sample message, and what devices show of them."""

    def __call__(
        self,
        kinds: Mapping[str, dict[str, Any]],
        kind: str,
        *,
        locale: str | None,
        is_mentioned: bool,
        text: str,
    ) -> Sequence[Preview]: ...


Body_co = TypeVar("Body_co", bound=Out | RawBody | LineStream | None, covariant=True)


# The size of the database's connection pool.
CONCURRENT_REQUESTS = 15
# Of these, the requests that may write; so reads go on while no write can.
CONCURRENT_WRITES = 12
READING = ("GET", "HEAD")


class ConcurrencyLimit:
    """A semaphore; the one of `threading` is written in Python and costs ten times."""

    def __init__(self, most: int) -> None:
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(most):
            self._free.put(None)

    def acquire(self) -> None:
        self._free.get()

    def release(self) -> None:
        self._free.put(None)

    def __enter__(self) -> None:
        self._free.get()

    def __exit__(self, *_: object) -> None:
        self._free.put(None)


class BothLimits:
    """Two limits, which are always taken in this order."""

    def __init__(self, first: ConcurrencyLimit, second: ConcurrencyLimit) -> None:
        self._first = first
        self._second = second

    def acquire(self) -> None:
        self._first.acquire()
        self._second.acquire()

    def release(self) -> None:
        self._second.release()
        self._first.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


Limit = ConcurrencyLimit | BothLimits


@dataclass(frozen=True, kw_only=True)
class AppContext:
    """Everything that all requests of one process share."""

    store: Datastore
    dispatcher: Dispatcher
    service_key: ServiceKey
    addresses: ClientAddresses = field(default_factory=ClientAddresses)
    # Where clients reach the server, if the operator has said it.
    public_url: str | None = None
    # The kinds of notifications; the default has no file.
    kinds: KnownKinds = field(default_factory=KnownKinds)
    # The default lets one thread of the host wait for a long poll.
    long_poll: LongPoll = field(default_factory=lambda: LongPoll(max_waiting=1))
    limits: Limits = field(default_factory=per_minute)
    seats: Seats = field(default_factory=Seats)
    # Limits how many handlers run at once.
    concurrency: ConcurrencyLimit = field(
        default_factory=lambda: ConcurrencyLimit(CONCURRENT_REQUESTS)
    )
    # Limits requests that may write; taken before `concurrency`.
    writes: ConcurrencyLimit = field(
        default_factory=lambda: ConcurrencyLimit(CONCURRENT_WRITES)
    )
    # Whether OpenTelemetry is on.
    is_traced: bool = False
    traffic: Traffic = field(default_factory=Traffic)
    # The running and the allowed number of PushProcesses; None without any.
    slots: Callable[[], tuple[int, int]] | None = None
    # What a sample message of a kind would look like; None if it cannot be shown.
    preview: DrawPreviews | None = None
    # Days after which messages are pruned; 0 keeps them.
    message_days: int = 0
    # None if the app signs no tokens of its own.
    app_tokens: AppTokens | None = None
    # The key that browsers subscribe with; None without web push.
    webpush_key: str | None = None

    def address_of(self, environ: dict[str, Any]) -> str:
        """The address that the limits count a request for."""
        return share_of(self.addresses.of_environ(environ))

    def limit(self, method: str) -> Limit:
        """The limit of the requests with this method."""
        if method in READING:
            return self.concurrency
        return BothLimits(self.writes, self.concurrency)


@dataclass(frozen=True, kw_only=True)
class RequestContext:
    """An authenticated request: its caller, and the resources for its handler."""

    app: AppContext
    caller: Identity | None
    is_service: bool = False
    # What the limits count it for; empty if the host does not tell.
    address: str = ""
    # Of the jobs that it adds.
    origin: Origin = NO_ORIGIN
    # False on a host with one thread per process: it has no thread for a long poll.
    may_wait: bool = False
    # The path in front of all addresses, behind a proxy; empty without one.
    prefix: str = ""
    # Raises Unauthorized when the caller's token is not valid any more.
    check_caller: Callable[[], object] = field(default=lambda: None)

    @property
    def store(self) -> Datastore:
        return self.app.store

    @property
    def dispatcher(self) -> Dispatcher:
        return self.app.dispatcher

    @contextmanager
    def released(self, method: str = "GET") -> Iterator[None]:
        """Leave the limit of the request's method while the handler only waits."""
        limit = self.app.limit(method)
        limit.release()
        try:
            yield
        finally:
            limit.acquire()

    @property
    def user(self) -> Identity:
        """The calling user; raises Forbidden if the service calls."""
        if self.caller is None:
            raise Forbidden("This needs the token of a user.")
        return self.caller


def origin_of(environ: dict[str, Any]) -> Origin:
    """What jobs keep of the request that adds them."""
    return Origin(
        environ.get(request_ids.ENVIRON), environ.get(request_ids.TRACEPARENT)
    )


@dataclass(frozen=True)
class Result(Generic[Body_co]):
    """A status and a body; a body of None is empty."""

    status: int
    body: Body_co | None = None
