"""The link in a real mail ends the mails (RFC 8058)."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from datastore import Datastore
from tests.support import databases
from tests.support.chat_api import SERVICE_KEY, ChatApi, User
from tests.support.email_service import EmailService
from tests.support.notifications import make_target

ADDRESS = "bob@example.org"


@pytest.fixture
def chat_api(tmp_path: Path) -> Iterator[ChatApi]:
    built = ChatApi(Datastore(databases.fresh_url("sqlite", tmp_path)))
    yield built
    built.store.close()


def register(chat_api: ChatApi, user: User) -> int:
    body = {"platform": "email", "token": ADDRESS}
    answer = chat_api.service.post(f"/users/{user.id}/devices", body)
    return int(answer.json["id"])


def is_disabled(user: User) -> bool:
    (device,) = user.client.get("/devices").json["devices"]
    return device["disabled_at"] is not None


@pytest.mark.parametrize("digest_s", [0.0, 60.0])
@pytest.mark.parametrize("prefix", ["", "/behind/a/proxy"])
async def test_link_of_a_mail_ends_the_mails(
    email: EmailService, chat_api: ChatApi, digest_s: float, prefix: str
) -> None:
    public_url = f"https://chat.example.org{prefix}"
    email.configure(
        public_url=public_url, service_key=SERVICE_KEY, smtp_digest_s=digest_s
    )
    bob = chat_api.user("Bob")
    target = make_target(register(chat_api, bob), ADDRESS, platform="email", attempts=1)

    reports = await email.send([target])

    assert reports.kinds() == ["accepted"]
    (received,) = email.server.inbox
    mail = received.mail
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    found = re.match(r"<([^>]+)>, <mailto:[^>]+>$", mail["List-Unsubscribe"])
    assert found is not None
    # Nothing in it tells who gets the mail.
    assert ADDRESS not in found[1]
    assert found[1].startswith(f"{public_url}/unsubscribe/")
    answer = chat_api.anonymous.request(
        "POST",
        found[1].removeprefix(public_url),
        mail["List-Unsubscribe-Post"].encode(),
        CONTENT_TYPE="application/x-www-form-urlencoded",
    )
    assert answer.status == 200
    assert is_disabled(bob)


async def test_without_a_public_address_mails_are_as_before(
    email: EmailService,
) -> None:
    await email.send([make_target(1, ADDRESS, platform="email", attempts=1)])

    (received,) = email.server.inbox
    assert "List-Unsubscribe-Post" not in received.mail
    assert received.mail["List-Unsubscribe"].startswith("<mailto:")
