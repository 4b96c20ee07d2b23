"""The SMTP server of a URL: smtp://user:password@host:port or smtps://…"""

import ipaddress
from email.headerregistry import Address
from email.policy import SMTP
from typing import Literal, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

Security = Literal["tls", "starttls", "none"]
# RFC 8314: submission with TLS from the start, and by STARTTLS.
PORTS = {"smtps": 465, "smtp": 587}


class Server(NamedTuple):
    """The mail server that accepts our mails."""

    host: str
    port: int
    security: Security
    user: str | None
    password: str | None


def server(url: str) -> Server:
    """The server of the URL; ValueError says what is wrong and hides the password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in PORTS or parts.path.strip("/"):
        raise ValueError("must look like smtp://user:password@host:port or smtps://…")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    security = _security(parts.scheme, host, options.pop("tls", None))
    if options:
        raise ValueError(f"has an unknown option {min(options)!r}")
    if (parts.username is None) != (parts.password is None):
        raise ValueError("needs a user and a password, or neither")
    user, password = parts.username, parts.password
    return Server(
        host=host,
        port=port or PORTS[parts.scheme],
        security=security,
        user=None if user is None else unquote(user),
        password=None if password is None else unquote(password),
    )


def _security(scheme: str, host: str, wanted: str | None) -> Security:
    """TLS everywhere but on loopback, unless the URL says otherwise."""
    if scheme == "smtps":
        if wanted is not None:
            raise ValueError("cannot have ?tls= with smtps://, which always is TLS")
        return "tls"
    if wanted not in (None, "none", "starttls"):
        raise ValueError("may have ?tls=none or ?tls=starttls and nothing else")
    if wanted == "none" or (wanted is None and _is_loopback(host)):
        return "none"
    return "starttls"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def sender(text: str) -> Address:
    """The address in "Name <name@example.org>"; raises ValueError for another form."""
    if text.isprintable():
        header = SMTP.header_factory("From", text)
        addresses = [] if header.defects else list(header.addresses)
        if len(addresses) == 1 and _is_complete(addresses[0]):
            return Address(addresses[0].display_name, addr_spec=addresses[0].addr_spec)
    raise ValueError("must look like Name <name@example.org>")


def _is_complete(address: Address) -> bool:
    return bool(address.username and address.domain and address.addr_spec.isascii())
