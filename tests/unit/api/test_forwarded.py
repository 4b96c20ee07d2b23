"""What an environ says behind proxies, of which only some are trusted."""

from typing import Any

import pytest

from api.client_address import ClientAddresses
from api.forwarded import ForwardedRequests

TRUSTED = "10.0.0.1"
OUTER = "10.0.0.2"
STRANGER = "198.51.100.7"


def seen(
    peer: str = TRUSTED, public_url: str | None = None, **environ: str
) -> dict[str, Any]:
    """The environ that the application gets."""
    found: dict[str, Any] = {
        "REMOTE_ADDR": peer,
        "PATH_INFO": "/jobs/1",
        "HTTP_HOST": "inside:8080",
        "wsgi.url_scheme": "http",
        **environ,
    }
    addresses = ClientAddresses(("10.0.0.0/8",))
    ForwardedRequests(addresses, public_url).apply(found)
    return found


def address(found: dict[str, Any]) -> tuple[str, str, str, str]:
    names = "wsgi.url_scheme", "HTTP_HOST", "SCRIPT_NAME", "PATH_INFO"
    scheme, host, script, path = (found[name] for name in names)
    return scheme, host, script, path


PLAIN = ("http", "inside:8080", "", "/jobs/1")


def test_a_trusted_proxy_tells_the_address() -> None:
    found = seen(
        HTTP_X_FORWARDED_PROTO="https",
        HTTP_X_FORWARDED_HOST="Chat.example.org",
        HTTP_X_FORWARDED_PREFIX="/chat",
    )

    assert address(found) == ("https", "chat.example.org", "/chat", "/jobs/1")


def test_the_standard_header_tells_it_too() -> None:
    header = f'for={STRANGER};proto=https;host="chat.example.org:8443"'

    assert address(seen(HTTP_FORWARDED=header))[:2] == (
        "https",
        "chat.example.org:8443",
    )


@pytest.mark.parametrize("peer", [STRANGER, ""])
def test_nobody_else_tells_anything(peer: str) -> None:
    found = seen(
        peer,
        HTTP_X_FORWARDED_PROTO="https",
        HTTP_X_FORWARDED_HOST="evil.example",
        HTTP_X_FORWARDED_PORT="444",
        HTTP_X_FORWARDED_PREFIX="/evil",
        HTTP_FORWARDED="proto=https;host=evil.example",
    )

    assert address(found) == PLAIN


@pytest.mark.parametrize(
    "headers",
    [
        {"PROTO": "javascript"},
        {"PROTO": "https\r\nX: y"},
        {"HOST": "evil.example/path"},
        {"HOST": "user@evil.example"},
        {"HOST": "evil.example:0"},
        {"HOST": "evil.example:99999"},
        {"HOST": "[::1"},
        {"HOST": "a b"},
        {"HOST": "a\r\nSet-Cookie: x"},
        {"HOST": ""},
        {"PORT": "0"},
        {"PORT": "443x"},
        {"PORT": "-1"},
        {"PREFIX": "//evil.example"},
        {"PREFIX": "/\\evil.example"},
        {"PREFIX": "/../admin"},
        {"PREFIX": "/a/./b"},
        {"PREFIX": "/a//b"},
        {"PREFIX": "chat"},
        {"PREFIX": '/"><script>'},
        {"PREFIX": "/a;Domain=evil.example"},
        {"PREFIX": "/" + "a" * 400},
        {"PREFIX": "https://evil.example"},
        {"PREFIX": "/"},
    ],
)
def test_what_is_malformed_is_ignored(headers: dict[str, str]) -> None:
    found = seen(**{f"HTTP_X_FORWARDED_{name}": text for name, text in headers.items()})

    assert address(found) == PLAIN


def test_headers_that_differ_are_ignored() -> None:
    found = seen(
        HTTP_X_FORWARDED_PROTO="https",
        HTTP_X_FORWARDED_HOST="chat.example.org",
        HTTP_FORWARDED="proto=http;host=evil.example",
    )

    assert address(found) == PLAIN


@pytest.mark.parametrize(
    ("port", "proto", "host"),
    [
        ("8443", "https", "chat.example.org:8443"),
        ("443", "https", "chat.example.org"),
        ("80", "http", "chat.example.org"),
        ("443", "http", "chat.example.org:443"),
    ],
)
def test_a_port_of_its_own_belongs_to_the_host(
    port: str, proto: str, host: str
) -> None:
    found = seen(
        HTTP_X_FORWARDED_HOST="chat.example.org",
        HTTP_X_FORWARDED_PORT=port,
        HTTP_X_FORWARDED_PROTO=proto,
    )

    assert found["HTTP_HOST"] == host


@pytest.mark.parametrize(
    ("chain", "protos", "scheme"),
    [
        # One proxy that we trust: what stands before its entry may be invented.
        (STRANGER, "https, http", "http"),
        (STRANGER, "http, https", "https"),
        # Two of them: the outer one knows what the client has used.
        (f"{STRANGER}, {OUTER}", "https, http", "https"),
        (f"{STRANGER}, {OUTER}", "http, https, http", "https"),
        # One header that both write.
        (f"{STRANGER}, {OUTER}", "https", "https"),
    ],
)
def test_the_outermost_trusted_proxy_knows(
    chain: str, protos: str, scheme: str
) -> None:
    found = seen(HTTP_X_FORWARDED_FOR=chain, HTTP_X_FORWARDED_PROTO=protos)

    assert found["wsgi.url_scheme"] == scheme


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("/jobs/1", "/jobs/1"),
        ("/chat/jobs/1", "/jobs/1"),
        ("/chat", "/"),
        ("/chat/", "/"),
        ("/chatter", "/chatter"),
    ],
)
def test_the_prefix_may_be_removed_or_not(path: str, left: str) -> None:
    found = seen(HTTP_X_FORWARDED_PREFIX="/chat/", PATH_INFO=path)

    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == ("/chat", left)


@pytest.mark.parametrize(
    ("own", "told", "script"),
    [
        ("/chat", "", "/chat"),
        ("/chat", "/chat", "/chat"),
        ("/a/chat", "/a", "/a/chat"),
        ("/chat", "/a", "/a/chat"),
        ("//evil.example", "", ""),
        ("/", "", ""),
    ],
)
def test_the_host_may_have_a_mount_point(own: str, told: str, script: str) -> None:
    found = seen(SCRIPT_NAME=own, HTTP_X_FORWARDED_PREFIX=told)

    assert found["SCRIPT_NAME"] == script


def test_two_proxies_may_each_remove_a_part() -> None:
    found = seen(
        HTTP_X_FORWARDED_FOR=f"{STRANGER}, {OUTER}",
        HTTP_X_FORWARDED_PREFIX="/evil, /a, /b",
    )

    assert found["SCRIPT_NAME"] == "/a/b"


@pytest.mark.parametrize("peer", [TRUSTED, STRANGER])
def test_the_public_address_wins(peer: str) -> None:
    found = seen(
        peer,
        "https://chat.example.org/public",
        HTTP_X_FORWARDED_PROTO="http",
        HTTP_X_FORWARDED_PREFIX="/other",
    )

    assert address(found) == ("https", "inside:8080", "/public", "/jobs/1")


def test_a_proxy_on_a_unix_socket_is_trusted_by_name() -> None:
    found: dict[str, Any] = {
        "REMOTE_ADDR": "",
        "PATH_INFO": "/",
        "HTTP_X_FORWARDED_PROTO": "https",
        "wsgi.url_scheme": "http",
    }

    ForwardedRequests(ClientAddresses(("unix",))).apply(found)

    assert found["wsgi.url_scheme"] == "https"
