"""The demo page gives the reason if a browser gets no notifications."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support import demo_notifications
from tests.support.browser import PLAIN_HOST, Tab
from tests.support.demo import Demo, RunningDemo
from tests.support.wait import until

NO_ANSWER = """PushManager.prototype.subscribe = () => {
  window.isAsked = true;
  return new Promise(() => {});
};"""


@pytest.fixture(scope="module")
def running_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    with Demo(tmp_path_factory.mktemp("no-notifications") / "var") as demo:
        yield RunningDemo(demo)


@pytest.fixture
def tab(browser: Any, running_demo: RunningDemo) -> Iterator[Tab]:
    """The demo page, with permission for notifications."""
    with Tab(browser) as tab:
        tab.page.context.grant_permissions(["notifications"], origin=running_demo.url)
        yield tab


def test_a_browser_without_a_push_service_says_so(tab, running_demo) -> None:
    page = tab.page
    page.goto(running_demo.url)

    # Chromium itself reports this, because it cannot reach its push service.
    demo_notifications.button(page).click()

    expect(demo_notifications.status(page)).to_contain_text(
        "push service gave no subscription"
    )
    expect(demo_notifications.button(page)).to_be_enabled()
    assert demo_notifications.browsers_of(running_demo, "Ada") == []


def test_a_push_service_that_never_answers_is_not_waited_for(tab, running_demo) -> None:
    page = tab.page
    page.clock.install()
    page.add_init_script(NO_ANSWER)
    page.goto(running_demo.url)
    demo_notifications.button(page).click()
    until(lambda: page.evaluate("window.isAsked"), what="for it to be asked")

    page.clock.fast_forward(20_000)

    expect(demo_notifications.status(page)).to_contain_text("it does not answer")


def test_without_permission_it_says_so(browser, running_demo) -> None:
    with Tab(browser) as tab:
        tab.page.goto(running_demo.url)

        # Headless Chromium cannot ask the user, so it denies the permission.
        demo_notifications.button(tab.page).click()

        expect(demo_notifications.status(tab.page)).to_contain_text(
            "Notifications from this page are blocked"
        )
        expect(demo_notifications.button(tab.page)).to_be_disabled()


def test_over_plain_http_it_says_so(browser, running_demo) -> None:
    with Tab(browser) as tab:
        tab.page.goto(running_demo.url.replace("127.0.0.1", PLAIN_HOST))

        expect(demo_notifications.status(tab.page)).to_contain_text(
            "only over HTTPS or on localhost"
        )
        expect(demo_notifications.button(tab.page)).to_be_disabled()
