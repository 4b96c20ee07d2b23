"""Fault tokens by name."""

import pytest

from sandbox import faults
from sandbox.apple import apns_errors
from sandbox.browsers import manners
from sandbox.faults import AttemptCounter, Fault
from sandbox.google import fcm_errors


@pytest.mark.parametrize("name", faults.NAMES)
def test_name_stands_alone_or_before_a_hyphen(name: str) -> None:
    assert faults.parse(name) == Fault(name)
    assert faults.parse(f"{name}-anns-phone") == Fault(name)
    assert faults.parse(f"{name}x") != Fault(name)


def test_longer_name_wins() -> None:
    assert faults.parse("unregistered-old-1") == Fault("unregistered-old")
    assert faults.parse("503-after") == Fault("503-after")


def test_numbers_and_reasons_are_read() -> None:
    assert faults.parse("flaky-12-x") == Fault("flaky", times=12)
    assert faults.parse("once-cut-x") == Fault("cut", once=True)
    assert faults.parse("answer-403-Forbidden-x") == Fault(
        "answer", status=403, reason="Forbidden"
    )


@pytest.mark.parametrize(
    "text", ["", "c0ffee", "flaky", "flaky-x", "answer-99", "once-"]
)
def test_other_tokens_ask_for_no_fault(text: str) -> None:
    assert faults.parse(text) is None


@pytest.mark.parametrize("name", sorted({*faults.NAMES, "flaky"}))
def test_every_name_has_its_answer_at_every_provider(name: str) -> None:
    if {name} & {*faults.WIRE_FAULTS, *faults.ACCEPTING, *faults.GARBAGE}:
        assert name not in apns_errors.ERRORS
        assert name not in fcm_errors.ERRORS
        assert name not in manners.FAULTS
    else:
        assert name in apns_errors.ERRORS
        assert name in manners.FAULTS
        assert fcm_errors.for_fault(Fault(name), ()).status >= 400


def test_attempts_are_counted_for_each_token() -> None:
    attempts = AttemptCounter()
    flaky = Fault("flaky", times=2)

    seen = [attempts.fails("a", flaky) for _ in range(3)]

    assert seen == [True, True, False]
    assert attempts.fails("b", flaky)


def test_plain_fault_never_ends() -> None:
    attempts = AttemptCounter()

    assert all(attempts.fails("a", Fault("503")) for _ in range(5))
