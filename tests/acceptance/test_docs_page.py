"""The API's description in a browser: it is searched, and a request is tried out."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.browser import Tab
from tests.support.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as started:
        yield started


def test_a_search_finds_the_requests_with_all_words(
    browser: Any, server: Server
) -> None:
    with Tab(browser) as tab:
        page = tab.page
        page.goto(f"{server.url}/docs")

        page.keyboard.press("/")
        page.keyboard.type("groupchat client_id POST")

        expect(page.locator("#groupchat_send")).to_be_visible()
        expect(page.locator("#imports_start")).to_be_hidden()
        expect(page.get_by_role("heading", name="Imports")).to_be_hidden()
        expect(page.get_by_role("status").first).to_contain_text("of")
        assert tab.complaints == []


def test_a_request_is_tried_out(browser: Any, server: Server) -> None:
    with Tab(browser) as tab:
        page = tab.page
        page.goto(f"{server.url}/docs#accounts_create_user")
        page.get_by_label("Token for").fill(server.service_key)
        create = page.locator("#accounts_create_user")

        # The example of the body is there already.
        create.get_by_role("button", name="Send").click()

        expect(create.locator(".try .status")).to_contain_text("201")
        made = json.loads(create.locator(".answer").inner_text())
        assert made["external_id"] == "u-1"
        curl = create.locator(".curl")
        expect(curl).to_contain_text(f"{server.url}/users")
        expect(curl).not_to_contain_text(server.service_key)

        page.goto(f"{server.url}/docs#accounts_find_user")
        find = page.locator("#accounts_find_user")
        page.get_by_label("Token for").fill(server.service_key)
        find.get_by_label("external_id").fill("u-1")
        find.get_by_role("button", name="Send").click()

        expect(find.locator(".answer")).to_contain_text('"name": "Ann"')
        assert tab.complaints == []
        assert all(address.startswith(server.url) for address in tab.addresses)


def test_a_file_is_tried_out_in_both_types(browser: Any, server: Server) -> None:
    with Tab(browser) as tab:
        page = tab.page
        page.goto(f"{server.url}/docs#imports_start")
        page.get_by_label("Token for").fill(server.service_key)
        imports = page.locator("#imports_start")

        for media_type in ("text/csv", "application/x-ndjson"):
            imports.get_by_label("Content-Type").select_option(media_type)
            imports.get_by_role("button", name="Send").click()

            expect(imports.locator(".try .status")).to_contain_text("202")
        assert tab.complaints == []


def test_an_error_leads_to_the_table_of_errors(browser: Any, server: Server) -> None:
    with Tab(browser, java_script_enabled=False) as tab:
        page = tab.page
        page.goto(f"{server.url}/docs")
        send = page.locator("#groupchat_send")
        send.locator("> summary").click()

        send.get_by_role("link", name="409", exact=True).click()

        errors = page.locator("#error-409")
        expect(errors).to_be_in_viewport()
        for code in ("conflict", "client_id_used", "kind_of_file"):
            expect(errors).to_contain_text(code)
