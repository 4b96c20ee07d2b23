"""Web push on the demo page: its button and status, and the service worker."""

import json
from typing import Any

from playwright.sync_api import Page

from tests.support.demo import RunningDemo
from tests.support.wait import until

HANDLED = """async () => {
  while (last === self.before) await new Promise((resolve) => setTimeout(resolve, 5));
  await last;
}"""


class Worker:
    """The page's service worker; delivers pushes to it by the DevTools protocol."""

    def __init__(self, page: Page, url: str) -> None:
        self._page, self._url = page, url
        self._known: list[str] = []
        self._devtools = page.context.new_cdp_session(page)
        self._devtools.on("ServiceWorker.workerRegistrationUpdated", self._note)
        self._devtools.send("ServiceWorker.enable")

    def _note(self, event: dict[str, Any]) -> None:
        self._known += [each["registrationId"] for each in event["registrations"]]

    def deliver(self, push: dict[str, Any]) -> None:
        """Hand over a push, and wait until the worker has done what it asks.

        Nobody may look before: Chromium may lose a notification that is shown while
        somebody asks what is there.
        """
        while not self._known:
            # Playwright handles events of the browser while it waits.
            self._page.wait_for_timeout(10)
        (worker,) = self._page.context.service_workers
        worker.evaluate("() => { self.before = last; }")
        self._devtools.send(
            "ServiceWorker.deliverPushMessage",
            {
                "origin": self._url,
                "registrationId": self._known[-1],
                "data": json.dumps(push),
            },
        )
        worker.evaluate(HANDLED)

    @property
    def shown(self) -> list[tuple[str, str]]:
        """Title and text of the notifications, the newest last."""
        found = self._page.evaluate(
            """() => navigator.serviceWorker.ready
              .then((registration) => registration.getNotifications())
              .then((all) => all.map((one) => [one.title, one.body]))"""
        )
        return [(title, body) for title, body in found]

    def wait_until_shown(self, *wanted: tuple[str, str]) -> None:
        until(lambda: sorted(self.shown) == sorted(wanted), what=f"for {wanted}")


def button(page: Page) -> Any:
    return page.locator(".notify:not([aria-busy]) button")


def status(page: Page) -> Any:
    return page.locator(".notify [role=status]")


def browsers_of(running_demo: RunningDemo, name: str) -> list[Any]:
    devices = running_demo.people[name].get("/devices").json["devices"]
    return [device for device in devices if device["platform"] == "webpush"]
