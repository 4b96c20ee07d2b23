"""The two formats of a log line: text for people, JSON for collectors.

Both have the same fields in the same order. A line break inside a message is escaped,
so a text that a client sends cannot look like a line of its own.
"""

import json
import logging
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from bottlepost.logs import context, safe

TEXT, JSON = FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")
# The attribute of a record that has further fields for JSON.
FIELDS = "bottlepost_fields"
# What no line may hold as it is, and what stands there in its place.
ESCAPED = {
    number: repr(chr(number))[1:-1]
    for number in (
        # What terminals and editors take for a line break, or for a command.
        *(*range(32), *range(0x7F, 0xA0), 0x2028, 0x2029),
        # What turns the text behind it around.
        *(0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),
    )
}


class Line(NamedTuple):
    """What a line tells."""

    created: float
    level: str
    logger: str
    message: str
    request_id: str | None
    job_id: int | None
    trace: str | None
    fields: Mapping[str, Any] | None


class Format(logging.Formatter, ABC):
    """Writes a record as a line, with what it is about."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        trace = None
        if record.exc_info and record.exc_info[1] is not None:
            trace = safe.trace(record.exc_info[1])
        elif record.stack_info:
            trace = safe.scrub(record.stack_info)
        job_id = getattr(record, context.JOB, context.job_id.get())
        return self.line(
            record.created,
            record.levelname,
            record.name,
            safe.message(record),
            trace=trace,
            fields=getattr(record, FIELDS, None),
            request_id=context.request_id.get() or context.requests.get(job_id),
            job_id=job_id,
        )

    def line(
        self,
        created: float,
        level: str,
        logger: str,
        message: str,
        *,
        request_id: str | None,
        job_id: int | None = None,
        trace: str | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> str:
        """A line without its end."""
        line = Line(created, level, logger, message, request_id, job_id, trace, fields)
        return self._write(line)

    @abstractmethod
    def _write(self, line: Line) -> str: ...


class TextFormat(Format):
    """`TIME LEVEL PROCESS[PID] request=… job=… LOGGER: MESSAGE`."""

    def _write(self, line: Line) -> str:
        about = "" if line.request_id is None else f"request={line.request_id} "
        if line.job_id is not None:
            about += f"job={line.job_id} "
        process = f"{self._process}[{os.getpid()}]"
        message = line.message
        if not message.isprintable():
            message = message.translate(ESCAPED)
        text = (
            f"{stamp(line.created)} {line.level} {process}"
            f" {about}{line.logger}: {message}"
        )
        if line.trace is not None:
            text += "".join(f"\n    {each}" for each in line.trace.splitlines())
        return text


class JsonFormat(Format):
    """An object on one line."""

    def _write(self, line: Line) -> str:
        entry: dict[str, Any] = {
            "time": stamp(line.created),
            "level": line.level,
            "process": self._process,
            "pid": os.getpid(),
            "request_id": line.request_id,
            "job_id": line.job_id,
            "logger": line.logger,
            "message": line.message,
        }
        if line.trace is not None:
            entry["exception"] = line.trace
        if line.fields is not None:
            entry |= line.fields
        return json.dumps(entry, default=str)


def format_of(name: str, process: str) -> Format:
    return JsonFormat(process) if name == JSON else TextFormat(process)


def stamp(created: float) -> str:
    """ISO 8601 with milliseconds, in the zone of this host."""
    whole = int(created)
    moment, zone = _second(whole)
    return f"{moment}.{int((created - whole) * 1000):03d}{zone}"


@lru_cache(16)
def _second(whole: int) -> tuple[str, str]:
    there = time.localtime(whole)
    zone = time.strftime("%z", there)
    return time.strftime("%Y-%m-%dT%H:%M:%S", there), f"{zone[:3]}:{zone[3:]}"
