"""Carries out the deletions of users beside other work, in short steps."""

import time

from datastore import Datastore, deletions

# What a round may take; then the watchdog looks at the outbox first.
BUDGET_S = 0.5
# The pause after a step, as a multiple of its time: senders have the database for most
# of the time.
PAUSE = 3.0


def go_on(store: Datastore) -> bool:
    """Go on for about BUDGET_S; returns whether more is due.

    Raises the database's errors. Any number of processes may do this at once.
    """
    ends_at = time.monotonic() + BUDGET_S
    while True:
        began_at = time.monotonic()
        if not deletions.go_on(store):
            return False
        now = time.monotonic()
        if now >= ends_at:
            return True
        time.sleep(min(PAUSE * (now - began_at), ends_at - now))
