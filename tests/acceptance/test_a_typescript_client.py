"""A public linter finds nothing in /openapi.json, and TypeScript can use it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.npm import NpmDirectory, is_installed, is_wanted
from tests.support.server import Server

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(not is_wanted(), reason="is run by make test-clients"),
]
PACKAGES = (
    "@redocly/cli",
    "openapi-fetch",
    "openapi-typescript",
    "typescript",
    "@types/node",
)
COMPILE = ("--strict", "--noUncheckedIndexedAccess", "--target", "es2022")
MODULES = ("--module", "nodenext", "--skipLibCheck", "false", "--types", "node")

POST_A_MESSAGE = """
import createClient from "openapi-fetch";
import type { components, paths } from "./bottlepost.js";

const [url = "", serviceKey = ""] = process.argv.slice(2);

function clientOf(token: string) {
  const headers = { Authorization: `Bearer ${token}` };
  return createClient<paths>({ baseUrl: url, headers });
}

function known<Body>(answer: { data?: Body; error?: unknown }): Body {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

const service = clientOf(serviceKey);
const ann = known(await service.POST("/users", { body: { name: "Ann" } }));
const client = clientOf(ann.token);
const chat = known(await client.POST("/groupchat", { body: { name: "Lunch" } }));
// What has a default may be left out.
const message: components["schemas"]["NewMessage"] = {
  conversation: chat.id,
  message: "Noon?",
};
const answer = await client.POST("/groupchat/send", { body: message });
const sent = known(answer);
const params = { path: { chat_id: chat.id }, query: { limit: 5 } };
const page = known(await client.GET("/groupchat/{chat_id}/messages", { params }));
const noJob = { path: { job_id: 999 } };
const absent = await client.GET("/jobs/{job_id}", { params: noJob });
console.log(JSON.stringify({
  status: answer.response.status,
  job: sent.job.url,
  texts: page.messages.map((one) => one.text),
  problem: absent.error?.error.code,
}));
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture(scope="module")
def npm(
    server: Server,
    tmp_path_factory: pytest.TempPathFactory,
    missing: Callable[[str], None],
) -> NpmDirectory:
    """The programs, beside the served document."""
    if not is_installed():
        missing("npm")
    directory = NpmDirectory(tmp_path_factory.mktemp("npm"))
    directory.install(PACKAGES)
    document = server.client.get("/openapi.json").body
    (directory.path / "openapi.json").write_bytes(document)
    return directory


def test_the_linter_finds_nothing(npm: NpmDirectory) -> None:
    printed = npm.run("redocly", "lint", "--format", "json", "openapi.json")

    assert json.loads(printed)["problems"] == []


def test_a_typescript_client_posts_a_message(npm: NpmDirectory, server: Server) -> None:
    npm.run("openapi-typescript", "openapi.json", "-o", "bottlepost.d.ts")
    Path(npm.path / "post.ts").write_text(POST_A_MESSAGE)
    npm.run("tsc", *COMPILE, *MODULES, "post.ts")

    said = json.loads(npm.node("post.js", server.url, server.service_key))

    assert said == {
        "status": 201,
        "job": said["job"],
        "texts": ["Noon?"],
        "problem": "not_found",
    }
    assert server.client.get(said["job"]).status == 200
