"""Who may begin conversations and add members, and how many."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy.orm import Session

from api.rate_limits import RateLimit
from datastore import accounts, acquaintances, outages
from datastore.accounts import Identity
from models.errors import Forbidden, Invalid

ANYONE, ACQUAINTANCES, SERVICE = "anyone", "acquaintances", "service"
HOUR_S = 3600.0
# By a user, in one request.
MOST_AT_ONCE = 1000
# In one transaction, which takes a few milliseconds.
SEATS_PER_TURN = 500
# The pause after it, as a multiple of its time: other writers have their turn.
PAUSE = 1.0
MOST_NAMED = 20


@dataclass(frozen=True)
class Seats:
    """The rules for users; the service may add anybody, as many as it wants."""

    add_members: str = ANYONE
    # The members that a user may add in an hour, also all at once; 0 = no limit.
    per_hour: int = 0
    clock: Callable[[], float] = time.monotonic
    _taken: RateLimit = field(init=False)

    def __post_init__(self) -> None:
        taken = RateLimit(self.per_hour / 60, self.clock, burst_s=HOUR_S)
        object.__setattr__(self, "_taken", taken)

    @property
    def most_at_once(self) -> int:
        return min(MOST_AT_ONCE, self.per_hour or MOST_AT_ONCE)

    def check(
        self, session: Session, caller: Identity | None, user_ids: Sequence[int]
    ) -> None:
        """Raises an error unless the caller may add these users; None is the service.

        The caller need not be among their own acquaintances.
        """
        if caller is None:
            accounts.check_users(session, sorted(set(user_ids)))
            return
        if self.add_members == SERVICE:
            raise Forbidden("Only the service key may add members.")
        others = sorted(set(user_ids) - {caller.id})
        if len(others) > self.most_at_once:
            raise Invalid(f"A user may add {self.most_at_once} members at once.")
        if self.add_members == ACQUAINTANCES:
            # It does not tell which of the others exist.
            known = acquaintances.among(session, caller.id, others)
            if strangers := [each for each in others if each not in known]:
                raise Forbidden(
                    "You share no conversation with some of the users.",
                    user_ids=strangers[:MOST_NAMED],
                )
        accounts.check_users(session, others)

    def take(self, caller: Identity | None, count: int) -> None:
        """Count new members; raises TooMany when the caller has added too many."""
        if caller is not None and count:
            self._taken.take(caller.id, count)


def in_turns(user_ids: Sequence[int], work: Callable[[Sequence[int]], None]) -> None:
    """Call `work`, which is a transaction, with a part of the users at a time."""
    pause_s = 0.0
    for start in range(0, len(user_ids), SEATS_PER_TURN):
        time.sleep(pause_s)
        began_at = time.monotonic()
        outages.retrying(partial(work, user_ids[start : start + SEATS_PER_TURN]))
        pause_s = PAUSE * (time.monotonic() - began_at)
