"""A client generated from /openapi.json works."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import generated_client
from tests.support.server import Server

# `make test` runs it, too; the generator is one of its packages.
pytestmark = pytest.mark.clients

POST_A_MESSAGE = """
import json
import httpx
from generated import AuthenticatedClient
from generated.api.accounts import accounts_create_user
from generated.api.chats import chats_create
from generated.api.groupchat import groupchat_history, groupchat_send
from generated.models import Error, NewChat, NewMessage, NewUser

url, service_key = sys.argv[1:]
PATIENCE = httpx.Timeout(60)
with AuthenticatedClient(url, service_key, timeout=PATIENCE) as service:
    ann = accounts_create_user.sync(client=service, body=NewUser(name="Ann"))
with AuthenticatedClient(url, ann.token, timeout=PATIENCE) as client:
    chat = chats_create.sync(client=client, body=NewChat(name="Lunch"))
    body = NewMessage(conversation=chat.id, message="Noon?")
    sent = groupchat_send.sync_detailed(client=client, body=body)
    page = groupchat_history.sync(chat.id, client=client)
    absent = groupchat_history.sync(999, client=client)
assert isinstance(absent, Error)
print(json.dumps({
    "status": sent.status_code,
    "job": sent.parsed.job.url,
    "texts": [message.text for message in page.messages],
    "problem": absent.error.code,
}))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture(scope="module")
def directory(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the generated package."""
    directory = tmp_path_factory.mktemp("client")
    # The first request builds the document; the generator waits only five seconds.
    server.client.get("/openapi.json")
    generated_client.generate(f"{server.url}/openapi.json", directory)
    return directory


def test_generated_client_posts_a_message(server: Server, directory: Path) -> None:
    printed = generated_client.run(
        POST_A_MESSAGE, directory, server.url, server.service_key
    )

    said = json.loads(printed)
    assert said == {
        "status": 201,
        "job": said["job"],
        "texts": ["Noon?"],
        "problem": "not_found",
    }
    assert server.client.get(said["job"]).status == 200


def test_client_has_every_operation(server: Server, directory: Path) -> None:
    paths = server.client.get("/openapi.json").json["paths"].values()
    operations = {each["operationId"] for path in paths for each in path.values()}

    made = {
        module.stem for module in (directory / generated_client.PACKAGE).rglob("*.py")
    }

    # The generator supports neither JSON lines nor CSV.
    assert operations - made == {"imports_start"}
