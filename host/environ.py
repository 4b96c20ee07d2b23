"""From a request as granian shows it to the environ of WSGI (PEP 3333)."""

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
    """`length` is None when nobody knows how long the body will be."""
    environ = BASE.copy()
    environ["REQUEST_METHOD"] = scope.method
    # Decoded by granian; what was no UTF-8 has become U+FFFD.
    environ["PATH_INFO"] = scope.path.encode().decode("latin-1")
    environ["QUERY_STRING"] = scope.query_string
    environ["SERVER_NAME"], environ["SERVER_PORT"] = _split(scope.server)
    environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = _split(scope.client)
    version = scope.http_version
    environ["SERVER_PROTOCOL"] = "HTTP/1.0" if version == "1" else f"HTTP/{version}"
    environ["wsgi.url_scheme"] = scope.scheme
    environ["wsgi.input"] = body
    for name, value in scope.headers.items():
        if key := _key(name):
            said = environ.get(key)
            between = "; " if key == "HTTP_COOKIE" else ","
            environ[key] = value if said is None else f"{said}{between}{value}"
    if length is not None:
        environ["CONTENT_LENGTH"] = str(length)
    return environ


def _split(address: str) -> tuple[str, str]:
    """127.0.0.1:8080 or [::1]:8080, in its two parts."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), port


@lru_cache(1024)
def _key(name: str) -> str:
    """What a header is called there; empty when it must not be seen there."""
    # X_A and X-A would be the same there, and a proxy in front may check only one.
    if "_" in name or name in ("content-length", "transfer-encoding"):
        return ""
    if name == "content-type":
        return "CONTENT_TYPE"
    return "HTTP_" + name.upper().replace("-", "_")
