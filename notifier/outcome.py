"""How a push ends, in the same terms for every provider."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """The ways a push ends."""

    # The provider has taken it.
    ACCEPTED = "accepted"
    # The token is dead: the device is disabled.
    GONE = "gone"
    # Wrong environment or topic, or the device fails while others are accepted: it is
    # marked, not disabled.
    SUSPECT = "suspect"
    # The provider will never take this payload.
    REFUSED = "refused"
    # Our credentials are wrong: the devices are kept, the operator is alerted.
    CREDENTIALS = "credentials"
    # No process here is set up for the platform: the devices are kept.
    UNCONFIGURED = "unconfigured"
    # Not now: retried until the message expires.
    LATER = "later"


class Outcome(NamedTuple):
    """The result of one push."""

    kind: Kind
    # The provider's own word, for logs and pages.
    reason: str = ""
    # With LATER, CREDENTIALS and UNCONFIGURED: the shortest pause before the next try.
    # With SUSPECT, None means that there is no next try.
    retry_after_s: float | None = None
    # With GONE: dead at least since then; a token registered later lives on.
    gone_since: datetime | None = None
    # With LATER and SUSPECT: the provider may have seen it; if False, no try counts.
    tried: bool = True
    # With ACCEPTED: the environment that took it, if it is not the device's own.
    environment: str | None = None
    # With LATER, CREDENTIALS and UNCONFIGURED: after this time since its job's first
    # try the push is given up, even if the message's own time to live is longer.
    give_up_after_s: float | None = None
    # With ACCEPTED: the device had failed before, and may be marked.
    is_recovery: bool = False


ACCEPTED = Outcome(Kind.ACCEPTED)
RECOVERED = Outcome(Kind.ACCEPTED, is_recovery=True)


class ChannelDown(Exception):
    """A provider could not be reached or broke its protocol; try again later."""

    def __init__(self, reason: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s
