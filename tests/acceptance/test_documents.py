"""What README and docs show is true: commands run, and answers look like the samples.

`tests.support.documents` says how blocks are run, and how one is left out.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.documents import blocks
from tests.support.documents.blocks import Block
from tests.support.documents.runner import Runner, write_files
from tests.support.sandbox import Sandbox
from tests.support.server import Server
from tests.support.wait import until

PAGES = [page for page in blocks.pages() if blocks.of(page)]
PHONE = "c" * 22 + ":" + "APA91b" + "x" * 134


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """Ann and Ben in a conversation, a message that was pushed, and the sandbox."""
    directory: Path = tmp_path_factory.mktemp("docs")
    write_files(directory)
    (directory / "var").mkdir(mode=0o700)
    sandbox = Sandbox(directory / "var/sandbox").start()
    environment = {
        **sandbox.environment,
        "BOTTLEPOST_VAPID_SUBJECT": "mailto:you@example.org",
        # A wrong file would stop the start.
        "BOTTLEPOST_CATALOGUE_DIR": str(directory / "texts"),
    }
    try:
        with Server(directory / "var", environment) as server:
            tokens = _begin(server)
            yield Runner(directory, server, sandbox, **tokens)
    finally:
        sandbox.stop()


def _begin(server: Server) -> dict[str, str]:
    ann, ben = (
        server.client.post("/users", {"name": name, "external_id": f"u-{number}"}).json
        for number, name in enumerate(("Ann", "Ben"), 1)
    )
    user = server.client.as_user(ann["token"])
    server.client.as_user(ben["token"]).post(
        "/devices", {"platform": "fcm", "token": PHONE}
    )
    chat = {"name": "Lighthouse", "members": [ben["id"]]}
    made = user.post("/groupchat", chat).json
    sent = {"conversation": made["id"], "message": "Ahoy!"}
    job = user.post("/groupchat/send", sent).json["job"]

    def is_pushed() -> bool:
        return bool(user.get(job["url"]).json["state"] == "completed")

    until(is_pushed, what="for the first push")
    return {"TOKEN": ann["token"], "ANN": ann["token"], "BEN": ben["token"]}


@pytest.mark.parametrize("page", PAGES)
def test_page_is_true(runner: Runner, page: str) -> None:
    runner.run(page)


def every_block() -> list[Block]:
    return [block for page in PAGES for block in blocks.of(page)]


def test_every_block_has_a_language() -> None:
    """So that no command is passed over."""
    known = (*blocks.COMMANDS, "json", *blocks.OTHERS)

    assert not [str(block) for block in every_block() if block.language not in known]


def test_no_command_hides_in_another_language() -> None:
    hidden = [
        str(block)
        for block in every_block()
        if block.language in blocks.OTHERS and block.text.lstrip().startswith("$ ")
    ]

    assert not hidden


def test_every_block_that_is_left_out_says_why() -> None:
    short = [
        str(block)
        for block in every_block()
        if block.is_left_out and len(block.note.split()) < 3
    ]

    assert not short
