"""The address by which clients know this server: scheme, host, and a path in front.

WSGI has a place for each of them in the environ (`wsgi.url_scheme`, HTTP_HOST and
SCRIPT_NAME), so whatever reads these is right behind a proxy, too.
"""

import re
from typing import Any
from urllib.parse import urlsplit

from api.client_address import ClientAddresses, elements, listed

SCHEMES = {"http": "80", "https": "443"}
# What stands in a header of ours, in a cookie and in a page: no second slash, because
# "//name" is another host, and no "." or ".." as a part.
is_prefix = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)+", re.ASCII).fullmatch
_LONGEST_PREFIX = 300
_host_parts = re.compile(
    r"([a-z0-9_][a-z0-9._-]{0,252}|\[[0-9a-f:.]{2,45}\])(:(?P<port>[0-9]{1,5}))?"
).fullmatch


class ForwardedRequests:
    """Writes into an environ what a trusted proxy tells, and BOTTLEPOST_PUBLIC_URL.

    What is malformed is ignored, and so is a value that X-Forwarded-… and Forwarded
    tell differently: a proxy writes one of them, and may pass on the other one as the
    client has sent it.
    """

    def __init__(
        self, addresses: ClientAddresses, public_url: str | None = None
    ) -> None:
        self._addresses = addresses
        public = urlsplit(public_url or "")
        self._public_scheme = public.scheme
        self._public_prefix = None if public_url is None else public.path.rstrip("/")

    def apply(self, environ: dict[str, Any]) -> None:
        """Change the environ of a request before the application sees it."""
        peer = environ.get("REMOTE_ADDR") or ""
        prefix = ""
        if self._addresses.is_proxy(peer):
            prefix = self._believe(environ, peer)
        if self._public_prefix is not None:
            environ["wsgi.url_scheme"] = self._public_scheme
            prefix = self._public_prefix
        _mount(environ, prefix)

    def _believe(self, environ: dict[str, Any], peer: str) -> str:
        """Take over scheme and host from a proxy's headers; returns the prefix."""
        hops = self._addresses.hops(peer, listed(environ.get("HTTP_X_FORWARDED_FOR")))
        told = elements(environ.get("HTTP_FORWARDED", ""))
        seen = self._addresses.hops(peer, [each.get("for", "") for each in told])
        standard = told[-min(seen, len(told))] if told else {}

        def header(name: str) -> list[str]:
            return listed(environ.get(f"HTTP_X_FORWARDED_{name}"))[-hops:]

        scheme = _agreed(_scheme(header("PROTO")[:1]), _scheme([standard.get("proto")]))
        if scheme:
            environ["wsgi.url_scheme"] = scheme
        host = _agreed(_host(header("HOST")[:1]), _host([standard.get("host")]))
        port = "".join(header("PORT")[:1])
        if host or _is_port(port):
            known = host or environ.get("HTTP_HOST", "")
            environ["HTTP_HOST"] = _with_port(
                known, port, environ.get("wsgi.url_scheme", "http")
            )
        return _prefix(header("PREFIX"))


def _agreed(one: str, other: str) -> str:
    """What is told; empty if two headers differ."""
    return (one or other) if not (one and other) or one == other else ""


def _scheme(found: list[Any]) -> str:
    scheme = "".join(filter(None, found)).lower()
    return scheme if scheme in SCHEMES else ""


def _host(found: list[Any]) -> str:
    host = "".join(filter(None, found)).lower()
    parts = _host_parts(host)
    return host if parts and (parts["port"] is None or _is_port(parts["port"])) else ""


def _is_port(port: str) -> bool:
    return port.isascii() and port.isdigit() and 0 < int(port[:6]) <= 65535


def _with_port(host: str, port: str, scheme: str) -> str:
    """The host with a port that it does not name itself, unless it is the usual one."""
    has_port = ":" in host.rpartition("]")[2]
    if not host or has_port or not _is_port(port) or port == SCHEMES.get(scheme):
        return host
    return f"{host}:{port}"


def _prefix(found: list[str]) -> str:
    """The parts that the proxies have removed, the outermost first."""
    prefix = "".join(part.rstrip("/") for part in found)
    return prefix if is_prefix(prefix) and len(prefix) <= _LONGEST_PREFIX else ""


def _mount(environ: dict[str, Any], prefix: str) -> None:
    """Move the prefix from the path to SCRIPT_NAME.

    Proxies remove it from the path, or leave it there; and the host may have a mount
    point of its own, which may be the same one.
    """
    own = environ.get("SCRIPT_NAME", "").rstrip("/")
    if own and not is_prefix(own):
        own = ""
    if prefix and not f"{own}/".startswith(f"{prefix}/"):
        path = environ.get("PATH_INFO", "")
        if f"{path}/".startswith(f"{prefix}/"):
            environ["PATH_INFO"] = path[len(prefix) :] or "/"
        own = prefix + own
    environ["SCRIPT_NAME"] = own
