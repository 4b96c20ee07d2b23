"""Recognises a relay that refuses everybody with the same words: it means us."""

import re
from collections import defaultdict

from notifier.outcome import Kind, Outcome

# It is unlikely that this many recipients in a row are wrong in the same way.
ENOUGH = 10
# Texts that are remembered; a server with more of them does not say the same.
MOST_TEXTS = 100
FINAL = frozenset({Kind.REFUSED, Kind.SUSPECT, Kind.GONE})

# What differs between the replies to two recipients: addresses, numbers and ids.
_differs = re.compile(r"\S*@\S*|\b\w*\d[\w.-]*")


class RefusedAlike:
    """Who has been refused, by the words of the refusal, since a mail was accepted."""

    def __init__(self) -> None:
        self._recipients: dict[str, set[str]] = defaultdict(set)

    def judge(self, recipient: str, outcome: Outcome) -> Outcome:
        """The outcome, or that our credentials are refused."""
        if outcome.kind not in FINAL:
            return outcome
        if len(self._recipients) >= MOST_TEXTS:
            self._recipients.clear()
        refused = self._recipients[_differs.sub("", outcome.reason)]
        if len(refused) < ENOUGH:
            refused.add(recipient.lower())
        if len(refused) < ENOUGH:
            return outcome
        return Outcome(Kind.CREDENTIALS, outcome.reason)

    def forget(self) -> None:
        """A mail was accepted, so it is not about us."""
        self._recipients.clear()
