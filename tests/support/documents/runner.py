"""Runs the blocks of a page against a server and its sandbox."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema

from tests.support.client import Client, Reply
from tests.support.documents import blocks, likeness
from tests.support.documents.blocks import Block
from tests.support.sandbox import Sandbox
from tests.support.server import Server

# What a page says happens in the background, such as a push, has so long.
PATIENCE_S = 20.0
PAUSE_S = 0.05
COMMAND_S = 60.0
# What changes the machine on which the tests run, or does not end.
OF_THE_MACHINE = re.compile(
    r"\b(sudo|pip3? install|docker|systemctl|apt|apt-get|make|npm|bottlepost serve"
    r"|python server\.py)\b"
)
APPLE = "https://api.push.apple.com"


def write_files(directory: Path) -> None:
    """Write the blocks of all pages that are files."""
    for block in (each for page in blocks.pages() for each in blocks.of(page)):
        if block.verb == "file":
            path = directory / block.note
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text + "\n")


class Failed(AssertionError):
    """A block is not true; the message names it."""


class Runner:
    """Runs blocks in a directory of their own; variables stay from block to block."""

    def __init__(
        self, directory: Path, server: Server, sandbox: Sandbox, **variables: str
    ) -> None:
        self._directory = directory
        self._sandbox = sandbox
        self._service = Client(server.url, server.service_key)
        self._openapi = self._service.get("/openapi.json").json
        self._output = ""
        # Addresses as the pages have them, and where they are here.
        self._places = {
            "http://127.0.0.1:8080": server.url,
            "https://127.0.0.1:8443": sandbox.url,
        }
        self._environment = {
            **server.environment,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "URL": server.url,
            "SERVICE_KEY": server.service_key,
            "JSON": "Content-Type: application/json",
            **variables,
        }

    def run(self, page: str) -> None:
        """Run a page; raises Failed for the first block that is not true."""
        try:
            for block in blocks.of(page):
                if not block.is_left_out:
                    self._run(block)
        finally:
            # A page may make the sandbox fail.
            self._sandbox.reset()

    def _run(self, block: Block) -> None:
        if block.language in blocks.COMMANDS:
            self._run_commands(block)
        elif block.language == "json":
            self._compare(block)

    def _run_commands(self, block: Block) -> None:
        if found := OF_THE_MACHINE.search(block.text):
            raise Failed(
                f"{block}: {found[0]!r} is not for a test: say why it is not run"
            )
        if block.language == "sh":
            self._output = self._bash(block, block.text)
            return
        for command, sample in _dialogue(block.text):
            self._try(block, command, sample)

    def _try(self, block: Block, command: str, sample: str) -> None:
        """Run a command; one that only asks is repeated until it answers like it."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self._output = self._bash(block, command)
            wrong = self._differs(block, sample)
            is_question = "curl" in command and " -d " not in command
            if wrong is None:
                return
            if not is_question or "--data" in command or time.monotonic() > deadline:
                raise Failed(f"{block}: {command}: {wrong}")
            time.sleep(PAUSE_S)

    def _differs(self, block: Block, sample: str) -> str | None:
        if not sample:
            return None
        try:
            wanted = likeness.parse(sample)
        except ValueError:
            # The sandbox stands here for Apple.
            shown = self._output.replace(self._sandbox.url, APPLE)
            return likeness.text_difference(sample, shown)
        real = self._json(block)
        self._remember(real)
        return likeness.difference(wanted, real)

    def _remember(self, answer: Any) -> None:
        """The token of a new user, under the user's name."""
        if isinstance(answer, dict) and {"name", "token"} <= answer.keys():
            self._environment[answer["name"].upper()] = answer["token"]

    def _bash(self, block: Block, command: str) -> str:
        for shown, real in self._places.items():
            command = command.replace(shown, real)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self._directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        if done.returncode:
            raise Failed(f"{block}: {command}\n{done.stdout}{done.stderr}")
        # curl says that it is done also for an error of ours.
        if '{"error":' in done.stdout.replace(" ", "") and '"error"' not in block.text:
            raise Failed(f"{block}: {command}\n{done.stdout}")
        return done.stdout

    def _json(self, block: Block) -> Any:
        try:
            return json.loads(self._output)
        except ValueError:
            raise Failed(f"{block}: this is no JSON: {self._output}") from None

    def _compare(self, block: Block) -> None:
        if block.verb == "file":
            return
        if block.verb in ("body of", "schema of"):
            self._validate(block)
            return
        if block.verb == "sent":
            method, path = block.note.split()
            reply = self._service.request(method, path, likeness.parse(block.text))
            if reply.status >= 300:
                raise Failed(f"{block}: {reply.status} {reply.body.decode()}")
            return
        if block.verb == "answer to":
            self._output = self._ask(block.note).body.decode()
        wrong = likeness.difference(likeness.parse(block.text), self._json(block))
        if wrong is not None:
            raise Failed(f"{block}: {wrong}")

    def _ask(self, note: str) -> Reply:
        method, path, *body = note.split(maxsplit=2)
        user = self._service.as_user(self._environment["TOKEN"])
        return user.request(method, path, json.loads(body[0]) if body else None)

    def _validate(self, block: Block) -> None:
        method, path, *status = block.note.split()
        operation = self._openapi["paths"][path][method.lower()]
        holder = (
            operation["responses"][status[0]] if status else operation["requestBody"]
        )
        schema = holder["content"]["application/json"]["schema"]
        # References lead from the root of the document.
        whole = {**schema, "components": self._openapi["components"]}
        try:
            jsonschema.validate(likeness.parse(block.text), whole)
        except jsonschema.ValidationError as problem:
            raise Failed(f"{block}: {problem.message}") from None


def _dialogue(text: str) -> Iterator[tuple[str, str]]:
    """Commands, which follow a $, and their answers."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.split("\n")
        end = 1
        while lines[end - 1].endswith("\\"):
            end += 1
        yield "\n".join(lines[:end]), "\n".join(lines[end:]).strip()
