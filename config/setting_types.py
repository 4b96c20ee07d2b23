"""Types of settings: each makes a value from the text of a variable, or refuses it.

A refusal is a ValueError, whose message follows the variable's name. It repeats the
text, unless this may contain a password.
"""

import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from config import catalogue

# Printable ASCII without what would end it inside a header.
_is_contact = re.compile(r"(mailto:[^@\s<>,]+@|https://)[!-;=?-~]+", re.ASCII).fullmatch
_PRIVATE_NAMES = (".localhost", ".local", ".invalid", ".test", ".internal")
# Printable ASCII, without a user, a query or a fragment, and nothing that would end it
# inside a header or a page. Mails have it on one line.
_is_public_url = re.compile(
    r"https?://[A-Za-z0-9.\-:\[\]]+(/[A-Za-z0-9._~%!$&'*+;=:@/-]{0,300})?"
).fullmatch
# Apps in a web view have schemes of their own (capacitor://localhost).
_is_origin = re.compile(
    r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?",
    re.ASCII | re.IGNORECASE,
).fullmatch
_is_full_name = re.compile(
    r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*|\[[0-9a-f:.]+\]", re.IGNORECASE
).fullmatch
_is_host = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?").fullmatch


class TextReader:
    """Calls `read` with the text of a variable, before pydantic checks the type.

    Like pydantic's BeforeValidator, but pydantic is imported only to read settings: a
    PushProcess gets them read, and saves its memory.
    """

    def __init__(self, read: Callable[[str], Any]) -> None:
        self._read = read

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema  # noqa: PLC0415

        return core_schema.no_info_before_validator_function(
            self._read, handler(source)
        )


def one_of(*choices: str) -> TextReader:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return text

    return TextReader(read)


def secret(*, shortest: int) -> TextReader:
    def read(text: str) -> str:
        return _long_enough(text, shortest)

    return TextReader(read)


def bearer(*, shortest: int) -> TextReader:
    """A secret that callers send in the header Authorization."""

    def read(text: str) -> str:
        # A mark at the begin of a file, two lines: no caller could send that.
        if not text.isascii() or not text.isprintable():
            raise ValueError(
                "has characters that no header can have: take printable ASCII, on one"
                " line (openssl rand -hex 24)"
            )
        return _long_enough(text, shortest)

    return TextReader(read)


def _long_enough(text: str, shortest: int) -> str:
    if len(text) < shortest:
        raise ValueError(f"is too short: at least {shortest} characters")
    return text


def whole(low: int, high: int) -> TextReader:
    """A whole number from `low` to `high`."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise ValueError(f"must be a whole number, not {text!r}") from None
        if not low <= number <= high:
            raise ValueError(f"must be from {low} to {high}, not {number}")
        return number

    return TextReader(read)


def seconds(low: float) -> TextReader:
    """A number of seconds, from `low` to a day."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            raise ValueError(f"must be a number of seconds, not {text!r}") from None
        # The upper bound refuses infinity and "nan" too, which no comparison passes.
        if not low <= number <= 86_400:
            raise ValueError(f"must be from {low:g} to 86400, not {text}")
        return number

    return TextReader(read)


def url(*schemes: str) -> TextReader:
    def read(text: str) -> str:
        if _split(text).scheme not in schemes:
            raise ValueError(f"must begin with {'://, '.join(schemes)}://")
        return text

    return TextReader(read)


def text_for(parse: Callable[[str], Any]) -> TextReader:
    """A text that stays as it is, but that `parse` must accept."""

    def read(text: str) -> str:
        parse(text)
        return text

    return TextReader(read)


def _split(text: str) -> SplitResult:
    """The parts of a URL; all are empty if the text is no URL, such as `http://[`."""
    try:
        return urlsplit(text)
    except ValueError:
        return urlsplit("")


def _https_url(text: str) -> str:
    parts = _split(text)
    if parts.scheme != "https" or not parts.hostname or parts.path.strip("/"):
        raise ValueError(f"must look like https://host:port, not {text!r}")
    return text.rstrip("/")


