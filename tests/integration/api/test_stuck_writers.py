"""A running server while SQLite lets nobody write."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select

from datastore import Datastore
from datastore.write_turn import WAIT_S
from models.chats import Message
from tests.support import stuck_writers
from tests.support.client import Client, Reply
from tests.support.server import Server
from tests.support.wait import until

# More than the threads of the server that answer short requests.
SENDERS = 100
# Reads answer sooner than a writer gives up; on a busy machine, not at once.
SOON_S = WAIT_S / 2
# Of a busy machine, for a hundred answers.
SLACK_S = 15.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"BOTTLEPOST_WORKERS": "1", "BOTTLEPOST_WATCHDOG_S": "0.5"}
    with Server(tmp_path_factory.mktemp("server"), settings) as started:
        yield started


def database_of(server: Server) -> Path:
    return server.run_dir / "bottlepost.db"


def count_messages(server: Server, chat: int) -> int:
    store = Datastore(f"sqlite:///{database_of(server)}")
    with store.read() as session:
        query = select(func.count()).select_from(Message)
        found = session.scalars(query.where(Message.chat_id == chat)).one()
    store.close()
    return found


def took_s(client: Client, path: str) -> float:
    started = time.monotonic()
    assert client.get(path).status in (200, 503)
    return time.monotonic() - started


@pytest.mark.parametrize("kind", stuck_writers.KINDS)
def test_writers_get_503_in_time_and_reads_go_on(server: Server, kind: str) -> None:
    _, ann = server.user("Ann")
    chat = ann.post("/groupchat", {"name": "Alone"}).json["id"]

    def send(number: int) -> tuple[Reply, float]:
        began = time.monotonic()
        body = {
            "conversation": chat,
            "message": f"number {number}",
            "client_id": f"{kind}-{number}".replace(" ", "-"),
        }
        return ann.post("/groupchat/send", body), time.monotonic() - began

    paths = ("/healthz", "/readyz", f"/groupchat/{chat}/messages")
    with ThreadPoolExecutor(SENDERS) as threads:
        with stuck_writers.KINDS[kind](database_of(server)):
            posted = [threads.submit(send, number) for number in range(SENDERS)]
            waits = []
            while not all(each.done() for each in posted):
                waits += [took_s(ann, path) for path in paths]
            until(lambda: ann.get("/readyz").status == 503)
            refused = [each.result() for each in posted]
            health = ann.get("/healthz").status
        until(lambda: ann.get("/readyz").status == 200)
        accepted = [reply for reply, _ in threads.map(send, range(SENDERS))]
        again = [reply for reply, _ in threads.map(send, range(SENDERS))]

    assert {reply.status for reply, _ in refused} == {503}
    assert all(int(reply.headers["retry-after"]) >= 1 for reply, _ in refused)
    # Those that found no thread waited for the first ones, too.
    assert max(seconds for _, seconds in refused) < 3 * WAIT_S + SLACK_S
    assert max(waits) < SOON_S
    assert health == 200
    assert {reply.status for reply in accepted} == {201}
    assert {reply.status for reply in again} == {200}
    assert count_messages(server, chat) == SENDERS
