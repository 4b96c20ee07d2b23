"""The operator's page of a user, and the switch of each device."""

import re
from datetime import timedelta

import pytest

from models.base import utc_now
from models.pushes import PushFailure, PushJob
from tests.support.browser_client import BrowserClient
from tests.support.chat_api import ON_EVERY_DATABASE, SERVICE_KEY


@pytest.fixture
def operator(chat_api):
    browser = BrowserClient(chat_api.app)
    browser.post("/dashboard/login", service_key=SERVICE_KEY)
    return browser


@pytest.fixture
def device(bob) -> int:
    return bob.client.post("/devices", {"platform": "fcm", "token": "of-bob"}).json[
        "id"
    ]


def html_of(operator, path: str) -> str:
    return operator.get(path).body.decode()


def key_of(operator, user) -> str:
    html = html_of(operator, f"/dashboard/users/{user.id}")
    return re.search(r'name="key" value="(\w+)"', html)[1]


@ON_EVERY_DATABASE
def test_it_shows_the_devices_and_what_failed(
    chat_api, operator, ann, bob, chat, device
):
    chat_api.say(ann, chat, "hello")
    with chat_api.store.write() as session:
        failure = {"outcome": "refused", "reason": "Too <b>big", "attempts": 1}
        session.add(PushFailure(job_id=1, device_id=device, **failure))

    html = html_of(operator, f"/dashboard/users/{bob.id}")

    assert f'id="device-{device}"' in html
    assert 'href="/jobs/1"' in html
    assert "refused: Too &lt;b&gt;big" in html


def test_a_device_leads_to_its_owner(operator, bob, device):
    answer = operator.get(f"/dashboard/devices/{device}")

    led = f"/dashboard/users/{bob.id}#device-{device}"
    assert (answer.status, answer.headers["location"]) == (303, led)


@ON_EVERY_DATABASE
def test_a_device_is_disabled_until_it_is_enabled(operator, bob, device):
    def now() -> dict:
        return bob.client.get("/devices").json["devices"][0]

    key = key_of(operator, bob)
    answer = operator.post(f"/dashboard/devices/{device}/disable", key=key)
    off = now()
    operator.post(f"/dashboard/devices/{device}/disable", key=key)
    again = now()
    operator.post(f"/dashboard/devices/{device}/enable", key=key)

    assert answer.status == 303
    assert off["disabled_at"] is not None
    assert off["reason"] == "disabled by an operator"
    assert again == off
    assert (now()["disabled_at"], now()["reason"]) == (None, None)


def test_an_app_enables_its_device_again(operator, bob, device):
    operator.post(f"/dashboard/devices/{device}/disable", key=key_of(operator, bob))

    bob.client.post("/devices", {"platform": "fcm", "token": "of-bob"})

    assert bob.client.get("/devices").json["devices"][0]["disabled_at"] is None


@pytest.mark.parametrize(
    "path", ["/dashboard/users/999", "/dashboard/devices/999", "/dashboard/users/x"]
)
def test_what_is_not_there_is_a_page(operator, path):
    answer = operator.get(path)

    assert answer.status == 404
    assert answer.headers["content-type"].startswith("text/html")


def test_signing_in_leads_to_the_page(chat_api, bob):
    visitor = BrowserClient(chat_api.app)
    path = f"/dashboard/users/{bob.id}"
    assert f'name="to" value="{path}"' in html_of(visitor, path)

    answer = visitor.post("/dashboard/login", service_key=SERVICE_KEY, to=path)

    assert answer.headers["location"] == path


def test_failures_of_long_ago_are_left_out(chat_api, operator, ann, bob, chat, device):
    chat_api.say(ann, chat, "hello")
    with chat_api.store.write() as session:
        failure = {"outcome": "refused", "reason": "BadThing", "attempts": 1}
        session.add(PushFailure(job_id=1, device_id=device, **failure))
        session.get_one(PushJob, 1).created_at = utc_now() - timedelta(days=2)

    assert "BadThing" not in html_of(operator, f"/dashboard/users/{bob.id}")
