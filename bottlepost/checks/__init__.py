"""What `bottlepost doctor` looks at: one file per part of the system."""

from typing import NamedTuple

OK, WARNING, WRONG = "ok", "warning", "wrong"


class Finding(NamedTuple):
    """One fact about the system; `remedy` says what helps, if it is not right."""

    state: str
    check: str
    finding: str
    remedy: str = ""


def ok(check: str, finding: str) -> Finding:
    return Finding(OK, check, finding)


def warning(check: str, finding: str, remedy: str) -> Finding:
    return Finding(WARNING, check, finding, remedy)


def wrong(check: str, finding: str, remedy: str) -> Finding:
    return Finding(WRONG, check, finding, remedy)
