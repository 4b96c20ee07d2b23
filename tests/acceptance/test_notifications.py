"""Web push in a real browser, from the button to the notification.

Only the browser's push service is replaced: the sandbox's one is as strict and decrypts
what the server pushes; the test delivers it to the service worker by the DevTools
protocol.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support import demo_notifications
from tests.support.browser import Tab
from tests.support.demo import Demo, RunningDemo
from tests.support.demo_notifications import Worker
from tests.support.wait import until

SUBSCRIBE = Path(__file__).with_name("subscribe.js").read_text()
CLICK = """async () => {
  const seq = (one) => one.data.bottlepost.seq;
  const all = await self.registration.getNotifications();
  const notification = all.sort((one, other) => seq(one) - seq(other)).at(-1);
  self.dispatchEvent(new NotificationEvent("notificationclick", { notification }));
}"""


@pytest.fixture(scope="module")
def running_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    with Demo(tmp_path_factory.mktemp("notifications") / "var") as demo:
        yield RunningDemo(demo)


@pytest.fixture
def token(running_demo: RunningDemo) -> str:
    """A subscription that the page's browser gets."""
    return running_demo.subscribe()


@pytest.fixture
def tab(browser: Any, running_demo: RunningDemo) -> Iterator[Tab]:
    """The demo page, with permission for notifications."""
    with Tab(browser) as tab:
        tab.page.context.grant_permissions(["notifications"], origin=running_demo.url)
        yield tab
    for name, client in running_demo.people.items():
        for device in demo_notifications.browsers_of(running_demo, name):
            client.delete(f"/devices/{device['id']}")


def use(token: str, page: Page) -> None:
    """Make the page's browser subscribe at the sandbox's push service."""
    page.add_init_script(
        SUBSCRIBE.replace("SUBSCRIPTION = {}", f"SUBSCRIPTION = {token}")
    )


def turn_on(page: Page, running_demo: RunningDemo) -> Worker:
    worker = Worker(page, running_demo.url)
    page.goto(running_demo.url)
    demo_notifications.button(page).click()
    expect(demo_notifications.status(page)).to_contain_text("This browser notifies Ada")
    return worker


def post(running_demo: RunningDemo, name: str, text: str) -> dict[str, Any]:
    body = {"conversation": running_demo.chat, "message": text}
    sent: dict[str, Any] = running_demo.people[name].post("/groupchat/send", body).json
    return sent["message"]


def push(seq: int, **more: Any) -> dict[str, Any]:
    """A push as the server writes it, see docs/webpush-and-email.md."""
    about = {"conversation": 1, "message": seq, "seq": seq}
    shown = {"title": "Bo", "chat": "Lighthouse", "body": f"no. {seq}"}
    told = {"silent": False, "tag": f"message-{seq}", "badge": seq, "data": {}}
    return {**shown, **told, "bottlepost": about, **more}


def quiet(kind: str, seq: int) -> dict[str, Any]:
    about = {"kind": kind, "conversation": 1, "message": seq, "seq": seq}
    tag = "read-1" if kind == "read" else f"message-{seq}"
    return {"silent": True, "tag": tag, "badge": 0, "data": {}, "bottlepost": about}


def test_a_message_is_a_notification_until_it_is_deleted(
    tab, running_demo, token
) -> None:
    page = tab.page
    use(token, page)
    worker = turn_on(page, running_demo)
    (device,) = demo_notifications.browsers_of(running_demo, "Ada")

    said = post(running_demo, "Bo", "Land in sight!")
    until(lambda: len(running_demo.payloads(token)) == 1, what="for the push")
    worker.deliver(running_demo.payloads(token)[0])

    key = running_demo.people["Bo"].get("/webpush/key").json["public_key"]
    assert page.evaluate("sessionStorage.getItem('subscribed')") == key
    assert device["token"] == token
    worker.wait_until_shown(("Bo · Lighthouse", "Land in sight!"))

    running_demo.people["Bo"].delete(
        f"/groupchat/{running_demo.chat}/messages/{said['id']}"
    )
    until(lambda: len(running_demo.payloads(token)) == 2, what="for the withdrawal")
    worker.deliver(running_demo.payloads(token)[1])

    worker.wait_until_shown(("Bo · Lighthouse", "Message deleted"))
    assert tab.complaints == []
    assert all(address.startswith(running_demo.url) for address in tab.addresses)


def test_turning_it_off_removes_the_device(tab, running_demo, token) -> None:
    page = tab.page
    use(token, page)
    turn_on(page, running_demo)

    demo_notifications.button(page).click()

    expect(demo_notifications.button(page)).to_have_text("Notify me here")
    assert demo_notifications.browsers_of(running_demo, "Ada") == []
    assert page.evaluate("sessionStorage.getItem('subscribed')") is None


