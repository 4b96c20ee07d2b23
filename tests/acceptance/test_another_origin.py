"""A page of another origin, in a real browser, calls the API behind a proxy."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support import push_processes, tls, tls_proxy
from tests.support.browser import Tab
from tests.support.client import Client
from tests.support.demo import Demo, RunningDemo
from tests.support.server import Server, free_port

CALL = """async ([url, token, method, body]) => {
  const headers = { Authorization: `Bearer ${token}`, "X-Request-Id": "page-1" };
  if (body !== null) headers["Content-Type"] = "application/json";
  const answer = await fetch(url, { method, headers, body });
  return [answer.status, await answer.text(), answer.headers.get("Retry-After")];
}"""
BLOCKED = """async (url) => {
  try { return (await fetch(url, { credentials: "include" })).status; }
  catch (problem) { return problem.name; }
}"""


class _Page(BaseHTTPRequestHandler):
    """A web app somewhere else."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>An app</title>")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def web_app(port: int) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", port), _Page)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class World:
    """The server behind its proxy, and two web apps, of which it knows one."""

    def __init__(self, server: Server, url: str, app: str, stranger: str) -> None:
        self.server, self.url, self.app, self.stranger = server, url, app, stranger


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("origin")
    known, unknown = free_port(), free_port()
    environment = {
        "BOTTLEPOST_TRUSTED_PROXIES": "127.0.0.1",
        "BOTTLEPOST_CORS_ORIGINS": f"http://127.0.0.1:{known}",
        "BOTTLEPOST_USER_SENDS_PER_MINUTE": "2",
    }
    identity = tls.make_authority().issue("127.0.0.1")
    with (
        Server(directory, environment) as server,
        tls_proxy.own(server.port, identity) as url,
        web_app(known) as app,
        web_app(unknown) as stranger,
    ):
        yield World(server, url, app, stranger)
    push_processes.end_all(directory)


def ann_and_her_chat(world: World) -> tuple[Client, int]:
    _, ann = world.server.user("Ann")
    return ann, ann.post("/groupchat", {"name": "Deck"}).json["id"]


def call(
    page: Page, url: str, token: str | None, method: str = "GET", body: Any = None
) -> list[Any]:
    return list(page.evaluate(CALL, [url, token, method, body]))


def test_a_page_elsewhere_posts_and_reads_errors(
    browser: Browser, world: World
) -> None:
    ann, chat = ann_and_her_chat(world)
    body = f'{{"conversation": {chat}, "message": "Ahoy"}}'
    send = f"{world.url}/groupchat/send"
    with Tab(browser, ignore_https_errors=True) as tab:
        tab.page.goto(world.app)

        sent = call(tab.page, send, ann.token, "POST", body)
        read = call(
            tab.page,
            f"{world.url}/groupchat/{chat}/messages?after=0&wait=20",
            ann.token,
        )
        refused = call(tab.page, send, "nobody", "POST", body)
        malformed = call(tab.page, send, ann.token, "POST", "{")
        large = call(tab.page, send, ann.token, "POST", "x" * 200_000)
        call(tab.page, send, ann.token, "POST", body)
        limited = call(tab.page, send, ann.token, "POST", body)

    assert sent[0] == 201
    assert '"text":"Ahoy"' in read[1]
    assert [each[0] for each in (refused, malformed, large)] == [401, 400, 413]
    assert '"code": "unauthorized"' in refused[1]
    assert limited[0] == 429
    # The script may read this header.
    assert int(limited[2]) >= 1


def test_other_pages_read_nothing(browser: Browser, world: World) -> None:
    with Tab(browser, ignore_https_errors=True) as tab:
        tab.page.goto(world.stranger)
        assert tab.page.evaluate(BLOCKED, f"{world.url}/healthz") == "TypeError"
        # Not even the known app reads a page that works with cookies.
        tab.page.goto(world.app)
        assert tab.page.evaluate(BLOCKED, f"{world.url}/dashboard") == "TypeError"


def test_the_dashboard_works_under_the_prefix(browser: Browser, world: World) -> None:
    with Tab(browser, ignore_https_errors=True) as tab:
        page = tab.page
        page.goto(f"{world.url}/dashboard")
        page.get_by_label("Service key").fill(world.server.service_key)
        page.get_by_role("button", name="Sign in").click()

        expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()
        assert page.url == f"{world.url}/dashboard"
        (cookie,) = tab.page.context.cookies()
        assert (cookie["path"], cookie["secure"]) == (tls_proxy.PREFIX, True)
        for name in ("Import", "Notifications"):
            page.get_by_role("link", name=name).first.click()
            expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
            page.go_back()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Service key")).to_be_visible()
        page.get_by_role("link", name="API").first.click()
        expect(page.get_by_role("heading", name="The API")).to_be_visible()
        assert tab.complaints == []
        assert all(address.startswith(world.url) for address in tab.addresses)


def test_the_demo_works_under_the_prefix(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    run_dir = tmp_path_factory.mktemp("demo") / "var"
    identity = tls.make_authority().issue("127.0.0.1")
    with (
        Demo(run_dir, BOTTLEPOST_TRUSTED_PROXIES="127.0.0.1") as demo,
        Tab(browser, ignore_https_errors=True) as tab,
    ):
        RunningDemo(demo)
        port = int(demo.settings["BOTTLEPOST_PORT"])
        with tls_proxy.own(port, identity) as url:
            tab.page.goto(f"{url}/")
            tab.page.get_by_role("textbox", name="Message").fill("Land in sight!")
            tab.page.keyboard.press("Enter")

            expect(tab.page.locator(".cards li").first).to_contain_text("Land in")
            link = tab.page.get_by_role("link", name="Details")
            expect(link).to_have_attribute("href", f"{tls_proxy.PREFIX}/jobs/1")
            link.click()
            expect(tab.page).to_have_url(f"{url}/jobs/1/result")
        assert tab.complaints == []
        assert all(address.startswith(url) for address in tab.addresses)
