"""Builds the WSGI environ (PEP 3333) from granian's request."""

import sys
from functools import lru_cache
from typing import IO, Any

BASE: dict[str, Any] = {
    "SCRIPT_NAME": "",
    "SERVER_SOFTWARE": "granian",
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    # A truncated body raises OSError; other hosts may report a normal end.
    "bottlepost.reports_truncation": True,
    "wsgi.multiprocess": False,
    "wsgi.multithread": True,
    "wsgi.run_once": False,
    "wsgi.version": (1, 0),
}


def build(scope: Any, body: IO[bytes], length: int | None) -> dict[str, Any]:
    """`length` is None if the length of the body is unknown."""
    environ = BASE.copy()
    environ["REQUEST_METHOD"] = scope.method
    # Granian has decoded the path, and replaced invalid UTF-8 by U+FFFD.
    environ["PATH_INFO"] = scope.path.encode().decode("latin-1")
    environ["QUERY_STRING"] = scope.query_string
    environ["SERVER_NAME"], environ["SERVER_PORT"] = split(scope.server)
    environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = split(scope.client)
    version = scope.http_version
    environ["SERVER_PROTOCOL"] = "HTTP/1.0" if version == "1" else f"HTTP/{version}"
    environ["wsgi.url_scheme"] = scope.scheme
    environ["wsgi.input"] = body
    for name, value in scope.headers.items():
        if key := _key(name):
            earlier = environ.get(key)
            separator = "; " if key == "HTTP_COOKIE" else ","
            environ[key] = value if earlier is None else f"{earlier}{separator}{value}"
    if length is not None:
        environ["CONTENT_LENGTH"] = str(length)
    return environ


def split(address: str) -> tuple[str, str]:
    """Host and port of an address such as 127.0.0.1:8080 or [::1]:8080."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), port


@lru_cache(1024)
def _key(name: str) -> str:
    """A header's key in the environ; empty for headers that are left out."""
    # X_A and X-A would get the same key, and a proxy in front may check only one.
    if "_" in name or name in ("content-length", "transfer-encoding"):
        return ""
    if name == "content-type":
        return "CONTENT_TYPE"
    return "HTTP_" + name.upper().replace("-", "_")
