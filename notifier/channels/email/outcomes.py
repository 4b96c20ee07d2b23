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
# About our login, and 504: the name in our EHLO, or in an address, has no domain.
_REPLIES_ABOUT_US = frozenset({504, 530, 534, 535, 538})

# Replies about us, whatever recipient was named: our EHLO name, our sender, our login,
# our domain's records, or that we may not send through this server. The codes are
# Microsoft's (SendAsDenied, relaying, login methods, sender records) and Google's.
_is_about_us = re.compile(
    r"5\.7\.(3|26|30|54|60|515)\b|5\.2\.252\b|SendAsDenied|\b(he|eh)lo\b"
    r"|\brelay(ing)?\b|not verified|not owned by|sender address (was )?rejected"
    r"|authenticat(e|ed|ion) (first|required|needed)|must (first )?authenticate"
    r"|not (allowed|permitted|authori[sz]ed) to send|may not send",
    re.IGNORECASE,
).search
# Throttles that heal by themselves, although they are told as final: Microsoft's of a
# mailbox, and the day's limit of Google.
_is_throttle = re.compile(r"5\.2\.25[134]\b|5\.4\.5\b").search

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
    if _is_throttle(text):
        return Outcome(Kind.LATER, reason)
    # Before RCPT the server has not seen the recipient, so that is about us, too.
    is_ours = code in _REPLIES_ABOUT_US or phase in ("login", "sender")
    if is_ours or _is_about_us(text):
        return Outcome(Kind.CREDENTIALS, reason)
    if phase == "recipient":
        return _recipient(code, text, reason)
    return Outcome(Kind.REFUSED, reason)


def _recipient(code: int, text: str, reason: str) -> Outcome:
    """Only an enhanced code that means "no such mailbox" disables a device.

    A bare 550 is also the reply of a spam filter.
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
