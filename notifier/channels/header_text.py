"""Which texts may be the value of a header field."""

import re

_is_printable = re.compile(r"[!-~]+").fullmatch


def is_header_text(text: str) -> bool:
    """Printable ASCII without spaces, so that no value can begin another header."""
    return _is_printable(text) is not None
