"""The pages of a job in a browser without scripts."""

import io
import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from api.context import ConcurrencyLimit
from datastore.outbox import failed_devices, outcome_counts
from models.accounts import Device
from models.base import utc_now
from models.errors import Conflict
from models.imports import ImportJob
from models.pushes import PushFailure, PushJob
from tests.support.browser_client import BrowserClient
from tests.support.chat_api import ON_EVERY_DATABASE, SERVICE_KEY, build_app


@pytest.fixture
def visitor(chat_api):
    return BrowserClient(chat_api.app)


@pytest.fixture
def job(visitor, ann, chat):
    """The address of the job of Ann's message."""
    sent = {"conversation": chat, "message": "Noon?", "token": ann.client.token}
    return visitor.post("/groupchat/send", **sent).headers["location"]


def change(chat_api, job, **values):
    with chat_api.store.write() as session:
        number = int(job.removeprefix("/jobs/"))
        session.execute(update(PushJob).where(PushJob.id == number).values(**values))


def test_a_form_saves_the_message_and_leads_to_its_job(chat_api, visitor, ann, chat):
    sent = {"conversation": chat, "message": "Noon & so", "token": ann.client.token}

    answer = visitor.post("/groupchat/send", **sent)

    assert (answer.status, answer.headers["location"]) == (303, "/jobs/1")
    said = ann.client.get(f"/groupchat/{chat}/messages").json["messages"]
    assert [message["text"] for message in said] == ["Noon & so"]
    assert chat_api.dispatcher.job_ids == [1]


def test_a_waiting_job_shows_its_progress_and_loads_itself_again(
    chat_api, visitor, job
):
    change(chat_api, job, state="processing", total=8, accepted=6)

    page = visitor.get(job)

    html = page.body.decode()
    assert page.status == 200
    assert '<meta http-equiv="refresh" content="1">' in html
    assert re.search(r'<progress [^>]*max="8" value="6"', html)
    assert "6 of 8 devices" in html


@pytest.mark.parametrize(
    ("state", "accepted", "failed", "heading"),
    [
        ("completed", 3, 0, "Done"),
        ("completed", 2, 1, "Done, but 1 device was not reached"),
        ("completed", 0, 3, "Done, but 3 devices were not reached"),
        ("failed", 0, 3, "Failed"),
        ("processing", 1, 1, "In progress"),
    ],
)
def test_the_page_says_how_it_went(
    chat_api, visitor, job, state, accepted, failed, heading
):
    end = {"result": "completed", "error": "failed"}
    counts = {"total": 3, "accepted": accepted, "failed": failed}
    change(chat_api, job, state=state, **counts)
    path = next((f"{job}/{each}" for each, of in end.items() if of == state), job)

    html = visitor.get(path).body.decode()

    assert f"<h1>{heading}</h1>" in html
    # The part that failed is drawn in another colour.
    assert ('class="missed"' in html) == bool(failed)


@pytest.mark.parametrize(
    ("values", "end", "said"),
    [
        ({"state": "queued"}, "", "Waiting for its turn"),
        (
            {"state": "queued", "due_at": datetime(2130, 1, 31, 12, tzinfo=UTC)},
            "",
            "Waiting until 31 Jan 2130 12:00 UTC",
        ),
        ({"state": "processing"}, "", "Waiting for the first answers"),
        ({"state": "failed"}, "/error", "No device was tried"),
        ({"state": "completed", "total": 0}, "/result", "There was no device"),
    ],
)
def test_a_job_without_devices_says_why(chat_api, visitor, job, values, end, said):
    change(chat_api, job, **values)

    html = visitor.get(f"{job}{end}").body.decode()

    assert said in html
    # Nothing is drawn as if it had been reached.
    assert "0 of" not in html
    assert not re.search(r"<progress[^>]* value=\"1\"", html)


def test_a_platform_that_is_not_set_up_is_told_once(chat_api, bob, visitor, job):
    address = {"platform": "email", "token": "bob@example.org"}
    device = chat_api.service.post(f"/users/{bob.id}/devices", address).json["id"]
    with chat_api.store.write() as session:
        waits = {"outcome": "unconfigured", "reason": "", "attempts": 1}
        later = utc_now() + timedelta(minutes=1)
        session.add(
            PushFailure(job_id=1, device_id=device, next_attempt_at=later, **waits)
        )
    counts = outcome_counts.write(Counter({("email", "unconfigured"): 2}))
    error = "email: this channel is not configured"
    change(chat_api, job, state="processing", total=2, error=error, outcomes=counts)

    html = visitor.get(job).body.decode()

    assert re.findall('role="alert">(.*?)<', html) == [
        "email is not set up on this server: 2 devices wait"
    ]


