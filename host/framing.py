"""Requests that a proxy in front may have understood otherwise than we would.

The web server itself refuses folded and malformed header lines, and lengths that are no
numbers or differ. With both a length and chunks it goes by the chunks, and closes the
connection afterwards. It takes a bare LF for a line's end, and shows us neither.
"""

import re
from typing import Any

# A name, an IPv4 address, or an IPv6 address in brackets; and a port.
_is_host = re.compile(
    r"([A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-fv:.]+\])(:[0-9]*)?"
).fullmatch


def problem(scope: Any) -> str | None:
    """What is wrong with a request's head; None for one that all understand alike."""
    headers = scope.headers
    hosts = headers.get_all("host")
    if len(hosts) != 1:
        if hosts or scope.http_version == "1.1":
            return "The request needs exactly one Host."
    elif not _is_host(hosts[0]):
        return "The Host is not valid."
    elif scope.authority is not None and scope.authority.lower() != hosts[0].lower():
        return "The address names another host than the Host."
    if "transfer-encoding" in headers:
        encodings = [each.lower() for each in headers.get_all("transfer-encoding")]
        if encodings != ["chunked"]:
            return "The only Transfer-Encoding here is chunked."
    return None
