"""Everything that lives as long as the sandbox: providers, rules, counts, inbox."""

import asyncio
from typing import Any

from sandbox.apple.apns import Apns
from sandbox.apple.jwts import ProviderTokens
from sandbox.browsers.service import Webpush
from sandbox.control.counters import Counters
from sandbox.control.inbox import Inbox
from sandbox.control.journal import Journal
from sandbox.control.rules import Rules
from sandbox.google.fcm import Fcm
from sandbox.google.oauth import AccessTokens
from sandbox.keys import Keys


class Sandbox:
    """The providers and what they share; it knows neither connections nor console."""

    def __init__(
        self, keys: Keys, initial_rules: dict[str, Any], journal: Journal | None
    ) -> None:
        self._initial_rules = initial_rules
        self.rules = rules = Rules(**initial_rules)
        self.counters = Counters()
        self.inbox = Inbox(journal)
        self.provider_tokens = ProviderTokens(keys.apns_public, rules, self.counters)
        self.access_tokens = AccessTokens(keys, rules, self.counters)
        self.fcm = Fcm(self.access_tokens, rules, self.counters, self.inbox)
        self.webpush = Webpush(keys.token_secret, rules, self.counters, self.inbox)
        self.apns = {
            environment: Apns(
                environment, self.provider_tokens, rules, self.counters, self.inbox
            )
            for environment in ("production", "development")
        }
        self._tasks: set[asyncio.Task[Any]] = set()

    def track(self, task: "asyncio.Task[Any]") -> None:
        """Hold a task until it is done, because the loop has only a weak reference."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def reset(self) -> None:
        """Make rules, counts, tokens seen and the inbox as they were at the start."""
        # The providers share the object, so its fields change, not the object.
        for name, value in vars(Rules(**self._initial_rules)).items():
            setattr(self.rules, name, value)
        self.counters.clear()
        self.provider_tokens.clear()
        self.webpush.clear()
        self.fcm.attempts.clear()
        for environment in self.apns.values():
            environment.attempts.clear()
        self.inbox.clear()
