"""The two formats of a log line."""

import json
import logging
import re
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest

from bottlepost.logs import context
from bottlepost.logs.lines import FIELDS, JsonFormat, TextFormat, format_of

LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d"
    r" (?P<level>[A-Z]+) web\[\d+\] (?P<about>(?:\w+=\S+ )*)(?P<logger>[\w.]+):"
    r" (?P<message>.*)"
)


def _record(message: str, *args: Any, **more: Any) -> logging.LogRecord:
    record = logging.LogRecord("api.jobs", 20, __file__, 1, message, args, None)
    record.__dict__.update(more)
    return record


@pytest.fixture
def about() -> Any:
    tokens = context.request_id.set("r-1"), context.job_id.set(7)
    yield
    context.request_id.reset(tokens[0])
    context.job_id.reset(tokens[1])


@pytest.mark.usefixtures("about")
def test_a_line_of_text_has_time_level_process_ids_and_message() -> None:
    line = TextFormat("web").format(_record("%d devices", 3))

    found = LINE.fullmatch(line)
    assert found is not None, line
    assert found["about"] == "request=r-1 job=7 "
    assert (found["level"], found["logger"]) == ("INFO", "api.jobs")
    assert found["message"] == "3 devices"


@pytest.mark.usefixtures("about")
def test_a_line_of_json_has_the_same_fields() -> None:
    record = _record("%d devices", 3, **{FIELDS: {"action": "prune"}})

    entry = json.loads(JsonFormat("web").format(record))

    assert re.search(r"\.\d{3}[+-]\d\d:\d\d$", entry.pop("time"))
    assert entry.pop("pid") > 0
    assert entry == {
        "level": "INFO",
        "process": "web",
        "request_id": "r-1",
        "job_id": 7,
        "logger": "api.jobs",
        "message": "3 devices",
        "action": "prune",
    }


@pytest.mark.parametrize("name", ["text", "json"])
@pytest.mark.parametrize(
    "forged", ["a\n2026-01-01T00:00:00", "a\r\x1b[2Jb", "a\u2028b"]
)
def test_no_message_makes_a_line_of_its_own(name: str, forged: str) -> None:
    line = format_of(name, "web").format(_record("said %s", forged))

    assert line.isprintable()


def test_whatever_controls_a_terminal_is_escaped() -> None:
    form = TextFormat("web")
    found = [
        each
        for each in map(chr, range(0x3000))
        if unicodedata.category(each) in ("Cc", "Zl", "Zp")
    ]

    lines = [form.line(0, "INFO", "api", each, request_id=None) for each in found]

    assert not [line for line in lines if not line.isprintable()]


@pytest.mark.parametrize("name", ["text", "json"])
def test_a_traceback_belongs_to_its_line(name: str) -> None:
    def fail(then: Callable[[], None]) -> None:
        raise ValueError("wrong") from KeyError("of before")

    record = _record("failed")
    try:
        fail(lambda: None)
    except ValueError as problem:
        record.exc_info = (type(problem), problem, problem.__traceback__)
    lines = format_of(name, "web").format(record).splitlines()

    assert "builtins.ValueError: wrong" in lines[-1]
    assert all(line.startswith("    ") for line in lines[1:])
    assert len(lines) == 1 or name == "text"
