"""The pages in a real browser, with a real server and the sandbox."""

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import Tab
from tests.support.demo import Demo, RunningDemo
from tests.support.uploads import crew, json_lines

# Responses that are final, so that the job fails.
REFUSALS = {
    "iPad": "payload-too-large",
    "Pixel": "invalid-payload",
    "Galaxy": "invalid-payload",
}
PAGES = [
    "/",
    "/dashboard",
    "/dashboard/users/1",
    "/jobs/1/result",
    "/imports",
    "/notifications",
    "/docs",
    "/nowhere",
]

# The edges of each panel of the dashboard.
PANELS = """() => [...document.querySelectorAll(".tiles > div, .plot, .panel")]
  .map((one) => one.getBoundingClientRect())
  .map((box) => [box.top, box.left, box.right, box.bottom].map(Math.round))"""
# How many parts of a page do not fit into its width.
SCROLLED_SIDEWAYS = """() => [...document.querySelectorAll("html, .wide")]
  .filter((one) => one.scrollWidth > one.clientWidth).length"""


@pytest.fixture(scope="module")
def running_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    with Demo(tmp_path_factory.mktemp("pages") / "var") as demo:
        running_demo = RunningDemo(demo)
        assert running_demo.say("Good morning!")["id"] == 1
        headers = {"Content-Type": "application/x-ndjson"}
        rows = json_lines(*crew(1000))
        running_demo.service.request("POST", "/import", rows, headers)
        yield running_demo


def phone_of(owner: str, model: str) -> str:
    return f"{owner}\N{RIGHT SINGLE QUOTATION MARK}s {model}"


def cards(page: Page, phone: str) -> Any:
    return page.get_by_role("log", name=f"Notifications on {phone}").locator("li")


def write(page: Page, text: str) -> None:
    page.get_by_role("textbox", name="Message").fill(text)
    page.keyboard.press("Enter")


def sign_in(page: Page, running_demo: RunningDemo) -> None:
    page.goto(f"{running_demo.url}/dashboard")
    page.get_by_label("Service key").fill(running_demo.service_key)
    page.get_by_role("button", name="Sign in").click()


def test_a_message_is_written_and_seen_on_the_phones(browser, running_demo) -> None:
    with Tab(browser) as tab:
        page = tab.page
        page.goto(running_demo.url)

        write(page, "Land in sight!")

        expect(page.get_by_role("log", name="Messages")).to_contain_text("Land in")
        for phone in (
            phone_of("Bo", "iPad"),
            phone_of("Bo", "Pixel"),
            phone_of("Cleo", "Galaxy"),
        ):
            expect(cards(page, phone).first).to_contain_text("Ada")
            expect(cards(page, phone).first).to_contain_text("Land in sight!")
        expect(page.locator("#job")).to_contain_text("3 of 3 devices reached")
        expect(
            page.get_by_role("heading", name=phone_of("Ada", "iPhone"))
        ).to_be_hidden()
        assert tab.complaints == []
        assert all(address.startswith(running_demo.url) for address in tab.addresses)


def test_the_bar_of_a_job_is_not_full_without_a_device(browser, running_demo) -> None:
    with Tab(browser) as tab, running_demo.answering(Galaxy="invalid-payload"):
        page = tab.page
        page.goto(running_demo.url)

        write(page, "Not for all")

        expect(page.locator("#job")).to_contain_text("2 of 3 devices reached")
        expect(page.get_by_label("Devices reached")).to_have_js_property("value", 2)
        page.get_by_role("link", name="Details").click()
        heading = page.get_by_role("heading", name="Done, but 1 device was not reached")
        expect(heading).to_be_visible()


def test_another_member_sees_it_live_and_answers(browser, running_demo) -> None:
    with Tab(browser) as ada, Tab(browser) as bo:
        ada.page.goto(running_demo.url)
        bo.page.goto(running_demo.url)
        bo.page.get_by_role("radio", name="Bo").check()

        write(bo.page, "Which one? <b>I see</b> fog.")

        bubble = ada.page.get_by_role("log", name="Messages").locator("li").last
        expect(bubble).to_contain_text("Bo")
        expect(bubble).to_contain_text("<b>I see</b> fog.")
        phone = cards(bo.page, phone_of("Ada", "iPhone")).first
        expect(phone).to_contain_text("<b>I see</b> fog.")
        assert ada.complaints == bo.complaints == []


PHONE = {"width": 390, "height": 844}


