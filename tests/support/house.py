"""The API over a real database in this process, with users to try it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

import api
from api.app_tokens import AppTokens
from api.front import Front
from api.limits import Limits, per_minute
from api.news import News
from datastore import Datastore
from notifier.engine.loop import Engine
from tests.support import databases
from tests.support.dispatcher import RecordingDispatcher
from tests.support.wsgi import WsgiClient

ON_EVERY_DATABASE = pytest.mark.parametrize("kind", databases.KINDS, indirect=True)
SERVICE_KEY = "a-service-key-of-the-tests"


@dataclass
class User:
    """A user's id and a client that speaks for them."""

    id: int
    client: WsgiClient


@dataclass
class House:
    """Everything but the pushes."""

    store: Datastore
    dispatcher: RecordingDispatcher = field(default_factory=RecordingDispatcher)
    limits: Limits = field(default_factory=per_minute)
    most_waiting: int = 6
    webpush_key: str | None = None
    slots: Callable[[], tuple[int, int]] | None = None
    app_tokens: AppTokens | None = None

    def __post_init__(self) -> None:
        self.news = News(self.most_waiting)
        self.app: Any = api.build(
            store=self.store,
            dispatcher=self.dispatcher,
            service_key=SERVICE_KEY,
            limits=self.limits,
            news=self.news,
            webpush_key=self.webpush_key,
            app_tokens=self.app_tokens,
            front=Front(slots=self.slots),
        )
        self.nobody = WsgiClient(self.app)
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
        """What the PushProcess does behind the answer."""

        async def drain() -> None:
            store = Datastore(self.store.url.render_as_string(hide_password=False))
            engine = Engine(store, lambda tokens, troubles: {}, owner="a", lease_s=30)
            async with asyncio.timeout(90):
                await engine.run(linger_s=0, wake=asyncio.Event())

        asyncio.run(drain())
