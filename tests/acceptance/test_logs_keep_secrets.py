"""Whatever fails, no log shows a token, a key, a text, a name or a mail address."""

import json
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text as sql

from datastore import Datastore, migrations
from tests.support import (
    device_outcomes,
    postgresql,
    push_processes,
    rude_mail_server,
    sandbox,
)
from tests.support.dispatcher_host import BIN
from tests.support.postgresql import PostgresServer
from tests.support.running_system import FAST
from tests.support.sandbox import Sandbox
from tests.support.server import Server
from tests.support.wait import until

NAME = "Annabel Harbourmaster"
TEXT = "The treasure is below the lighthouse"
MAIL = "annabel@harbour.example"
APNS_TOKEN = secrets.token_hex(32)
FCM_TOKEN = f"{secrets.token_urlsafe(16)}:APA91b{secrets.token_urlsafe(90)}"
HOSTS = {
    "own": (sys.executable, "server.py"),
    # As docs/logs.md has it.
    "gunicorn": (
        *(sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:{port}"),
        *("--worker-class", "gthread", "--threads", "4", "--access-logfile", "-"),
        "--access-logformat",
        "%(h)s %(m)s %({{bottlepost.path}}e)s %(s)s %(B)s %({{x-request-id}}o)s",
        "server:create_app()",
    ),
    "uwsgi": (
        *(str(BIN / "uwsgi"), "--http-socket", "127.0.0.1:{port}", "--master"),
        *("--need-app", "--die-on-term", "--enable-threads", "--threads", "4"),
        "--log-format",
        "%(addr) %(method) %(bottlepost_path) %(status) %(rsize) B %(msecs) ms"
        " %(bottlepost_request)",
        *("--module", "server:create_app()"),
    ),
}


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresServer]:
    with postgresql.running() as server:
        yield server


@contextmanager
def _system(
    host: str, run_dir: Path, provider: Sandbox, url: str
) -> Iterator[tuple[Server, Datastore]]:
    store = Datastore(url)
    migrations.upgrade(store)
    with rude_mail_server.running(NAME) as mail:
        environment = {
            **provider.environment,
            **FAST,
            "BOTTLEPOST_DATABASE_URL": url,
            "BOTTLEPOST_DATABASE_TIMEOUT_S": "3",
            "BOTTLEPOST_LOG_LEVEL": "debug",
            "BOTTLEPOST_SMTP_URL": mail,
            "BOTTLEPOST_SMTP_FROM": f"Chat <{MAIL}>",
            "BOTTLEPOST_SMTP_DIGEST_S": "0",
            "BOTTLEPOST_VAPID_SUBJECT": f"mailto:{MAIL}",
        }
        with Server(run_dir, environment, HOSTS[host]) as server:
            yield server, store
        push_processes.end_all(run_dir)
    store.close()