def test_the_last_message_and_a_phone_are_in_view_on_a_phone(
    browser, running_demo
) -> None:
    with Tab(browser, viewport=PHONE) as tab:
        page = tab.page
        page.goto(running_demo.url)
        for number in range(6):
            write(page, f"Wave {number}, and some words that need a second line")
            expect(page.locator("#job")).to_contain_text("3 of 3 devices reached")
            last = page.get_by_role("log", name="Messages").locator("li").last
            expect(last).to_contain_text(f"Wave {number}")

        expect(last).to_be_in_viewport(ratio=1)
        phone = cards(page, phone_of("Bo", "iPad")).first
        expect(phone).to_contain_text("Wave 5")
        expect(phone).to_be_in_viewport(ratio=0.9)
        # A longer text takes room from the messages, too.
        page.get_by_role("textbox", name="Message").fill("One\nTwo\nThree\nFour")
        expect(last).to_be_in_viewport(ratio=1)
        assert page.evaluate(COVERED) == []
        # On a screen, cards that have been pushed out do not lengthen the page.
        page.set_viewport_size({"width": 1280, "height": 800})
        assert page.evaluate("document.documentElement.scrollHeight") == 800
        assert tab.complaints == []


# Whether the last bubble ends above the end of its list.
COVERED = """() => {
  const log = document.querySelector("#log");
  const end = log.getBoundingClientRect().bottom;
  return [...log.children].slice(-1)
    .filter((one) => one.getBoundingClientRect().bottom > end)
    .map((one) => one.textContent);
}"""


def test_who_reads_earlier_messages_is_not_moved(browser, running_demo) -> None:
    for number in range(12):
        running_demo.say(f"Swell {number}")
    with Tab(browser, viewport=PHONE) as tab:
        page = tab.page
        page.goto(running_demo.url)
        page.get_by_role("radio", name="Bo").check()
        log = page.get_by_role("log", name="Messages")
        expect(log).to_contain_text("Swell 11")
        page.evaluate("document.querySelector('#log').scrollTop = 0")
        page.wait_for_function("document.querySelector('#log').scrollTop === 0")

        running_demo.say("From another phone")

        expect(log).to_contain_text("From another phone")
        assert page.evaluate("document.querySelector('#log').scrollTop") == 0


def test_a_deleted_message_goes_from_the_phones(browser, running_demo) -> None:
    with Tab(browser) as tab, Tab(browser) as other:
        page = tab.page
        page.goto(running_demo.url)
        other.page.goto(running_demo.url)
        write(page, "Never mind the gull")
        on_phone = cards(page, phone_of("Bo", "Pixel")).filter(has_text="the gull")
        expect(on_phone).to_be_visible()
        written = page.get_by_role("log", name="Messages").locator("li").last

        written.get_by_role("button", name="Delete").click()

        expect(written).to_contain_text("Deleted")
        expect(on_phone).to_have_count(0)
        # Others see it with the next message, or within half a minute.
        write(page, "As you were")
        seen = other.page.get_by_role("log", name="Messages")
        expect(seen).to_contain_text("As you were")
        expect(seen).not_to_contain_text("the gull")
        assert tab.complaints == other.complaints == []


def test_without_scripts_a_message_leads_to_the_result_of_its_job(
    browser, running_demo
) -> None:
    with Tab(browser, java_script_enabled=False) as tab:
        page = tab.page
        page.goto(running_demo.url)
        page.get_by_role("radio", name="Cleo").check()

        page.get_by_role("textbox", name="Message").fill("By pigeon")
        page.get_by_role("button", name="Send").click()

        # The page reloads until there is a result.
        page.wait_for_url("**/jobs/*/result")
        expect(page.get_by_role("heading", name="Done")).to_be_visible()
        expect(page.get_by_text("3 of 3 devices")).to_be_visible()


def test_without_scripts_a_failed_job_leads_to_its_error(browser, running_demo) -> None:
    with (
        Tab(browser, java_script_enabled=False) as tab,
        running_demo.answering(**REFUSALS),
    ):
        page = tab.page
        page.goto(running_demo.url)

        page.get_by_role("textbox", name="Message").fill("Nobody takes this")
        page.get_by_role("button", name="Send").click()

        page.wait_for_url("**/jobs/*/error")
        expect(page.get_by_role("heading", name="Failed")).to_be_visible()
        expect(page.get_by_role("alert")).to_have_text(re.compile("^(apns|fcm): "))
        # Its reason is for the operator.
        expect(page.get_by_role("cell", name="apns")).to_be_visible()


def test_the_dashboard_shows_the_plots_and_what_failed(browser, running_demo) -> None:
    with running_demo.answering(**REFUSALS):
        running_demo.say("Nobody takes this either")

    with Tab(browser) as tab:
        page = tab.page
        sign_in(page, running_demo)

        for plot in ("Sends", "Pushes", "From send to push"):
            drawn = page.get_by_role("img", name=plot)
            expect(drawn).to_be_visible()
            assert drawn.locator("rect, circle").count() > 0
        failing = page.get_by_role("region", name="Failing devices")
        expect(failing.get_by_text("PayloadTooLarge")).to_be_visible()
        page.get_by_role("region", name="Failing jobs").get_by_role(
            "link"
        ).first.click()
        expect(page.get_by_role("heading", name="Failed")).to_be_visible()
        assert tab.complaints == []