def test_an_ended_job_leads_to_its_result(chat_api, visitor, job):
    change(chat_api, job, state="completed", total=3, accepted=3, finished_at=utc_now())

    led = visitor.get(job)
    page = visitor.get(led.headers["location"])

    assert (led.status, led.headers["location"]) == (303, f"{job}/result")
    assert "3 of 3 devices" in page.body.decode()
    assert "http-equiv" not in page.body.decode()


REFUSAL = "550 5.1.1 <bob@example.org> is unknown"


@pytest.fixture
def failed_job(chat_api, bob, job):
    """A job whose push to Bob's mailbox failed, in the words of his mail server."""
    change(chat_api, job, state="failed", total=1, failed=1, error=f"email: {REFUSAL}")
    address = {"platform": "email", "token": "bob@example.org"}
    device = chat_api.service.post(f"/users/{bob.id}/devices", address).json["id"]
    with chat_api.store.write() as session:
        failure = {"outcome": "gone", "reason": REFUSAL, "attempts": 1}
        session.add(PushFailure(job_id=1, device_id=device, **failure))
    return job


def test_a_failed_job_leads_its_members_to_our_own_words(
    chat_api, visitor, ann, failed_job
):
    led = visitor.get(failed_job)
    html = visitor.get(led.headers["location"]).body.decode()
    told = ann.client.get(failed_job).json

    assert led.headers["location"] == f"{failed_job}/error"
    assert "no longer registered" in html
    assert told["error"] == "email: the pushes were not accepted"
    for answer in (html, json.dumps(told)):
        assert "bob@" not in answer
        assert "550" not in answer


def test_operators_read_the_providers_reason(chat_api, failed_job):
    operator = BrowserClient(chat_api.app)
    operator.post("/dashboard/login", service_key=SERVICE_KEY)

    html = operator.get(f"{failed_job}/error").body.decode()

    assert "550 5.1.1 &lt;bob@example.org&gt; is unknown" in html
    assert "<bob@" not in html
    told = chat_api.service.get(failed_job).json
    assert told["error"] == f"email: {REFUSAL}"


def test_owners_of_devices_read_why_their_own_were_not_reached(
    chat_api, bob, failed_job
):
    browser = BrowserClient(chat_api.app)
    browser.cookies["bottlepost_user"] = bob.client.token

    html = browser.get(f"{failed_job}/error").body.decode()

    assert "Your own devices" in html
    assert "550 5.1.1" in html


def test_operators_have_links_to_the_devices_and_their_owners(
    chat_api, bob, failed_job
):
    operator = BrowserClient(chat_api.app)
    operator.post("/dashboard/login", service_key=SERVICE_KEY)
    html = operator.get(f"{failed_job}/error").body.decode()

    links = re.findall(r'href="(/dashboard/[^"]+)"', html)

    assert f"/dashboard/users/{bob.id}" in links
    for link in links:
        assert operator.get(link).status in (200, 303)


def form_key(operator, path) -> str:
    return re.search(r'name="key" value="(\w+)"', operator.get(path).body.decode())[1]


@ON_EVERY_DATABASE
def test_operators_have_a_job_tried_again(chat_api, failed_job):
    operator = BrowserClient(chat_api.app)
    operator.post("/dashboard/login", service_key=SERVICE_KEY)
    key = form_key(operator, f"{failed_job}/error")
    change(chat_api, failed_job, expires_at=utc_now())
    chat_api.dispatcher.job_ids.clear()

    answer = operator.post(f"{failed_job}/retry", key=key)

    assert (answer.status, answer.headers["location"]) == (303, failed_job)
    assert chat_api.dispatcher.job_ids == [1]
    told = chat_api.service.get(failed_job).json
    assert (told["state"], told["failed"], told["error"]) == ("processing", 0, None)
    assert "now" in operator.get(failed_job).body.decode()
    with chat_api.store.read() as session:
        assert session.get(PushJob, 1).expires_at > utc_now() + timedelta(minutes=50)


def test_all_devices_of_a_large_job_are_tried_again(chat_api, ann, failed_job):
    count = failed_devices.DEVICES_AT_ONCE + 5
    with chat_api.store.write() as session:
        values = {"user_id": ann.id, "platform": "fcm", "environment": "production"}
        rows = [
            Device(token=f"t{n}", token_hash=f"h{n}", registered_at=utc_now(), **values)
            for n in range(count)
        ]
        session.add_all(rows)
        session.flush()
        failure = {"job_id": 1, "outcome": "refused", "reason": "", "attempts": 1}
        session.add_all(PushFailure(device_id=row.id, **failure) for row in rows)
    total = count + 1
    change(chat_api, failed_job, total=total, failed=total)

    due = failed_devices.try_again(chat_api.store, 1, utc_now())

    told = chat_api.service.get(failed_job).json
    assert due == ([1], total)
    assert (told["state"], told["failed"]) == ("processing", 0)
    assert told["pending"] == total


