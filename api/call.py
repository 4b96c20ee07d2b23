"""One request on its way: what a handler gets, and what it gives back."""

from dataclasses import dataclass, field

from api.schemas import Out
from datastore import Datastore
from datastore.accounts import Identity
from models.errors import Forbidden
from notifier.dispatchers import Dispatcher


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """An authenticated request: who calls, and what the handler may use."""

    store: Datastore
    dispatcher: Dispatcher
    caller: Identity | None
    is_service: bool = False

    @property
    def user(self) -> Identity:
        """Raises Forbidden when it is the service, not a user, that calls."""
        if self.caller is None:
            raise Forbidden("This needs the token of a user.")
        return self.caller


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a body; None is an empty body."""

    status: int
    body: Out | None = None
    headers: dict[str, str] = field(default_factory=dict)
