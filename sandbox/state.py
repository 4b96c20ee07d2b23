"""Who answers what: Apple, Google, or the desk where one looks at them."""

import asyncio
from typing import Any

from sandbox.apple import apns
from sandbox.apple.apns import Apns
from sandbox.apple.jwts import ProviderTokens
from sandbox.control import console
from sandbox.control.inbox import Inbox
from sandbox.control.journal import Journal
from sandbox.control.rules import Counters, Rules
from sandbox.google.fcm import Fcm
from sandbox.google.oauth import AccessTokens
from sandbox.keys import Keys
from sandbox.wire.exchange import Answer, Reply, Request


class Site:
    """Everything that lives as long as the sandbox."""

    def __init__(
        self, keys: Keys, first_rules: dict[str, Any], journal: Journal | None
    ) -> None:
        # What a reset goes back to.
        self.first_rules = first_rules
        self.rules = rules = Rules(**first_rules)
        self.counters = Counters()
        self.inbox = Inbox(journal)
        self.provider_tokens = ProviderTokens(keys.apns_public, rules, self.counters)
        self.access_tokens = AccessTokens(keys, rules, self.counters)
        self.fcm = Fcm(self.access_tokens, rules, self.counters, self.inbox)
        self.apns = {
            environment: Apns(
                environment, self.provider_tokens, rules, self.counters, self.inbox
            )
            for environment in ("production", "development")
        }
        self._tasks: set[asyncio.Task[Any]] = set()

    def keep(self, task: "asyncio.Task[Any]") -> None:
        """The loop alone does not hold a task."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def is_for_apple(self, target: str) -> bool:
        return target.startswith(apns.PREFIX)

    def forget(self) -> None:
        """Attempts, tokens and counts as at the start; rules are the desk's."""
        self.counters.clear()
        self.provider_tokens.forget()
        for attempts in (
            self.fcm.attempts,
            *(one.attempts for one in self.apns.values()),
        ):
            attempts.clear()

    def answer(self, request: Request) -> Reply:
        """The answer to a request; one that must wait is a coroutine."""
        path = request.path
        environment = request.memory["environment"]
        if path.startswith(apns.PREFIX) or environment == "development":
            if request.version != "2":
                return Answer(505, (), b'{"reason": "HTTP/2 is needed"}')
            return self.apns[environment].push(request)
        request.memory["trusted"] = True
        if path.startswith("/v1/"):
            return self.fcm.push(request)
        if path == "/token":
            return self.access_tokens.grant(request)
        return console.answer(self, request)
