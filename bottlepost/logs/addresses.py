"""The address of a request, as an access log may show it."""

import re
from urllib.parse import parse_qsl, quote

from bottlepost.logs import safe

# Where the WSGI environ has it, for the access logs of other hosts.
ENVIRON = "bottlepost.path"
_is_plain_path = re.compile(r"[A-Za-z0-9/._-]{1,60}").fullmatch
# Longer than the words in our addresses, and shorter than a token.
_SECRET = re.compile(r"[^/]{25,}|[^/]*@[^/]*")
# What a query may show: numbers, and words that we know.
_is_known = re.compile(r"[0-9]{1,18}|true|false|hour|day|v[0-9]{1,3}").fullmatch
HIDDEN = "…"


def shown(path: str, query: str) -> str:
    """An address without what may be a token, a mail address or a text."""
    is_plain = _is_plain_path(path)
    path = _SECRET.sub(HIDDEN, safe.without_secrets(path))
    if not is_plain:
        # What the server has decoded may be a line break.
        path = quote(path, safe="/@:~!$&'()*+,;=").replace(quote(HIDDEN), HIDDEN)
    if not query:
        return path
    pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=None)
    return path + "?" + "&".join(f"{_name(n)}={_value(v)}" for n, v in pairs[:20])


def _name(name: str) -> str:
    name = safe.without_secrets(name)
    return name if re.fullmatch(r"[A-Za-z_]{1,24}", name) else HIDDEN


def _value(value: str) -> str:
    return value if _is_known(value) else HIDDEN
