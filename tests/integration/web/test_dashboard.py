"""The dashboard: login, statistics, and the test push."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from datastore import operator_sessions, provider_troubles
from models.accounts import EndedSession
from models.base import utc_now
from models.pushes import PushFailure, PushJob
from tests.support.browser_client import BrowserClient
from tests.support.chat_api import SERVICE_KEY, build_app


@pytest.fixture
def visitor(chat_api):
    return BrowserClient(chat_api.app)


@pytest.fixture
def operator(visitor):
    """A browser that is signed in."""
    visitor.post("/dashboard/login", service_key=SERVICE_KEY)
    return visitor


def form_key(operator) -> str:
    html = operator.get("/dashboard").body.decode()
    return re.search(r'name="key" value="(\w+)"', html)[1]


def test_the_service_key_opens_it(visitor):
    answer = visitor.post("/dashboard/login", service_key=SERVICE_KEY)

    assert (answer.status, answer.headers["location"]) == (303, "/dashboard")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "max-age=43200" in cookie
    assert SERVICE_KEY not in cookie
    assert "Failing devices" in visitor.get("/dashboard").body.decode()


def test_over_tls_the_cookie_stays_there(visitor):
    environ = {"wsgi.url_scheme": "https"}

    answer = visitor.post("/dashboard/login", environ, service_key=SERVICE_KEY)

    assert "secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize("key", ["", "wrong", SERVICE_KEY[:-1], "\N{SNOWMAN}"])
def test_another_key_does_not(visitor, key):
    answer = visitor.post("/dashboard/login", service_key=key)

    assert answer.status == 401
    assert "set-cookie" not in answer.headers
    assert "Failing devices" not in visitor.get("/dashboard").body.decode()


def test_guessing_is_slowed_down(visitor):
    answers = [visitor.post("/dashboard/login", service_key="x") for _ in range(20)]

    # The rate limit allows one attempt a second.
    assert 10 <= [answer.status for answer in answers].count(401) < 19
    assert int(answers[-1].headers["retry-after"]) >= 1


@pytest.mark.parametrize("cookie", ["", "x", "1.2.3", "9999999999.abc.00"])
def test_a_made_up_cookie_opens_nothing(visitor, cookie):
    visitor.cookies["bottlepost_operator"] = cookie

    assert "Failing devices" not in visitor.get("/dashboard").body.decode()


def test_signing_out_ends_the_session_in_every_process(chat_api, operator):
    elsewhere = BrowserClient(build_app(chat_api.store, chat_api.dispatcher))
    other = BrowserClient(chat_api.app)
    other.post("/dashboard/login", service_key=SERVICE_KEY)
    elsewhere.cookies = dict(operator.cookies)
    assert "Failing devices" in elsewhere.get("/dashboard").body.decode()
    key = form_key(operator)
    copied = dict(operator.cookies)

    answer = operator.post("/dashboard/logout", key=key)

    assert answer.status == 303
    for browser in (operator, elsewhere):
        browser.cookies = dict(copied)
        assert "Failing devices" not in browser.get("/dashboard").body.decode()
        assert browser.post("/dashboard/logout", key=key).status == 401
        assert browser.post("/dashboard/test-push", key=key).status == 401
    # A session of its own goes on.
    assert "Failing devices" in other.get("/dashboard").body.decode()


def test_sessions_that_have_expired_are_forgotten(chat_api, operator):
    past = utc_now() - timedelta(seconds=1)
    with chat_api.store.write() as session:
        operator_sessions.end(session, "an old one", past, past)
        operator_sessions.end(session, "an old one", past, past - timedelta(1))

    operator.post("/dashboard/logout", key=form_key(operator))

    with chat_api.store.read() as session:
        kept = session.scalars(select(EndedSession.expires_at)).all()
    assert len(kept) == 1
    assert kept[0] > utc_now()


def test_it_shows_whether_pushing_keeps_up(chat_api, operator, ann, chat):
    for _ in range(6):
        chat_api.say(ann, chat, "hello")

    with chat_api.store.write() as session:
        session.execute(
            update(PushJob)
            .where(PushJob.id == 1)
            .values(created_at=utc_now() - timedelta(seconds=30.2))
        )

    html = operator.get("/dashboard").body.decode()

    tiles = dict(re.findall(r"<dt>(.*?)</dt>(.*?)</div>", html, re.DOTALL))
    assert "0.1 a second, 0.0 done" in tiles["Sends"]
    assert "oldest 30." in tiles["Queue"]


def test_signing_out_ends_the_session_here(operator):
    operator.post("/dashboard/logout", key=form_key(operator))

    assert "Failing devices" not in operator.get("/dashboard").body.decode()


@pytest.mark.parametrize("span", ["hour", "day", "year"])
def test_it_shows_what_was_sent_and_what_failed(chat_api, operator, ann, chat, span):
    chat_api.say(ann, chat, "Noon?")
    ann.client.post("/devices", {"platform": "apns", "token": "of-ann"})
    with chat_api.store.write() as session:
        failure = {"outcome": "gone", "reason": "<Unregistered>", "attempts": 1}
        session.add(PushFailure(job_id=1, device_id=1, **failure))
        provider_troubles.report(
            session, "apns https://x", "InvalidProviderToken", now=utc_now()
        )

    html = operator.get(f"/dashboard?span={span}").body.decode()

    assert html.count("<svg") == 3
    assert html.count('<rect class="sends"') == 1
    assert "&lt;Unregistered&gt;" in html
    assert "InvalidProviderToken" in html


# Not called `kind`, because that is the fixture that chooses the database.
@pytest.mark.parametrize("named_by", ["user", "device"])
def test_a_test_push_goes_to_all_devices_of_a_user(chat_api, operator, ann, named_by):
    device = ann.client.post("/devices", {"platform": "apns", "token": "of-ann"}).json
    number = device["id"] if named_by == "device" else ann.id

    answers = [
        operator.post(
            "/dashboard/test-push", kind=named_by, number=number, key=form_key(operator)
        )
        for _ in range(2)
    ]

    assert [a.headers["location"] for a in answers] == ["/jobs/1", "/jobs/2"]
    assert chat_api.dispatcher.job_ids == [1, 2]
    (chat,) = ann.client.get("/groupchat").json["conversations"]
    assert (chat["name"], chat["unread"]) == ("Test pushes", 2)
    assert operator.get("/jobs/1").status == 200


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"kind": "user", "number": "4711"}, 404),
        ({"kind": "device", "number": "4711"}, 404),
        ({"kind": "user", "number": "x"}, 400),
        ({"kind": "user", "number": "9" * 30}, 400),
        ({"kind": "user"}, 400),
    ],
)
def test_a_test_push_to_an_unknown_user_is_refused(operator, form, status):
    answer = operator.post("/dashboard/test-push", key=form_key(operator), **form)

    assert answer.status == status


def test_forms_without_our_key_do_nothing(chat_api, operator, ann):
    answer = operator.post("/dashboard/test-push", kind="user", number=ann.id)

    assert (answer.status, chat_api.dispatcher.job_ids) == (403, [])


def test_forms_of_strangers_do_nothing(chat_api, visitor, ann):
    answer = visitor.post("/dashboard/test-push", kind="user", number=ann.id)

    assert (answer.status, chat_api.dispatcher.job_ids) == (401, [])
