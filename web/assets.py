"""Templates and static files, read once per process."""

import hashlib
import re
from functools import cache
from html import escape
from pathlib import Path
from typing import NamedTuple

from bottle import SimpleTemplate

HERE = Path(__file__).parent
VIEWS = HERE / "views"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}


class Asset(NamedTuple):
    """A static file; its version changes with its content."""

    content: bytes
    content_type: str
    version: str


@cache
def static_files() -> dict[str, Asset]:
    """All static files by name; no path from a request reaches the disk."""
    return {path.name: _asset(path) for path in (HERE / "static").iterdir()}


def address(name: str) -> str:
    """The address of a static file in its current version, which browsers may cache."""
    return f"/static/{name}?v={static_files()[name].version}"


# The beginning of an address of ours in a template. A quote in a value is escaped, so
# no value can contain this.
_ADDRESS = re.compile(r'(\s(?:href|src|action|formaction)=")/(?!/)')


def render(view: str, prefix: str = "", **values: object) -> bytes:
    """A rendered template; it escapes all values that are not marked as HTML.

    Templates write addresses from the root: `prefix` comes in front of them.
    """
    html: str = _template(view).render(address=address, **values)
    if prefix:
        start = escape(prefix)
        html = _ADDRESS.sub(lambda found: f"{found[1]}{start}/", html)
    return html.encode()


@cache
def _template(view: str) -> SimpleTemplate:
    return SimpleTemplate(name=f"{view}.html", lookup=[str(VIEWS)])


def _asset(path: Path) -> Asset:
    content = path.read_bytes()
    version = hashlib.sha256(content).hexdigest()[:12]
    return Asset(content, TYPES[path.suffix], version)
