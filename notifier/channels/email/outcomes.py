"""What SMTP servers answer, as outcomes (RFC 5321 §4.2, RFC 3463)."""

import re
from typing import Literal

from notifier.outcome import Kind, Outcome

Stage = Literal["connect", "login", "sender", "recipient", "data"]

CLOSING = 421

LONGEST_REASON = 150
# The mailbox does not exist, has moved without a trace, or its domain takes no mail.
_DEAD = frozenset({"5.1.1", "5.1.6", "5.1.10"})
# The replies that may be about the mailbox, when no finer code says so.
_MAILBOX_REPLIES = frozenset({550, 551, 553})
_LOGIN_REPLIES = frozenset({530, 534, 535, 538})

_enhanced = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\b").match


def is_outage(stage: Stage, code: int) -> bool:
    """Whether the server has no time for anybody, rather than for this mail."""
    return code == CLOSING or stage == "connect" or (stage == "login" and code < 500)


def read(stage: Stage, code: int, text: str) -> Outcome:
    """The outcome of a mail that the server refused with this reply."""
    reason = _reason(code, text)
    if not 500 <= code < 600:
        # Anything that is neither yes nor no is no word of SMTP, and may pass.
        return Outcome(Kind.LATER, reason)
    if code in _LOGIN_REPLIES or stage in ("login", "sender"):
        # Nothing of the member's was looked at yet: it is about us.
        return Outcome(Kind.CREDENTIALS, reason)
    if stage == "recipient":
        return _recipient(code, text, reason)
    return Outcome(Kind.REFUSED, reason)


def _recipient(code: int, text: str, reason: str) -> Outcome:
    """Only what surely says "no such mailbox" disables a device.

    A bare 550 is also the reply of a spam filter or of a relay we may not use.
    """
    found = _enhanced(text)
    detail = found.group() if found else None
    if detail in _DEAD:
        return Outcome(Kind.GONE, reason)
    # 5.1.x and 5.2.x are about the address and the mailbox, 5.7.x about policy.
    is_mailbox = detail.startswith(("5.1.", "5.2.")) if detail else True
    if code in _MAILBOX_REPLIES and is_mailbox:
        return Outcome(Kind.SUSPECT, reason)
    return Outcome(Kind.REFUSED, reason)


def _reason(code: int, text: str) -> str:
    words = "".join(c if c.isprintable() else " " for c in text)
    return f"{code} {' '.join(words.split())[:LONGEST_REASON]}".strip()