class Members:
    """Ann and Bo, who has a device of each platform, and what of theirs is secret."""

    def __init__(self, server: Server, provider: Sandbox) -> None:
        service = server.client
        self.server = server
        body = {"name": NAME, "external_id": f"x-{MAIL}"}
        made = service.post("/users", body).json
        self.ann = service.as_user(made["token"])
        bo = service.post("/users", {"name": f"Bo {NAME}"}).json["id"]
        subscription = provider.subscribe(
            server_key=self.ann.get("/webpush/key").json["public_key"]
        )
        for platform, token in (
            ("apns", APNS_TOKEN),
            ("fcm", FCM_TOKEN),
            ("webpush", json.dumps(subscription)),
            ("email", MAIL),
        ):
            device = {"platform": platform, "token": token}
            assert service.post(f"/users/{bo}/devices", device).status < 300, platform
        chat = self.ann.post("/groupchat", {"name": f"of {NAME}", "members": [bo]})
        self.chat = chat.json["id"]
        self.planted = {
            "user token": made["token"],
            "service key": server.service_key,
            "APNs token": APNS_TOKEN,
            "FCM token": FCM_TOKEN.partition(":")[2],
            "endpoint": subscription["endpoint"].rpartition("/")[2],
            "APNs key id": provider.environment["BOTTLEPOST_APNS_KEY_ID"],
            "text": TEXT,
            "name": NAME,
            "mail address": MAIL,
        }

    def post(self) -> Any:
        body = {"conversation": self.chat, "message": TEXT}
        return self.ann.post("/groupchat/send", body)

    def send_nonsense(self) -> None:
        """Requests that are refused, with secrets where they do not belong."""
        token = self.planted["user token"]
        for body in (f'{{"message": "{TEXT}"', f'"{TEXT}"', json.dumps({TEXT: NAME})):
            self.ann.request("POST", "/groupchat/send", body.encode())
        for headers in (
            {"Authorization": f"Bearer x{token}"},
            {"Authorization": f"Basic {token}", "Cookie": f"bottlepost_user={token}"},
            {"traceparent": token, "X-Request-Id": f"<{TEXT}>"},
        ):
            self.server.client.as_user(None).request("GET", "/groupchat", None, headers)
        quoted = MAIL.replace("@", "%40")
        for path in (
            f"/users?external_id=x-{quoted}",
            f"/groupchat/{token}",
            f"/users/{quoted}",
            f"/devices?token={APNS_TOKEN}",
            f"/unsubscribe/{token}",
        ):
            self.server.client.get(path)


def _read_logs(run_dir: Path) -> str:
    logs = [path for path in run_dir.rglob("*.log*") if path.is_file()]
    return "\n".join(path.read_text(errors="replace") for path in logs)


def _wait_for(run_dir: Path, *words: str) -> None:
    for each in words:
        until(lambda each=each: each in _read_logs(run_dir), what=f"for {each!r}")


@contextmanager
def _refusing(store: Datastore, table: str, condition: str) -> Iterator[None]:
    """The database refuses rows, and its error repeats all of their values."""
    with store.write() as session:
        session.execute(
            sql(f"ALTER TABLE {table} ADD CONSTRAINT no CHECK ({condition}) NOT VALID")
        )
    try:
        yield
    finally:
        with store.write() as session:
            session.execute(sql(f"ALTER TABLE {table} DROP CONSTRAINT no"))


@pytest.mark.parametrize("host", HOSTS)
def test_no_failure_shows_what_is_secret(
    host: str, tmp_path: Path, database: PostgresServer
) -> None:
    with (
        sandbox.running(tmp_path / "sandbox") as provider,
        _system(host, tmp_path, provider, database.url) as (server, store),
    ):
        members = Members(server, provider)
        members.send_nonsense()
        provider.control(answers={APNS_TOKEN: "garbage-400", FCM_TOKEN: "bad-token"})
        job_id = members.post().json["job"]["id"]
        until(lambda: len(device_outcomes.of_job(store, job_id)) >= 3)

        with _refusing(store, "message", "text = ''"):
            assert members.post().status == 500
        with _refusing(store, "push_failure", "outcome = ''"):
            assert members.post().status == 201
            _wait_for(tmp_path, "progress cannot be recorded")
        provider.kill()
        assert members.post().status == 201
        _wait_for(tmp_path, "cannot reach")
        database.stop()
        with suppress(OSError, HTTPException):
            members.post()
        _wait_for(tmp_path, "the database does not answer", "the database is away")
        database.start()
        server.client.post("/groupchat/send", {})

    logs = _read_logs(tmp_path)
    assert "incident" in logs
    assert "CheckViolation" in logs
    assert re.search(r"request=\w+ job=\d+ .*: \d+ devices have accepted, \d", logs)
    assert re.search(r"request=\w+ job=\d+ .* progress cannot be recorded", logs)
    assert "/groupchat/send" in logs
    shown = {kind for kind, secret in members.planted.items() if secret in logs}
    assert shown == set(), [
        line
        for line in logs.splitlines()
        if any(members.planted[kind] in line for kind in shown)
    ]
