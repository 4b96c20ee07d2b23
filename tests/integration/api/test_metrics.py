"""GET /metrics, parsed as Prometheus does."""

from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from models.base import utc_now
from models.pushes import COMPLETED, FAILED, PushFailure, PushJob, RouteTrouble
from tests.support.chat_api import ON_EVERY_DATABASE, ChatApi
from tests.support.server import Server
from tests.support.wait import until

REACHED, REFUSED = 3, 2


class Scrape(dict):
    """The samples by name and labels."""

    def __init__(self, client) -> None:
        answer = client.get("/metrics")
        assert answer.status == 200, answer.body
        self.content_type = answer.headers["content-type"]
        for family in text_string_to_metric_families(answer.body.decode()):
            for sample in family.samples:
                self[sample.name, tuple(sorted(sample.labels.items()))] = sample.value

    def number(self, name: str, **labels: str) -> float:
        return self["bottlepost_" + name, tuple(sorted(labels.items()))]

    def total(self, name: str, **labels: str) -> float:
        """The sum over all processes."""
        wanted = labels.items()
        return sum(
            value
            for (sample, of), value in self.items()
            if sample == "bottlepost_" + name and wanted <= dict(of).items()
        )


def set_jobs(chat_api, *job_ids: int, **values) -> None:
    with chat_api.store.write() as session:
        session.execute(update(PushJob).where(PushJob.id.in_(job_ids)).values(values))


def test_content_type_names_the_format(chat_api):
    assert Scrape(chat_api.service).content_type.startswith("text/plain; version=")


@ON_EVERY_DATABASE
def test_empty_installation_has_zeros(chat_api):
    told = Scrape(chat_api.service)

    for state in ("queued", "processing", "waiting"):
        assert told.number("jobs", state=state) == 0
    assert told.number("oldest_due_job_age_seconds") == 0
    assert told.number("messages_accepted_per_second") == 0
    assert told.number("messages_done_per_second") == 0
    assert told.number("pushes_last_hour", outcome="accepted") == 0


@ON_EVERY_DATABASE
def test_jobs_are_counted_by_state(chat_api, ann, chat):
    jobs = [chat_api.say(ann, chat, "hello").json["job"]["id"] for _ in range(6)]
    now = utc_now()
    set_jobs(
        chat_api, jobs[0], lease_owner="engine", due_at=now + timedelta(seconds=30)
    )
    set_jobs(chat_api, jobs[1], jobs[2], due_at=now + timedelta(hours=1))
    set_jobs(chat_api, jobs[3], due_at=now - timedelta(seconds=90))

    told = Scrape(chat_api.service)

    assert told.number("jobs", state="queued") == 3
    assert told.number("jobs", state="processing") == 1
    assert told.number("jobs", state="waiting") == 2
    assert told.number("oldest_due_job_age_seconds") == pytest.approx(90, abs=10)


@ON_EVERY_DATABASE
def test_rates_tell_whether_pushing_keeps_up(chat_api, ann, chat):
    jobs = [chat_api.say(ann, chat, "hello").json["job"]["id"] for _ in range(6)]
    set_jobs(chat_api, *jobs[:3], state=COMPLETED, due_at=None, finished_at=utc_now())

    told = Scrape(chat_api.service)

    assert told.number("messages_accepted_per_second") == pytest.approx(6 / 60)
    assert told.number("messages_done_per_second") == pytest.approx(3 / 60)


@ON_EVERY_DATABASE
def test_pushes_of_the_last_hour_are_counted_by_reason(chat_api, ann, chat):
    device = ann.client.post("/devices", {"platform": "apns", "token": "a"}).json["id"]
    done, failed, old = (
        chat_api.say(ann, chat, "x").json["job"]["id"] for _ in range(3)
    )
    ended = {"due_at": None, "finished_at": utc_now()}
    set_jobs(chat_api, done, state=COMPLETED, accepted=REACHED, failed=REFUSED, **ended)
    set_jobs(chat_api, failed, state=FAILED, failed=1, **ended)
    with chat_api.store.write() as session:
        session.add_all(
            PushFailure(
                job_id=job, device_id=it, outcome="gone", reason=reason, attempts=1
            )
            for job, it, reason in [
                (done, device, "Unregistered"),
                (failed, device, "Unregistered"),
                (done, 999, 'odd "reason"\n'),
            ]
        )
    set_jobs(chat_api, old, state=COMPLETED, accepted=100, **ended)

    told = Scrape(chat_api.service)

    assert told.number("jobs_ended_last_hour", state="completed") == 2
    assert told.number("jobs_ended_last_hour", state="failed") == 1
    assert told.number("pushes_last_hour", outcome="accepted") == REACHED + 100
    assert told.number("pushes_last_hour", outcome="failed") == REFUSED + 1
    reason = {"outcome": "gone", "reason": "Unregistered", "platform": "apns"}
    assert told.number("pushes_refused_last_hour", **reason) == 2
    odd = {"outcome": "gone", "reason": "other", "platform": ""}
    assert told.number("pushes_refused_last_hour", **odd) == 1