def test_it_is_still_on_after_loading_the_page_again(tab, running_demo, token) -> None:
    page = tab.page
    use(token, page)
    turn_on(page, running_demo)

    page.reload()

    expect(demo_notifications.button(page)).to_have_text("Stop notifying me here")
    assert len(demo_notifications.browsers_of(running_demo, "Ada")) == 1


def test_a_browser_notifies_one_person_at_a_time(tab, running_demo, token) -> None:
    page = tab.page
    use(token, page)
    turn_on(page, running_demo)

    page.get_by_role("radio", name="Bo").check()
    expect(demo_notifications.status(page)).to_have_text(
        "This browser currently notifies Ada."
    )
    demo_notifications.button(page).click()

    expect(demo_notifications.status(page)).to_contain_text("This browser notifies Bo")
    assert demo_notifications.browsers_of(running_demo, "Ada") == []
    assert len(demo_notifications.browsers_of(running_demo, "Bo")) == 1


AVATAR = "https://cdn.example.org/bo.png"
LINK = "https://chat.example.org/c/1"


def seen(page: Page) -> list[dict[str, Any]]:
    found = page.evaluate("""() => navigator.serviceWorker.ready
      .then((registration) => registration.getNotifications())
      .then((all) => all.map((one) => ({
        title: one.title, body: one.body, icon: one.icon, image: one.image,
        lang: one.lang, dir: one.dir, silent: one.silent, data: one.data,
        requireInteraction: one.requireInteraction, renotify: one.renotify,
        actions: one.actions.map(({ action, title }) => ({ action, title })),
      })))""")
    return list(found)


def test_the_worker_shows_who_wrote_it(tab, running_demo, token) -> None:
    page = tab.page
    use(token, page)
    worker = turn_on(page, running_demo)
    sender = {"id": 2, "name": "Bo", "avatar": AVATAR}
    about = {"conversation": 1, "message": 1, "seq": 1, "sender": sender}

    worker.deliver(push(1, bottlepost=about))
    worker.wait_until_shown(("Bo · Lighthouse", "no. 1"))
    worker.deliver(
        push(
            2,
            bottlepost={**about, "message": 2, "seq": 2},
            options={
                "icon": "https://cdn.example.org/call.png",
                "image": "https://cdn.example.org/sea.jpg",
                "lang": "de",
                "dir": "ltr",
                "renotify": True,
                "requireInteraction": True,
                "data": {"room": "3"},
                "actions": [{"action": "reply", "title": "Reply", "navigate": LINK}],
            },
        )
    )
    until(lambda: len(worker.shown) == 2)

    first, second = sorted(seen(page), key=lambda one: one["body"])
    assert first["icon"] == AVATAR
    assert second["icon"].endswith("/call.png")
    assert second["image"].endswith("/sea.jpg")
    assert (second["lang"], second["dir"]) == ("de", "ltr")
    assert second["renotify"]
    assert second["requireInteraction"]
    assert second["actions"] == [{"action": "reply", "title": "Reply"}]
    assert second["data"]["room"] == "3"
    assert second["data"]["links"]["reply"] == LINK


def declarative(seq: int, **more: Any) -> dict[str, Any]:
    """A declarative push as the server writes it."""
    about = {"conversation": 1, "message": seq, "seq": seq}
    notification = {
        "title": "Bo · Lighthouse",
        "body": f"no. {seq}",
        "tag": f"message-{seq}",
        "navigate": LINK,
        "data": {"data": {}, "bottlepost": about},
        "mutable": True,
        "app_badge": seq,
        **more,
    }
    top = {"web_push": 8030, "mutable": True, "app_badge": seq}
    return {**top, "notification": notification}


def test_the_worker_understands_a_declarative_push(tab, running_demo, token) -> None:
    page = tab.page
    use(token, page)
    worker = turn_on(page, running_demo)

    worker.deliver(declarative(1))
    worker.deliver(declarative(2))
    worker.wait_until_shown(("Bo · Lighthouse", "no. 1"), ("Bo · Lighthouse", "no. 2"))
    assert {one["data"]["links"][""] for one in seen(page)} == {LINK}

    worker.deliver(quiet("read", 1))
    worker.wait_until_shown(("Bo · Lighthouse", "no. 2"))

    about = {"kind": "withdraw", "conversation": 1, "message": 2, "seq": 2}
    worker.deliver(
        declarative(2, body="Deleted", silent=True, data={"bottlepost": about})
    )
    worker.wait_until_shown(("Bo · Lighthouse", "Deleted"))


SAFARI = """async (notification) => {
  const event = new PushEvent("push");
  Object.defineProperty(event, "notification", { value: notification });
  self.dispatchEvent(event);
  await last;
}"""


