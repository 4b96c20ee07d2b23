"""One request on its way: what a handler gets, and what it gives back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Semaphore
from typing import ClassVar, Generic, TypeVar

from api.app_tokens import AppTokens
from api.limits import Limits
from api.news import News
from api.schemas import Out
from api.traffic import Traffic
from datastore import Datastore
from datastore.accounts import Identity
from models.errors import Forbidden
from notifier.dispatchers import Dispatcher


@dataclass(frozen=True)
class Page:
    """A body that is not one of our schemas."""

    content: bytes
    headers: dict[str, str] = field(default_factory=dict)
    content_type: ClassVar[str]


Body_co = TypeVar("Body_co", bound=Out | Page | None, covariant=True)


@dataclass(frozen=True, kw_only=True)
class House:
    """What all requests of a process share."""

    store: Datastore
    dispatcher: Dispatcher
    service_key: str
    # As many requests as it lets through are worked on at once.
    gate: Semaphore
    news: News
    limits: Limits
    traffic: Traffic = field(default_factory=Traffic)
    # How many PushProcesses are up, of how many; None where there are none.
    slots: Callable[[], tuple[int, int]] | None = None
    # None: only tokens of our own are valid.
    app_tokens: AppTokens | None = None
    # Which browsers subscribe to; None when there is no web push.
    webpush_key: str | None = None


@dataclass(frozen=True, kw_only=True)
class Call:
    """An authenticated request: who calls, and what the handler may use."""

    house: House
    caller: Identity | None
    is_service: bool = False
    # A host with one thread per process must not be kept waiting.
    may_wait: bool = False

    @property
    def store(self) -> Datastore:
        return self.house.store

    @property
    def dispatcher(self) -> Dispatcher:
        return self.house.dispatcher

    @contextmanager
    def outside(self) -> Iterator[None]:
        """While a handler only waits, others are let in."""
        self.house.gate.release()
        try:
            yield
        finally:
            self.house.gate.acquire()

    @property
    def user(self) -> Identity:
        """Raises Forbidden when it is the service, not a user, that calls."""
        if self.caller is None:
            raise Forbidden("This needs the token of a user.")
        return self.caller


@dataclass(frozen=True)
class Answer(Generic[Body_co]):
    """A status and a body; None is an empty body."""

    status: int
    body: Body_co | None = None
