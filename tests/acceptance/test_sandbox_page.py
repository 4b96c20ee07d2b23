"""The sandbox's page shows what arrives, on phones and in browsers."""

from typing import Any

from playwright.sync_api import expect

from tests.support.browser import Tab
from tests.support.provider_tokens import ApnsSender
from tests.support.sandbox import Sandbox
from tests.support.webpush_sender import WebpushSender

SHOWN = {"title": "Ann", "chat": "Lighthouse", "tag": "message-1", "badge": 3}


def test_a_phone_and_a_browser_show_their_pushes(
    shared_sandbox: Sandbox, browser: Any
) -> None:
    shared_sandbox.reset()
    phones, browsers = ApnsSender(shared_sandbox), WebpushSender(shared_sandbox)
    safari = browsers.subscribe("apple", name="cleos-safari")
    phones.push()
    browsers.push(safari, {**SHOWN, "body": "Land in sight"})

    with Tab(browser, ignore_https_errors=True) as tab:
        tab.page.goto(f"{shared_sandbox.url}/")

        in_browser = tab.page.locator(".webpush")
        expect(in_browser.locator(".card")).to_contain_text("Land in sight")
        expect(in_browser.locator(".token")).to_contain_text("cleos-safari")
        expect(in_browser.locator(".foot")).to_contain_text("Web push · apple")
        expect(tab.page.locator(".apns .card")).to_have_count(1)

        deleted = {"bottlepost": {"kind": "withdraw"}, "body": "Message deleted"}
        browsers.push(safari, {**SHOWN, **deleted})

        expect(in_browser.locator(".card")).to_contain_text("Message deleted")
        expect(in_browser.locator(".card")).to_have_count(1)
        assert tab.complaints == []
    phones.client.close()
    browsers.client.close()
