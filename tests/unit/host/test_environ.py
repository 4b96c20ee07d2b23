"""The WSGI environ of a request."""

import io
from types import SimpleNamespace
from typing import Any
from wsgiref.validate import validator

import pytest

from host import environ


class Headers(list):
    """Headers like granian's: in order, with repetitions."""

    def items(self) -> list[tuple[str, str]]:
        return self


def scope(*headers: tuple[str, str], **others: str) -> SimpleNamespace:
    given = {
        "method": "POST",
        "path": "/",
        "query_string": "",
        "server": "127.0.0.1:8080",
        "client": "192.0.2.7:40001",
        "http_version": "1.1",
        "scheme": "http",
        **others,
    }
    return SimpleNamespace(headers=Headers(headers), **given)


def built(*headers: tuple[str, str], **others: str) -> dict[str, Any]:
    return environ.build(scope(*headers, **others), io.BytesIO(b"body"), 4)


def test_it_is_what_wsgi_asks_for() -> None:
    def app(called: dict[str, Any], start: Any) -> list[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        return [called["wsgi.input"].read(4)]

    answer = validator(app)(built(("host", "x")), lambda *_: lambda data: None)

    assert list(answer) == [b"body"]
    answer.close()


def test_both_ends_of_the_connection_are_named() -> None:
    told = built(client="[2001:db8::7]:40001")

    assert (told["SERVER_NAME"], told["SERVER_PORT"]) == ("127.0.0.1", "8080")
    assert (told["REMOTE_ADDR"], told["REMOTE_PORT"]) == ("2001:db8::7", "40001")


@pytest.mark.parametrize(("said", "meant"), [("1", "HTTP/1.0"), ("1.1", "HTTP/1.1")])
def test_the_version_is_named_as_http_names_it(said: str, meant: str) -> None:
    assert built(http_version=said)["SERVER_PROTOCOL"] == meant


def test_a_path_is_its_bytes_as_latin_1() -> None:
    assert built(path="/gr€")["PATH_INFO"].encode("latin-1").decode() == "/gr€"


def test_repeated_headers_are_joined() -> None:
    told = built(("x-a", "1"), ("cookie", "a=1"), ("x-a", "2"), ("cookie", "b=2"))

    assert (told["HTTP_X_A"], told["HTTP_COOKIE"]) == ("1,2", "a=1; b=2")


def test_a_header_cannot_pass_for_another_one() -> None:
    told = built(("x-real", "1"), ("x_real", "2"), ("content_length", "9"))

    assert (told["HTTP_X_REAL"], told["CONTENT_LENGTH"]) == ("1", "4")


def test_the_length_is_the_one_that_was_received() -> None:
    told = built(("content-length", "99"), ("transfer-encoding", "chunked"))

    assert told["CONTENT_LENGTH"] == "4"
    assert {"HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"} & told.keys() == set()


def test_no_length_is_made_up() -> None:
    told = environ.build(scope(("content-type", "text/csv")), io.BytesIO(), None)

    assert told["CONTENT_TYPE"] == "text/csv"
    assert "CONTENT_LENGTH" not in told
