"""The id of a request: the client's, or a new one."""

import os
import re

HEADER = "X-Request-Id"
# Where the WSGI environ has it.
ENVIRON = "bottlepost.request_id"
# … and, while requests are traced, the context that their jobs go on from.
TRACEPARENT = "bottlepost.traceparent"
LONGEST = 64
_is_id = re.compile(rf"[A-Za-z0-9._-]{{1,{LONGEST}}}").fullmatch


def of(header: str | None) -> str:
    """The id in a request's header if it is a good one, else a new one."""
    if header is not None and _is_id(header):
        return header
    return os.urandom(8).hex()