def test_the_worker_takes_what_safari_has_read(tab, running_demo, token) -> None:
    """Safari hands over the notification, and on iOS no text."""
    page = tab.page
    use(token, page)
    worker = turn_on(page, running_demo)
    read = {"lang": "", "dir": "auto", "silent": None, "icon": ""}

    page.context.service_workers[0].evaluate(
        SAFARI, {**declarative(1)["notification"], **read}
    )

    worker.wait_until_shown(("Bo · Lighthouse", "no. 1"))
    (one,) = seen(page)
    assert one["icon"].endswith("/static/icon.png")
    assert one["data"]["bottlepost"]["seq"] == 1


def test_the_worker_replaces_and_withdraws_by_the_tag(tab, running_demo, token) -> None:
    page = tab.page
    use(token, page)
    worker = turn_on(page, running_demo)
    first, second = ("Bo · Lighthouse", "no. 1"), ("Bo · Lighthouse", "no. 2")

    for each in (push(1), push(2), push(2)):
        worker.deliver(each)
    worker.wait_until_shown(first, second)
    worker.deliver(quiet("withdraw", 1))
    worker.wait_until_shown(second)


AT_ONCE = """async (pushes) => {
  for (const push of pushes) {
    self.dispatchEvent(new PushEvent("push", { data: JSON.stringify(push) }));
  }
  await last;
}"""


def test_the_worker_takes_pushes_in_turn(tab, running_demo, token) -> None:
    """A withdrawal finds the notification of the push that came just before it."""
    page = tab.page
    use(token, page)
    worker = turn_on(page, running_demo)

    page.context.service_workers[0].evaluate(
        AT_ONCE, [push(1), quiet("withdraw", 1), push(2), push(3), quiet("read", 2)]
    )

    worker.wait_until_shown(("Bo · Lighthouse", "no. 3"))


def test_the_worker_replaces_a_deleted_message(tab, running_demo, token) -> None:
    page = tab.page
    use(token, page)
    worker = turn_on(page, running_demo)
    worker.deliver(push(1))
    worker.deliver(push(2))
    until(lambda: len(worker.shown) == 2)

    about = {"kind": "withdraw", "conversation": 1, "message": 1, "seq": 1}
    worker.deliver(push(1, body="Message deleted", bottlepost=about))

    worker.wait_until_shown(
        ("Bo · Lighthouse", "Message deleted"), ("Bo · Lighthouse", "no. 2")
    )

    # A tag with a value of the message is another one, once its values are erased.
    about = {"kind": "withdraw", "conversation": 1, "message": 2, "seq": 2}
    worker.deliver(push(2, body="Message deleted", tag="room-", bottlepost=about))

    worker.wait_until_shown(*[("Bo · Lighthouse", "Message deleted")] * 2)


def test_the_worker_closes_what_has_been_read(tab, running_demo, token) -> None:
    page = tab.page
    use(token, page)
    worker = turn_on(page, running_demo)
    for seq in (1, 2, 3):
        worker.deliver(push(seq))
    until(lambda: len(worker.shown) == 3)

    worker.deliver(quiet("read", 2))

    worker.wait_until_shown(("Bo · Lighthouse", "no. 3"))


def test_the_worker_takes_what_is_not_ours(tab, running_demo, token) -> None:
    page = tab.page
    use(token, page)
    worker = turn_on(page, running_demo)

    # A silent message shows nothing, and an app without previews shows no text.
    worker.deliver({**quiet("", 1), "bottlepost": {"conversation": 1, "seq": 1}})
    worker.deliver(push(2, title="New message", chat="", body=""))

    worker.wait_until_shown(("New message", ""))


def test_a_click_leads_to_its_reader_who_has_read_it(tab, running_demo, token) -> None:
    page = tab.page
    use(token, page)
    worker = turn_on(page, running_demo)
    post(running_demo, "Bo", "Which one?")
    seq = post(running_demo, "Cleo", "The tall one.")["seq"]
    until(lambda: len(running_demo.payloads(token)) == 2, what="for both pushes")
    for each in running_demo.payloads(token):
        worker.deliver(each)
    until(lambda: len(worker.shown) == 2)
    page.get_by_role("radio", name="Cleo").check()

    page.context.service_workers[0].evaluate(CLICK)

    expect(page.get_by_role("radio", name="Ada")).to_be_checked()

    def read() -> int:
        (chat,) = running_demo.people["Ada"].get("/groupchat").json["conversations"]
        return int(chat["read_seq"])

    until(lambda: read() == seq, what="for Ada to have read it")
    # A read mark is not pushed to browsers: the worker closes what she has read.
    worker.wait_until_shown()
    assert len(running_demo.payloads(token)) == 2


def test_the_worker_may_do_nothing_but_show(running_demo) -> None:
    answer = running_demo.people["Ada"].get("/worker.js")

    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
