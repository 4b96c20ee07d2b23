"""Replies of SMTP servers, and what each is about."""

import pytest

from notifier.channels.email import outcomes
from notifier.channels.email.outcomes import SmtpPhase
from notifier.outcome import Kind


@pytest.mark.parametrize(
    ("phase", "code", "text", "kind"),
    [
        ("recipient", 550, "5.1.1 no such user", Kind.GONE),
        ("recipient", 550, "5.1.10 takes no mail", Kind.GONE),
        ("recipient", 551, "5.1.6 has moved", Kind.GONE),
        ("recipient", 550, "5.2.1 mailbox disabled", Kind.SUSPECT),
        ("recipient", 550, "no such user", Kind.SUSPECT),
        ("recipient", 551, "try elsewhere", Kind.SUSPECT),
        ("recipient", 553, "5.1.3 odd address", Kind.SUSPECT),
        ("recipient", 550, "5.7.1 blocked by policy", Kind.REFUSED),
        ("recipient", 550, "5.7.1 relaying denied", Kind.CREDENTIALS),
        ("recipient", 554, "5.7.1 <a@b.c>: Relay access denied", Kind.CREDENTIALS),
        ("recipient", 550, "5.7.54 unable to relay", Kind.CREDENTIALS),
        ("recipient", 550, "5.7.26 not authenticated", Kind.CREDENTIALS),
        ("recipient", 504, "5.5.2 <host>: Helo command rejected", Kind.CREDENTIALS),
        ("recipient", 553, "5.7.1 Sender address rejected", Kind.CREDENTIALS),
        ("recipient", 550, "5.2.253 throttled", Kind.LATER),
        ("data", 554, "5.2.252 SendAsDenied; not allowed", Kind.CREDENTIALS),
        ("data", 554, "Email address is not verified.", Kind.CREDENTIALS),
        ("data", 550, "5.7.515 Access denied", Kind.CREDENTIALS),
        ("data", 550, "5.4.5 Daily user sending limit exceeded", Kind.LATER),
        ("recipient", 552, "5.2.2 mailbox full", Kind.REFUSED),
        ("recipient", 554, "no", Kind.REFUSED),
        ("recipient", 530, "5.7.0 must authenticate", Kind.CREDENTIALS),
        ("recipient", 450, "4.2.0 greylisted", Kind.LATER),
        ("recipient", 452, "4.5.3 too many", Kind.LATER),
        ("data", 550, "5.1.1 no such user", Kind.REFUSED),
        ("data", 554, "5.6.0 bad content", Kind.REFUSED),
        ("data", 451, "4.3.0 try again", Kind.LATER),
        ("sender", 550, "5.7.60 may not send as", Kind.CREDENTIALS),
        ("sender", 452, "4.3.1 disk full", Kind.LATER),
        ("login", 535, "5.7.8 wrong password", Kind.CREDENTIALS),
        ("login", 534, "5.7.9 mechanism too weak", Kind.CREDENTIALS),
        ("data", 354, "go ahead?", Kind.LATER),
        ("data", 999, "what?", Kind.LATER),
    ],
)
def test_a_refusal_is_about_the_right_party(
    phase: SmtpPhase, code: int, text: str, kind: Kind
) -> None:
    assert outcomes.read(phase, code, text).kind is kind


@pytest.mark.parametrize(
    ("phase", "code", "expected"),
    [
        ("connect", 554, True),
        ("connect", 421, True),
        ("login", 454, True),
        ("login", 535, False),
        ("sender", 421, True),
        ("recipient", 421, True),
        ("recipient", 450, False),
        ("data", 451, False),
    ],
)
def test_a_server_that_accepts_no_mail_at_all_is_an_outage(
    phase: SmtpPhase, code: int, expected: bool
) -> None:
    assert outcomes.is_outage(phase, code) is expected


def test_the_reason_is_short_and_on_one_line() -> None:
    outcome = outcomes.read("data", 554, "no\n\x1b[31m" + "x" * 999)

    assert outcome.reason == ("554 no [31m" + "x" * 999)[: 4 + 150]
