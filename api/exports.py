"""The handler that exports all that is stored about a user."""

import json
from collections.abc import Iterator
from functools import partial

from api.context import LineStream, RequestContext, Result
from datastore import accounts, exports, outages
from datastore.exports import Key, Page, Part
from models.base import utc_now, utc_text
from models.errors import NotFound


def export(context: RequestContext, user_id: int) -> Result[LineStream]:
    """Export all that is stored about a user, as JSON lines.

    The first field of each line is its `type`: user, token, device, membership,
    departure, message or push_failure. The last line has the type `end` and the number
    of the others: without it, the response was cut off. Users may export themselves
    only.
    """
    if context.caller is not None and context.caller.id != user_id:
        raise NotFound(accounts.NO_USER)
    with context.store.read() as session:
        accounts.find_user(session, user_id)
    return Result(200, LineStream(_lines(context, user_id)))


def _lines(context: RequestContext, user_id: int) -> Iterator[bytes]:
    count = 0
    for records in exports.pages(partial(_read, context, user_id)):
        count += len(records)
        yield b"".join(_line(record) for record in records)
    yield _line({"type": "end", "lines": count, "at": utc_now()})


def _read(context: RequestContext, user_id: int, part: Part, key: Key) -> Page:
    """A page, within the limit of requests: the client may take its time after it."""

    def read() -> Page:
        with context.store.read() as session:
            # Who is deleted meanwhile gets no end.
            accounts.find_user(session, user_id)
            return part(session, user_id, key)

    with context.app.limit("GET"):
        return outages.retrying(read)


def _line(record: exports.Record) -> bytes:
    text = json.dumps(record, ensure_ascii=False, default=utc_text)
    return text.encode() + b"\n"
