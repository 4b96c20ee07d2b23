"""The replies of SMTP servers, as outcomes of a push (RFC 5321 §4.2, RFC 3463)."""

import re
from typing import Literal

from notifier.channels.template import one_line
from notifier.outcome import Kind, Outcome

# The part of an SMTP session that a reply belongs to; "sender" and "recipient" are the
# commands MAIL and RCPT.
SmtpPhase = Literal["connect", "login", "sender", "recipient", "data"]

CLOSING = 421

LONGEST_REASON = 150
# No such mailbox, moved without a new address, or a domain that accepts no mail.
_DEAD = frozenset({"5.1.1", "5.1.6", "5.1.10"})
# Replies about the mailbox, unless an enhanced code says otherwise.
_MAILBOX_REPLIES = frozenset({550, 551, 553})
_LOGIN_REPLIES = frozenset({530, 534, 535, 538})

_enhanced = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\b").match


def is_outage(phase: SmtpPhase, code: int) -> bool:
    """Whether the server accepts no mail at all, rather than not this one."""
    return code == CLOSING or phase == "connect" or (phase == "login" and code < 500)


def read(phase: SmtpPhase, code: int, text: str) -> Outcome:
    """The outcome of a mail that the server refused with this reply."""
    reason = _reason(code, text)
    if not 500 <= code < 600:
        # Temporary, or not a reply of SMTP at all: a retry may succeed.
        return Outcome(Kind.LATER, reason)
    if code in _LOGIN_REPLIES or phase in ("login", "sender"):
        # The server has not seen the recipient yet, so this is about us.
        return Outcome(Kind.CREDENTIALS, reason)
    if phase == "recipient":
        return _recipient(code, text, reason)
    return Outcome(Kind.REFUSED, reason)


def _recipient(code: int, text: str, reason: str) -> Outcome:
    """Only an enhanced code that means "no such mailbox" disables a device.

    A bare 550 is also the reply of a spam filter, or of a relay we may not use.
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
    return f"{code} {one_line(text)[:LONGEST_REASON]}".strip()