def test_a_job_that_an_engine_has_is_left_to_it(chat_api, failed_job):
    change(chat_api, failed_job, lease_owner="host:1:x", state="processing")

    with pytest.raises(Conflict):
        failed_devices.try_again(chat_api.store, 1, utc_now())


def test_a_job_is_tried_again_only_if_that_can_help(chat_api, bob, failed_job):
    operator = BrowserClient(chat_api.app)
    operator.post("/dashboard/login", service_key=SERVICE_KEY)
    key = form_key(operator, f"{failed_job}/error")
    device = chat_api.service.get(f"/users/{bob.id}/devices").json["devices"][0]["id"]
    operator.post(f"/dashboard/devices/{device}/disable", key=key)

    disabled = operator.post(f"{failed_job}/retry", key=key)

    assert disabled.status == 409
    # The page leads back to the job.
    assert f'href="{failed_job}"' in disabled.body.decode()
    assert chat_api.service.get(failed_job).json["state"] == "failed"


def test_our_own_errors_are_for_everybody(chat_api, ann, job):
    for words in (
        "expired before it could be pushed",
        "internal error; see the log of the notifier",
    ):
        change(chat_api, job, error=words)
        assert ann.client.get(job).json["error"] == words


@pytest.mark.parametrize("end", ["result", "error"])
def test_an_end_that_is_not_there_yet_leads_back(visitor, job, end):
    answer = visitor.get(f"{job}/{end}")

    assert (answer.status, answer.headers["location"]) == (303, job)


def test_the_query_is_json_for_programs_and_a_redirect_for_forms(visitor, ann, job):
    asked = ann.client.post("/query", {"id": 1})
    led = visitor.post("/query", id=1)

    assert asked.json == ann.client.get(job).json
    assert (led.status, led.headers["location"]) == (303, job)


def test_one_address_has_a_page_for_browsers_and_json_for_programs(visitor, ann, job):
    page, answer = visitor.get(job), ann.client.get(job)

    assert page.headers["content-type"].startswith("text/html")
    assert answer.headers["content-type"] == "application/json"
    assert page.headers["vary"] == "Accept"


@pytest.mark.parametrize("path", ["/groupchat/send", "/query"])
def test_a_program_with_the_wrong_content_type_gets_json(ann, job, path):
    form = "application/x-www-form-urlencoded"

    answer = ann.client.request("POST", path, b'{"id": 1}', CONTENT_TYPE=form)

    assert (answer.status, answer.code) == (415, "unsupported_type")


def test_a_form_may_pass_through_a_proxy_that_asks_for_a_password(visitor, job, chat):
    behind = {"HTTP_AUTHORIZATION": "Basic YTpi"}

    answer = visitor.post("/groupchat/send", behind, conversation=chat, message="Me")

    assert answer.status == 303


def test_a_job_is_shown_to_members_only(chat_api, job, eve):
    stranger, nobody = BrowserClient(chat_api.app), BrowserClient(chat_api.app)
    stranger.cookies["bottlepost_user"] = eve.client.token

    assert stranger.get(job).status == 404
    assert nobody.get(job).status == 401


def test_who_may_not_see_a_job_may_sign_in_as_an_operator(chat_api, job, eve):
    """Eve has a cookie of her own, and perhaps the service key, too."""
    browser = BrowserClient(chat_api.app)
    browser.cookies["bottlepost_user"] = eve.client.token

    refused = browser.get(job).body.decode()
    login = re.search(r'href="(/dashboard/login[^"]+)"', refused)[1]
    browser.get(login)
    browser.post("/dashboard/login", service_key=SERVICE_KEY, to=job)
    seen, unknown = browser.get(job), browser.get("/jobs/999").body.decode()

    assert login.endswith("?to=%2Fjobs%2F1")
    assert seen.status == 200
    assert "Sign in" not in unknown


def test_the_cookie_ends_with_its_token(chat_api, visitor, ann, job):
    ann.client.post("/logout", {})

    assert visitor.get(job).status == 401


@pytest.mark.parametrize(
    "environ",
    [
        {"HTTP_SEC_FETCH_SITE": "cross-site"},
        {"HTTP_ORIGIN": "https://evil.example"},
        {"HTTP_ORIGIN": "http://["},
    ],
)
def test_another_site_cannot_write_with_the_cookie(visitor, job, chat, environ):
    answer = visitor.post("/groupchat/send", environ, conversation=chat, message="Spam")

    assert answer.status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_cannot_sign_in_a_user_of_its_own(
    visitor, job, ann, eve, chat, site
):
    theirs = eve.client.post("/groupchat", {"name": "Trap"}).json["id"]
    form = {"conversation": theirs, "message": "Hi", "token": eve.client.token}

    answer = visitor.post("/groupchat/send", {"HTTP_SEC_FETCH_SITE": site}, **form)

    assert answer.status == 303
    assert "set-cookie" not in answer.headers
    assert visitor.get(job).status == 200


