"""A provider is out of reach: the operator sees it everywhere, until it is over."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from tests.support import sandbox as sandboxes
from tests.support.client import Client
from tests.support.running_system import FAST, RunningSystem
from tests.support.server import Server
from tests.support.wait import until

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def system(tmp_path: Path) -> Iterator[RunningSystem]:
    # Of its own, because it is stopped.
    with sandboxes.running(tmp_path / "sandbox") as sandbox:
        server = Server(tmp_path, {**sandbox.environment, **FAST})
        system = RunningSystem(tmp_path, server, sandbox)
        try:
            yield system
        finally:
            system.store.close()
            server.stop()


def troubles(system: RunningSystem) -> list[str]:
    answer = Client(system.server.url).get("/readyz")
    assert answer.status == 200
    return [each["route"] for each in answer.json["troubles"]]


def dashboard(system: RunningSystem) -> str:
    form = urlencode({"service_key": system.server.service_key}).encode()
    client = Client(system.server.url)
    signed_in = client.request("POST", "/dashboard/login", form, FORM)
    cookie = signed_in.headers["set-cookie"].partition(";")[0]
    page = client.request("GET", "/dashboard", headers={"Cookie": cookie})
    return page.body.decode()


def test_an_outage_is_shown_everywhere_and_goes_with_it(system: RunningSystem) -> None:
    conversation = system.conversation(1, platforms=["apns"])
    host = urlsplit(system.sandbox.environment["BOTTLEPOST_APNS_URL"]).netloc
    system.sandbox.stop()

    posted = conversation.post()
    until(lambda: troubles(system), what="for the trouble")

    assert troubles(system) == [f"apns {host}"]
    url = posted.json["job"]["url"]
    job = until(
        lambda: (
            found
            if (found := system.server.client.get(url).json)["error"] is not None
            else None
        ),
        what="for the reason in the job",
    )
    assert job["error"].startswith(f"apns: {host}: ")
    seen_by_member = conversation.sender.get(url).json["error"]
    assert seen_by_member == "apns: the pushes were not accepted"
    assert f"<b>apns {host}</b>" in dashboard(system)

    system.sandbox.start()

    job = system.wait_until_ended(conversation, posted)
    assert (job["state"], job["error"]) == ("completed", None)
    until(lambda: not troubles(system), what="for the end of the trouble")
    assert "has been in trouble" not in dashboard(system)
