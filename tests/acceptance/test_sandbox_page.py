"""The sandbox's page shows what arrives, on phones and in browsers."""

from typing import Any

from playwright.sync_api import expect

from tests.support.browser import Tab
from tests.support.provider_tokens import ApnsSender, FcmSender
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


def test_a_declarative_push_is_shown_as_safari_does(
    shared_sandbox: Sandbox, browser: Any
) -> None:
    shared_sandbox.reset()
    browsers = WebpushSender(shared_sandbox)
    safari = browsers.subscribe("apple", name="cleos-safari")
    about = {"conversation": 1, "message": 1, "seq": 1}

    def push(body: str) -> None:
        shown = {
            "title": "Ann · Lighthouse",
            "body": body,
            "tag": "message-1",
            "navigate": "https://chat.example.org/",
            "data": {"bottlepost": about},
        }
        top = {"web_push": 8030, "mutable": True, "app_badge": 4}
        browsers.push(safari, {**top, "notification": shown})

    push("Land in sight")
    push("Land ahead")

    with Tab(browser, ignore_https_errors=True) as tab:
        tab.page.goto(f"{shared_sandbox.url}/")

        cards = tab.page.locator(".webpush .card")
        expect(cards).to_contain_text("Land ahead")
        expect(cards).to_contain_text("Ann · Lighthouse")
        expect(cards).to_have_count(1)
        expect(tab.page.locator(".webpush .foot")).to_contain_text("badge 4")
        assert tab.complaints == []
    browsers.client.close()


def test_an_iphone_behind_fcm_is_drawn_as_one(
    shared_sandbox: Sandbox, browser: Any
) -> None:
    shared_sandbox.reset()
    fcm = FcmSender(shared_sandbox)
    alert = {"title": "Ann", "subtitle": "Lighthouse", "body": "For Apple"}
    block = {"payload": {"aps": {"alert": alert, "badge": 2}}}
    shown = {"notification": {"title": "Lighthouse", "body": "Ann: for Google"}}
    for token in ("cleos-iphone:APA91b-1", "cleos-pixel:APA91b-2"):
        fcm.send({"token": token, **shown, "apns": block})
    fcm.send({"token": "bos-iphone:APA91b-3", **shown})

    with Tab(browser, ignore_https_errors=True) as tab:
        tab.page.goto(f"{shared_sandbox.url}/")

        iphones = tab.page.locator(".phone.apns")
        expect(iphones).to_have_count(2)
        cleos = iphones.filter(has_text="cleos-iphone")
        expect(cleos.locator(".card")).to_contain_text("For Apple")
        expect(cleos.locator(".foot")).to_contain_text("FCM · 1 received · badge 2")
        bos = iphones.filter(has_text="bos-iphone")
        expect(bos.locator(".card")).to_contain_text("Ann: for Google")
        android = tab.page.locator(".phone.fcm .card")
        expect(android).to_contain_text("Ann: for Google")
        assert tab.complaints == []
    fcm.client.close()
