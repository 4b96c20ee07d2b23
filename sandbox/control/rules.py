"""The rules that can be changed while the sandbox runs."""

from dataclasses import dataclass, field

from sandbox import faults, keys
from sandbox.faults import Fault

PROVIDERS = ("apns", "fcm", "webpush")


@dataclass
class Rules:
    """How the providers behave; the control endpoint changes them."""

    # The delay of everything that a connection sends.
    latency_ms: float = 0.0
    max_concurrent_streams: int = 1000
    # The Retry-After of the errors that have one.
    retry_after_s: int = 1
    # The delay of `slow` and `slow-body`.
    slow_s: float = 2.0
    # Apple accepts a provider token for an hour, and a new one every 20 minutes.
    apns_token_max_age_s: float = 3600.0
    apns_token_update_s: float = 1200.0
    # Google's access tokens expire after an hour less one second.
    fcm_token_lifetime_s: float = 3599.0
    topics: tuple[str, ...] = (keys.TOPIC,)
    # Tokens and installation ids of FCM that belong to an iPhone's app.
    iphones: tuple[str, ...] = ()
    # Provider, or "all" → the fault of every push, by name.
    outage: dict[str, str] = field(default_factory=dict)
    # Device token → the fault of every push to it, by name.
    answers: dict[str, str] = field(default_factory=dict)
    # Provider, or "all" → a number of next pushes, and their fault by name.
    next: dict[str, tuple[int, str]] = field(default_factory=dict)

    def is_iphone(self, token: str) -> bool:
        """Whether a token of FCM is an iPhone's, as Google knows by its app."""
        name = token.partition(":")[0]
        return "iphone" in name.lower() or token in self.iphones

    def outage_of(self, provider: str) -> Fault | None:
        """The fault of every push of the provider, during an outage."""
        name = self.outage.get(provider) or self.outage.get("all")
        return faults.parse(name) if name else None

    def fault_for(self, provider: str, token: str) -> Fault | None:
        """The fault of this push by its token, or by the rule `next`."""
        if token in self.answers:
            return faults.parse(self.answers[token])
        name = self._take_next(provider) if self.next else None
        return faults.parse(name) if name else None

    def _take_next(self, provider: str) -> str | None:
        for name in (provider, "all"):
            if name in self.next:
                left, answer = self.next[name]
                if left > 1:
                    self.next[name] = (left - 1, answer)
                else:
                    del self.next[name]
                return answer
        return None
