"""Takes out of log lines what is secret or private: keys, tokens, addresses, texts.

Exceptions are the reason: a driver's error repeats the values of a row, a parser's the
text that it did not understand. So the message of an exception that is not ours loses
all that is quoted, and of a database's error only the first line is kept.
"""

import logging
import re
import traceback
from collections.abc import Collection, Iterator, Mapping
from types import TracebackType
from typing import Any

# The roots of the modules whose exceptions say only what we wrote.
_OWN = frozenset(
    ("api", "bottlepost", "config", "datastore", "host", "models", "notifier", "web")
)
LONGEST = 2000
# Of a group, and of a chain of causes.
MOST_EXCEPTIONS = 10
MORE = "…"
# Replaced in this order.
_PATTERNS = (
    # The user and the password in a URL.
    (re.compile(r"(?<=://)[^\s/@'\"]+@"), ""),
    # The path of a URL: that of a push subscription is its secret.
    (re.compile(r"(https?://[^\s/'\"<>?]+)[/?][^\s'\"<>]*"), rf"\1/{MORE}"),
    (re.compile(r"[^\s<>\"'@,;:()\[\]]+@[A-Za-z0-9.\[\]-]+"), f"{MORE}@{MORE}"),
    (re.compile(r"\b(bearer|basic|key)\s+[A-Za-z0-9._~+/=-]{8,}", re.I), rf"\1 {MORE}"),
    # Tokens of devices and users, keys, signatures: longer than any word of ours.
    (re.compile(r"(?:[A-Za-z0-9_-]{8,}[:.])?[A-Za-z0-9_+=-]{32,}"), MORE),
)
_QUOTED = re.compile(r"(['\"`]).*\1", re.S)
_secrets: re.Pattern[str] | None = None
# A shorter one would be found inside of words.
SHORTEST_SECRET = 6


def hide(secrets: Collection[str]) -> None:
    """Never write these values, wherever they come from."""
    global _secrets  # noqa: PLW0603 - the log is the process's
    found = sorted({s for s in secrets if len(s) >= SHORTEST_SECRET}, key=len)
    pattern = "|".join(re.escape(secret) for secret in reversed(found))
    _secrets = re.compile(pattern) if found else None


def without_secrets(text: str) -> str:
    """The text without the values that `hide` has been told."""
    return text if _secrets is None else _secrets.sub(MORE, text)


def scrub(text: str) -> str:
    """The text without what looks like a secret or an address."""
    text = without_secrets(text)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def message(record: logging.LogRecord) -> str:
    """The message of a record; exceptions among its values are made safe, too."""
    given: Any = record.args
    if isinstance(given, Mapping):
        given = {name: _safe(value) for name, value in given.items()}
    elif isinstance(given, tuple):
        given = tuple(map(_safe, given))
    text = str(_safe(record.msg))
    try:
        text = text % given if given else text
    except (TypeError, ValueError):
        # A wrong call is told apart by its template.
        text = f"{text} (with other values)"
    return scrub(text)


def _safe(value: Any) -> Any:
    return reason(value) if isinstance(value, BaseException) else value


def reason(problem: BaseException) -> str:
    """What an exception says, without the values it may repeat."""
    text = str(problem)
    if _is_databases(problem):
        orig = getattr(problem, "orig", None)
        text = str(problem if orig is None else orig)
        # Behind it come the statement, the values of the row or of the parameters.
        text = text.strip().partition("\n")[0]
    elif isinstance(problem, OSError) and problem.strerror:
        text = f"[{type(problem).__name__} {problem.errno}] {problem.strerror}"
    elif _root(problem) in _OWN:
        return scrub(text)[:LONGEST]
    return scrub(_QUOTED.sub(MORE, text))[:LONGEST]


def trace(problem: BaseException) -> str:
    """The traceback, with the safe text of each exception."""
    return "\n".join(_lines(problem, set()))


def _lines(problem: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(problem))
    before = problem.__cause__
    if before is None and not problem.__suppress_context__:
        before = problem.__context__
    if before is not None and id(before) not in seen and len(seen) < MOST_EXCEPTIONS:
        yield from _lines(before, seen)
        yield "… and then:"
    yield "Traceback (most recent call last):"
    yield from _frames(problem.__traceback__)
    kind = type(problem)
    yield f"{kind.__module__}.{kind.__qualname__}: {reason(problem)}"
    if isinstance(problem, BaseExceptionGroup):
        for each in problem.exceptions:
            if id(each) not in seen and len(seen) < MOST_EXCEPTIONS:
                yield from (f"  | {line}" for line in _lines(each, seen))


def _frames(found: TracebackType | None) -> Iterator[str]:
    for text in traceback.format_tb(found):
        # Lines of code, which hold no values.
        yield from text.rstrip().splitlines()


def _is_databases(problem: BaseException) -> bool:
    roots = {cls.__module__.partition(".")[0] for cls in type(problem).__mro__}
    return bool(roots & {"sqlalchemy", "psycopg", "sqlite3", "pymysql"})


def _root(problem: BaseException) -> str:
    return type(problem).__module__.partition(".")[0]