@pytest.mark.parametrize("width", [390, 700, 1280, 1600])
def test_the_dashboard_has_no_holes(browser, running_demo, width) -> None:
    """Panels fill their rows, whatever failed."""
    with Tab(browser, viewport={"width": width, "height": 800}) as tab:
        sign_in(tab.page, running_demo)
        tab.page.goto(f"{running_demo.url}/dashboard")
        rows: dict[int, list[Any]] = {}
        for top, left, right, bottom in tab.page.evaluate(PANELS):
            rows.setdefault(top, []).append((left, right, bottom))

        assert len(rows) >= 3
        assert all(len({bottom for *_, bottom in row}) == 1 for row in rows.values())
        assert len({(min(row)[0], max(row)[1]) for row in rows.values()}) == 1


def test_a_long_name_leaves_the_pages_whole(browser, running_demo) -> None:
    """And the reason and the button beside it in view."""
    name = "Wolfeschlegelsteinhausenbergerdorff" * 5
    running_demo.service.patch("/users/2", {"name": name})
    with running_demo.answering(**REFUSALS):
        job = running_demo.say("To a long name")
    paths = ("/dashboard/users/2", f"/jobs/{job['id']}", "/dashboard")
    phone, screen = ({"width": width, "height": 800} for width in (390, 1280))

    with Tab(browser) as tab:
        page = tab.page
        sign_in(page, running_demo)
        for path, size in product(paths, (phone, screen)):
            page.set_viewport_size(size)
            page.goto(running_demo.url + path)
            expect(page.get_by_text(name).first).to_be_visible()
            assert page.evaluate(SCROLLED_SIDEWAYS) == 0, (path, size)

    running_demo.service.patch("/users/2", {"name": "Bo"})


def test_a_failed_job_is_tried_again(browser, running_demo) -> None:
    with running_demo.answering(**REFUSALS):
        failed = running_demo.say("Nobody takes this at first")
    assert failed["state"] == "failed"

    with Tab(browser) as tab:
        page = tab.page
        sign_in(page, running_demo)
        page.goto(f"{running_demo.url}/jobs/{failed['id']}")
        page.get_by_role("button", name="Try again").click()

        page.wait_for_url("**/jobs/*/result")
        expect(page.get_by_role("heading", name="Done", exact=True)).to_be_visible()
        expect(page.get_by_text("3 of 3 devices")).to_be_visible()
        page.goto(running_demo.url)
        on_phone = cards(page, phone_of("Bo", "iPad"))
        expect(on_phone.filter(has_text="at first")).to_have_count(1)
        assert tab.complaints == []


def test_a_device_is_disabled_from_the_dashboard(browser, running_demo) -> None:
    with running_demo.answering(Galaxy="invalid-payload"):
        job = running_demo.say("Not for the Galaxy")
    assert (job["accepted"], job["failed"]) == (2, 1)

    with Tab(browser) as tab:
        page = tab.page
        sign_in(page, running_demo)
        page.goto(f"{running_demo.url}/jobs/{job['id']}")
        heading = page.get_by_role("heading", name="Done, but 1 device")
        expect(heading).to_be_visible()
        page.get_by_role("link", name="Cleo").click()
        expect(page.get_by_role("heading", name="Cleo")).to_be_visible()

        page.get_by_role("button", name="Disable").click()

        expect(page.get_by_text("disabled by an operator")).to_be_visible()
        assert running_demo.say("Without the Galaxy")["total"] == 2
        page.get_by_role("button", name="Enable").click()
        expect(page.get_by_text("in use")).to_be_visible()
        assert tab.complaints == []


def test_a_test_push_of_the_dashboard_arrives(browser, running_demo) -> None:
    with Tab(browser) as tab:
        page = tab.page
        sign_in(page, running_demo)

        page.get_by_label("with the id").fill("1")
        page.get_by_role("button", name="Send").click()

        page.wait_for_url("**/jobs/*/result")
        page.goto(running_demo.url)
        page.get_by_role("radio", name="Bo").check()
        expect(cards(page, phone_of("Ada", "iPhone")).first).to_contain_text(
            "test push"
        )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_a_phone_and_can_be_read(
    browser, running_demo, path, scheme
) -> None:
    phone = {"width": 360, "height": 740}
    with Tab(browser, viewport=phone, color_scheme=scheme) as tab:
        page = tab.page
        sign_in(page, running_demo)
        page.goto(running_demo.url + path)

        width = page.evaluate("document.documentElement.scrollWidth")
        faint = page.evaluate(LEAST_CONTRAST)

        assert width <= phone["width"]
        assert faint >= 4.5
        assert unnamed(page) == []


def unnamed(page: Page) -> list[str]:
    """The controls without a name for screen readers."""
    return page.evaluate(
        """() => [...document.querySelectorAll("input, textarea, select, button, a")]
          .filter((one) => one.type !== "hidden" && !one.hidden)
          .filter((one) => !(one.labels?.length || one.textContent.trim()))
          .map((one) => one.outerHTML)"""
    )


# The lowest contrast of text on a plain background, by WCAG's formula; it ignores
# gradients.
LEAST_CONTRAST = Path(__file__).with_name("contrast.js").read_text()
