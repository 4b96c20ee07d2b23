"""The API with a real database in this process, and users who call it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from bottle import Bottle

import api
from api import front
from api.app_tokens import AppTokens
from api.context import AppContext
from api.cors import Cors
from api.known_kinds import KnownKinds
from api.long_poll import LongPoll
from api.rate_limits import Limits, per_minute
from api.seats import Seats
from api.service_key import ServiceKey
from datastore import Datastore
from notifier.dispatchers import Dispatcher
from notifier.engine.loop import Engine
from tests.support import databases
from tests.support.recording_dispatcher import RecordingDispatcher
from tests.support.wsgi_client import WsgiClient
from web import pages

ON_EVERY_DATABASE = pytest.mark.parametrize("kind", databases.KINDS, indirect=True)
SERVICE_KEY = "a-service-key-of-the-tests"


def build_app(
    store: Datastore,
    dispatcher: Dispatcher,
    *,
    demo_file: Path | None = None,
    cors_origins: Sequence[str] = (),
    **more: Any,
) -> Bottle:
    """The API with its pages."""
    app = AppContext(
        store=store, dispatcher=dispatcher, service_key=ServiceKey(SERVICE_KEY), **more
    )
    application = api.build(app)
    pages.mount(application, app, demo_file)
    front.install(application, app, Cors(cors_origins))
    return application


@dataclass
class User:
    """A user's id, and a client with the user's token."""

    id: int
    client: WsgiClient


@dataclass
class ChatApi:
    """The API without pushes, its database and its clients."""

    store: Datastore
    dispatcher: RecordingDispatcher = field(default_factory=RecordingDispatcher)
    limits: Limits = field(default_factory=per_minute)
    seats: Seats = field(default_factory=Seats)
    max_waiting: int = 6
    webpush_key: str | None = None
    slots: Callable[[], tuple[int, int]] | None = None
    app_tokens: AppTokens | None = None
    message_days: int = 0
    kinds: KnownKinds = field(default_factory=KnownKinds)

    def __post_init__(self) -> None:
        self.long_poll = LongPoll(self.max_waiting)
        self.app: Any = build_app(
            self.store,
            self.dispatcher,
            limits=self.limits,
            seats=self.seats,
            long_poll=self.long_poll,
            webpush_key=self.webpush_key,
            app_tokens=self.app_tokens,
            slots=self.slots,
            kinds=self.kinds,
            message_days=self.message_days,
        )
        self.anonymous = WsgiClient(self.app)
        self.service = WsgiClient(self.app, SERVICE_KEY)

    def user(self, name: str) -> User:
        made = self.service.post("/users", {"name": name}).json
        return User(made["id"], WsgiClient(self.app, made["token"]))

    def chat(self, owner: User, *members: User, name: str = "Lunch") -> int:
        ids = [member.id for member in members]
        made = owner.client.post("/groupchat", {"name": name, "members": ids})
        return int(made.json["id"])

    def say(self, who: User, chat: int, text: str, **more: Any) -> Any:
        body = {"conversation": chat, "message": text, **more}
        return who.client.post("/groupchat/send", body)

    def work(self) -> None:
        """Push all jobs, as a PushProcess does after the response."""

        async def drain() -> None:
            store = Datastore(self.store.url.render_as_string(hide_password=False))
            engine = Engine(store, lambda tokens, troubles: {}, owner="a", lease_s=30)
            async with asyncio.timeout(90):
                await engine.run(linger_s=0, wake=asyncio.Event())

        asyncio.run(drain())
