"""Imports a file with a real browser without scripts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from api.imports import UPLOAD_LIMIT
from tests.support.browser import Tab
from tests.support.running_system import RunningSystem
from tests.support.uploads import crew, json_lines

PEOPLE = 2000


@pytest.fixture
def page(browser: Any, system: RunningSystem) -> Iterator[Page]:
    """The form, opened by an operator."""
    with Tab(browser, java_script_enabled=False) as tab:
        tab.page.goto(f"{system.server.url}/imports")
        tab.page.get_by_label("Service key").fill(system.server.service_key)
        tab.page.get_by_role("button", name="Sign in").click()
        expect(
            tab.page.get_by_role("heading", name="Import", exact=True)
        ).to_be_visible()
        yield tab.page


def choose(page: Page, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    page.get_by_label("CSV or JSON lines").set_input_files(path)
    page.get_by_role("button", name="Import").click()


def test_a_file_leads_to_its_result_and_its_bad_lines(page, tmp_path) -> None:
    rows = json_lines(*crew(PEOPLE)) + b'{"type": "user", "name": "Nameless"}\n'

    choose(page, tmp_path / "crew.ndjson", rows)

    # The page reloads until there is a result.
    page.wait_for_url("**/imports/1/result", timeout=60_000)
    expect(
        page.get_by_text(f"{3 * PEOPLE + 2:,} of {3 * PEOPLE + 2:,} rows")
    ).to_be_visible()
    expect(page.get_by_role("row", name=f"{3 * PEOPLE + 2} ")).to_contain_text(
        "external_id"
    )
    page.get_by_role("link", name="Import another file").click()
    expect(page.get_by_role("region", name="Recent imports")).to_contain_text(
        "completed"
    )


def test_the_refusal_of_a_large_file_has_a_reason(page, tmp_path) -> None:
    # The browser sends the whole form before it reads the response.
    choose(page, tmp_path / "crew.csv", b"ship\n" + b"Argo\n" * 4_000_000)

    expect(page.get_by_role("main")).to_contain_text("unknown columns: ship.")


def test_a_file_that_is_too_large_is_refused(page, tmp_path) -> None:
    choose(page, tmp_path / "crew.csv", b"type\n" * (UPLOAD_LIMIT // 5 + 100_000))

    expect(page.get_by_role("main")).to_contain_text("A file may have up to 64 MiB.")