@ON_EVERY_DATABASE
def test_what_is_older_than_an_hour_is_not_among_them(chat_api, ann, chat):
    old, new = (chat_api.say(ann, chat, "x").json["job"]["id"] for _ in range(2))
    ended = {"state": COMPLETED, "due_at": None, "accepted": 5}
    set_jobs(chat_api, old, created_at=utc_now() - timedelta(minutes=61), **ended)
    set_jobs(chat_api, new, **ended)

    told = Scrape(chat_api.service)

    assert told.number("pushes_last_hour", outcome="accepted") == 5


@ON_EVERY_DATABASE
def test_provider_in_trouble_is_named(chat_api):
    since = utc_now() - timedelta(minutes=5)
    with chat_api.store.write() as session:
        session.add(RouteTrouble(route="fcm", reason="secret reason", since=since))

    told = Scrape(chat_api.service)

    assert told.number("provider_trouble_since_seconds", route="fcm") == pytest.approx(
        since.timestamp(), abs=1
    )
    assert "secret reason" not in str(told)


def test_processes_are_counted_where_there_are_some(chat_api):
    with_processes = ChatApi(chat_api.store, slots=lambda: (1, 4))

    told = Scrape(with_processes.service)

    assert told.number("push_processes") == 1
    assert told.number("push_slots") == 4
    assert not Scrape(chat_api.service).total("push_slots")


def test_requests_are_counted_by_route_and_status(chat_api, ann, chat):
    for path in (f"/groupchat/{chat}", f"/groupchat/{chat}", "/groupchat/999"):
        ann.client.get(path)
    chat_api.anonymous.get(f"/groupchat/{chat}")

    told = Scrape(chat_api.service)

    route = {"method": "GET", "route": "/groupchat/{chat_id}"}
    assert told.total("http_requests_total", **route, status="200") == 2
    assert told.total("http_requests_total", **route, status="404") == 1
    assert told.total("http_requests_total", **route, status="401") == 1
    assert told.total("http_request_seconds_count", **route) == 4
    assert 0 < told.total("http_request_seconds_sum", **route) < 60


def test_unknown_addresses_create_no_series(chat_api):
    for number in range(3):
        chat_api.anonymous.get(f"/made/up/{number}")

    told = Scrape(chat_api.service)

    assert "made" not in str(told)


def test_every_worker_tells_the_same_of_the_database(tmp_path):
    with Server(tmp_path, {"BOTTLEPOST_WORKERS": "2"}) as server:
        _, ann = server.user("Ann")
        chat = ann.post("/groupchat", {"name": "Lunch"}).json["id"]
        later = {"deliver_after": (utc_now() + timedelta(days=1)).isoformat()}
        ann.post("/groupchat/send", {"conversation": chat, "message": "x", **later})
        ann.close()
        told: list[Scrape] = []

        def have_both_told() -> bool:
            told.append(Scrape(server.client))
            server.client.close()
            return len(answerers(told)) == 2

        # The system chooses the worker of each connection, and the second worker may
        # start much later than the first.
        until(have_both_told, what="for both workers to answer")

    assert {scrape.number("jobs", state="waiting") for scrape in told} == {1}
    assert len({scrape.number("push_slots") for scrape in told}) == 1


def answerers(told) -> set[str]:
    """The processes that have counted requests."""
    return {
        dict(labels)["process"]
        for scrape in told
        for name, labels in scrape
        if name == "bottlepost_http_requests_total"
    }