def test_our_own_form_may_write_with_the_cookie(visitor, job, chat):
    environ = {"HTTP_ORIGIN": "http://127.0.0.1", "HTTP_HOST": "127.0.0.1"}

    answer = visitor.post("/groupchat/send", environ, conversation=chat, message="Me")

    assert (answer.status, answer.headers["location"]) == (303, "/jobs/2")


def test_a_form_without_a_length_may_be_half_of_one(visitor, job, ann, chat):
    chunked = {
        "CONTENT_LENGTH": "",
        "HTTP_TRANSFER_ENCODING": "chunked",
        "wsgi.input_terminated": True,
    }

    answer = visitor.post("/groupchat/send", chunked, conversation=chat, message="Ha")

    assert answer.status == 411
    said = ann.client.get(f"/groupchat/{chat}/messages").json["messages"]
    assert [message["text"] for message in said] == ["Noon?"]


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"conversation": "x", "message": "a"}, 400),
        ({"conversation": "1", "message": " "}, 400),
        ({"conversation": "1", "message": "a", "odd": "1"}, 400),
        ({"conversation": "99", "message": "a"}, 404),
        ({"conversation": "1", "message": "a", "token": "wrong"}, 401),
        ({"conversation": "1", "message": "a", "token": "\N{SNOWMAN}"}, 401),
    ],
)
def test_a_wrong_form_gets_html(visitor, job, form, status):
    answer = visitor.post("/groupchat/send", **form)

    assert answer.status == status
    assert answer.headers["content-type"].startswith("text/html")
    assert "Traceback" not in answer.body.decode()


def test_a_page_lets_nothing_foreign_in(visitor, job):
    headers = visitor.get(job).headers

    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def change_import(chat_api, **values):
    with chat_api.store.write() as session:
        session.execute(update(ImportJob).values(**values))


@pytest.fixture
def upload(chat_api):
    """The address of an import of two rows, one of them bad."""
    rows = b'{"type": "user", "external_id": "a", "name": "Al"}\n{"type": "<odd>"}\n'
    kind = "application/x-ndjson"
    answer = chat_api.service.request("POST", "/import", rows, CONTENT_TYPE=kind)
    return answer.json["job"]["url"]


@pytest.fixture
def operator(visitor):
    visitor.post("/dashboard/login", service_key=SERVICE_KEY)
    return visitor


def test_an_import_has_the_same_pages(chat_api, operator, upload):
    change_import(chat_api, state="processing", done=0, failed=1)
    waiting = operator.get(upload).body.decode()
    change_import(chat_api, state="completed", done=1, finished_at=utc_now())
    led = operator.get(upload)
    result = operator.get(led.headers["location"]).body.decode()

    assert "http-equiv" in waiting
    assert "1 of 2 rows" in waiting
    assert led.headers["location"] == f"{upload}/result"
    assert "2 of 2 rows" in result
    assert re.search(r"<td[^>]*>\s*2\s*</td>", result)


def test_a_failed_import_leads_to_its_error(chat_api, operator, upload):
    change_import(chat_api, state="failed", error="the disk is full")

    led = operator.get(upload)

    assert led.headers["location"] == f"{upload}/error"
    assert "the disk is full" in operator.get(f"{upload}/error").body.decode()


def test_an_import_is_shown_to_operators_only(chat_api, ann, upload):
    user, nobody = BrowserClient(chat_api.app), BrowserClient(chat_api.app)
    user.cookies["bottlepost_user"] = ann.client.token

    assert (user.get(upload).status, nobody.get(upload).status) == (403, 401)
    assert "Sign in with the service key" in nobody.get(upload).body.decode()


def test_a_slow_form_blocks_no_other_request(chat_api):
    app = build_app(
        chat_api.store, chat_api.dispatcher, concurrency=ConcurrencyLimit(1)
    )

    class Slow(io.BytesIO):
        """A form that arrives only after another request was answered."""

        def read(self, size: int | None = -1) -> bytes:
            pool = ThreadPoolExecutor(1)
            other = pool.submit(BrowserClient(app).get, "/dashboard")
            pool.shutdown(wait=False)
            assert other.result(timeout=60).status == 200
            return super().read(size)

    environ = {"wsgi.input": Slow(b"message=x")}

    answer = BrowserClient(app).post("/groupchat/send", environ, message="x")

    assert answer.status == 401


def test_the_page_names_the_request_of_the_job(chat_api, visitor, job):
    change(chat_api, job, request_id="from-the-proxy")

    assert b"from-the-proxy" in visitor.get(job).body
