"""Push subscriptions: checked when they are registered, with a clear refusal."""

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import subscriptions
from sandbox.browsers.browser import Browser, b64

Value = dict[str, Any]


def _token(change: Callable[[Value], Any]) -> str:
    value = json.loads(Browser().token)
    change(value)
    return json.dumps(value)


def _endpoint(url: Any) -> str:
    return _token(lambda value: value.update(endpoint=url))


def _key(name: str, text: Any) -> str:
    return _token(lambda value: value["keys"].update({name: text}))


def test_subscription_of_a_browser_is_parsed() -> None:
    browser = Browser("https://push.example.org/b/1?c=d")

    subscription = subscriptions.parse(browser.token)

    assert subscription.origin == "https://push.example.org"
    assert subscription.path == "/b/1?c=d"
    assert (subscription.point, subscription.auth) == (browser.point, browser.auth)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://push.example.org:8443/b", "https://push.example.org:8443"),
        ("https://push.example.org:443/b", "https://push.example.org"),
        ("https://PUSH.Example.org/b", "https://push.example.org"),
        ("https://push.example.org./b", "https://push.example.org"),
        ("https://[2606:4700::1111]:8443/b", "https://[2606:4700::1111]:8443"),
        ("https://push.example.org", "https://push.example.org"),
    ],
)
def test_origin_is_that_of_the_endpoint(url: str, origin: str) -> None:
    assert subscriptions.parse(_endpoint(url)).origin == origin


def test_endpoint_without_a_path_has_the_root_path() -> None:
    assert subscriptions.parse(_endpoint("https://push.example.org")).path == "/"


def test_padded_base64_is_accepted() -> None:
    browser = Browser()
    token = _key("auth", b64(browser.auth) + "==")

    assert subscriptions.parse(token).auth == browser.auth


def test_base64_of_btoa_is_accepted_and_spelled_alike() -> None:
    browser = Browser()
    value = json.loads(browser.token)
    raw = {"p256dh": browser.point, "auth": b"\xfb\xff" * 8}
    value["keys"] = {name: b64encode(key).decode() for name, key in raw.items()}
    assert "+" in value["keys"]["auth"]

    subscription = subscriptions.parse(json.dumps(value))

    assert (subscription.point, subscription.auth) == tuple(raw.values())
    assert json.loads(subscription.token)["keys"] == {
        name: b64(key) for name, key in raw.items()
    }


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        ("", "must be JSON"),
        ("[" * 3000, "must be JSON"),
        ("7", "JSON object"),
        ("x" * 5000, "at most 4096"),
        (_endpoint(None), "must be a URL"),
        (_endpoint(""), "must be a URL"),
        (_endpoint("https://push.example.org/b c"), "must be a URL"),
        (_endpoint("https://push.example.org/b\r\nx: y"), "must be a URL"),
        (_endpoint("https://push.example.org:99999/b"), "must be a URL"),
        (_endpoint("https://[::1/b"), "must be a URL"),
        (_endpoint("http://push.example.org/b"), "begin with https"),
        (_endpoint("ftp://push.example.org/b"), "begin with https"),
        (_endpoint("https:///b"), "host name"),
        (_endpoint("https://a%00b/"), "host name"),
        (_endpoint("https://me:pw@push.example.org/b"), "user or a fragment"),
        (_endpoint("https://push.example.org/b#c"), "user or a fragment"),
        (_token(lambda value: value.pop("keys")), "no keys"),
        (_key("auth", b64(bytes(15))), "auth must be 16 bytes"),
        (_key("auth", b64(bytes(17))), "auth must be 16 bytes"),
        (_key("auth", 7), "auth must be 16 bytes"),
        (_key("auth", "ä" * 22), "auth must be 16 bytes"),
        (_key("auth", "A" * 21), "auth must be 16 bytes"),
        (_key("p256dh", b64(bytes(64))), "p256dh must be 65 bytes"),
        (_key("p256dh", b64(b"\x04" + bytes(64))), "not on P-256"),
        (_key("p256dh", b64(b"\x04" + b"\x01" * 64)), "not on P-256"),
        (_key("p256dh", b64(b"\x02" + Browser().point[1:])), "not on P-256"),
    ],
)
def test_invalid_subscription_is_refused(token: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        subscriptions.parse(token)


@given(st.text() | st.dictionaries(st.text(), st.text()).map(json.dumps))
def test_any_other_text_raises_value_error(token: str) -> None:
    with pytest.raises(ValueError, match="subscription"):
        subscriptions.parse(token)


def test_subscription_has_only_one_spelling() -> None:
    token = Browser("https://PUSH.example.org:443/b?c=d").token
    otherwise = json.dumps(json.loads(token), indent=2)

    written = subscriptions.parse(token).token

    assert subscriptions.parse(otherwise).token == written
    assert json.loads(written)["endpoint"] == "https://push.example.org/b?c=d"
    assert subscriptions.parse(written) == subscriptions.parse(token)._replace(
        key=subscriptions.parse(written).key
    )