def _public_url(text: str) -> str:
    """Where a proxy reaches us; a path is what the proxy removes."""
    example = "https://chat.example.org or https://example.org/chat"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not host or port == 0 or not _is_public_url(text):
        raise ValueError(f"must look like {example}, not {text!r}")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ValueError("must begin with https://: http:// is for loopback only")
    if "//" in parts.path:
        raise ValueError(f"must not have two slashes in a row in its path: {text!r}")
    return text.rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _proxy(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_one = parts.scheme == "http" and parts.hostname and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one or parts.path.strip("/") or parts.query:
        raise ValueError("must look like http://user:password@host:port")
    return text


def _host_port(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"must look like host:port, not {text!r}")
    return text


def _contact(text: str) -> str:
    if not _is_contact(text):
        raise ValueError(
            f"must look like mailto:name@example.org or https://…, not {text!r}"
        )
    return text


def _public_contact(text: str) -> str:
    """A contact at a name that Apple takes: it refuses those of private networks."""
    _contact(text)
    is_mail = text.startswith("mailto:")
    place = text.rpartition("@")[2] if is_mail else urlsplit(text).hostname or ""
    host = place.partition("?")[0].rstrip(".").lower()
    if "." not in host or host.endswith(_PRIVATE_NAMES):
        raise ValueError(f"must be at a public host name, not at {host!r}")
    return text


def _host_name(text: str) -> str:
    if not _is_full_name(text):
        raise ValueError(f"must be a full host name (mail.example.org), not {text!r}")
    return text


def _hosts(text: str) -> tuple[str, ...]:
    hosts = [host for part in text.split(",") if (host := part.strip().lower())]
    for host in hosts:
        if not _is_host(host):
            raise ValueError(f"must be host or host:port, not {host!r}")
    return tuple(hosts)


def _proxies(text: str) -> tuple[str, ...]:
    """Addresses and networks, and `unix` for whoever may connect to a Unix socket."""
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        if part == "unix":
            found.append(part)
            continue
        try:
            network = ip_network(part)
        except ValueError:
            raise ValueError(
                "must be addresses or networks of your proxies (127.0.0.1, "
                f"10.0.0.0/8), or unix, not {part!r}"
            ) from None
        if not network.prefixlen:
            raise ValueError(
                f"trusts everybody with {part}, so any client could claim any address: "
                "name your proxies only"
            )
        found.append(str(network))
    return tuple(found)


def _origins(text: str) -> tuple[str, ...]:
    """Origins as browsers send them, or `*` alone."""
    parts = [part for each in text.split(",") if (part := each.strip())]
    if "*" in parts and len(parts) > 1:
        raise ValueError("names origins beside *, which is all of them: choose one")
    return tuple(part if part == "*" else _origin(part) for part in parts)


def _origin(text: str) -> str:
    if "*" in text:
        raise ValueError(f"has a pattern, {text!r}: name each origin, or * for all")
    parts = _split(text)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if not _is_origin(text) or port == 0:
        raise ValueError(
            f"must be origins such as https://app.example.org or * and not {text!r}: "
            "scheme, host and port, without a path"
        )
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    host = text.lower()
    # Browsers leave the usual port out.
    return host.rpartition(":")[0] if port == usual and port else host


def _file(text: str) -> Path:
    path = Path(text)
    if path.exists() and not path.is_file():
        # A pipe gives its content once at best, and some devices have no end.
        raise ValueError(f"is no file: {path}")
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as problem:
        raise ValueError(f"cannot be read: {problem}") from None
    return path.resolve()


def _path(text: str) -> Path:
    return Path(text).resolve()


def _directory(text: str) -> Path:
    path = _path(text)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise ValueError(f"cannot be created: {problem}") from None
    return path


def _catalogue(text: str) -> Path:
    path = _path(text)
    catalogue.check(path)
    return path


def content(path: str) -> str:
    """The text of the file, without spaces and line ends around it."""
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise ValueError(f"cannot be read: {problem}") from None


HttpsUrl = Annotated[str, TextReader(_https_url)]
ProxyUrl = Annotated[str, TextReader(_proxy)]
HostPort = Annotated[str, TextReader(_host_port)]
# Where browsers and mail programs reach us.
PublicUrl = Annotated[str, TextReader(_public_url)]
# A host with its domain, or an address in brackets, as EHLO wants it.
HostName = Annotated[str, TextReader(_host_name)]
# A mailto: or https: URL where the operator or a form can be reached.
Contact = Annotated[str, TextReader(_contact)]
PublicContact = Annotated[str, TextReader(_public_contact)]
# Hosts or host:port pairs with commas between them, in lower case.
Hosts = Annotated[tuple[str, ...], TextReader(_hosts)]
# Addresses and networks with commas between them.
Proxies = Annotated[tuple[str, ...], TextReader(_proxies)]
# Origins with commas between them, in lower case, or `*`.
Origins = Annotated[tuple[str, ...], TextReader(_origins)]
# A file that must be there and be readable.
File = Annotated[Path, TextReader(_file)]
# A file that may be created later.
LaterFile = Annotated[Path, TextReader(_path)]
# A directory with texts in several languages.
Catalogue = Annotated[Path, TextReader(_catalogue)]
# A directory, which is created for its owner only.
Directory = Annotated[Path, TextReader(_directory)]
