"""Endpoints whose host does not exist are given up after a day of look-ups."""

import socket
from datetime import timedelta

import pytest

from models.base import utc_now
from notifier.channels import breaker
from notifier.channels.webpush import push_services, resolver
from notifier.outcome import Kind
from sandbox.browsers.browser import Browser
from tests.support.sandbox_browsers import SandboxBrowsers, targets

NOWHERE = "nowhere.example"
KNOWN = "fcm.googleapis.com"
NO_SUCH_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
TROUBLE = [
    socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
    socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure in name resolution"),
    OSError("no more sockets"),
    TimeoutError(),
]


class NameServer:
    """What look-ups of a host say: a problem, or the addresses of localhost."""

    def __init__(self) -> None:
        self.problems: dict[str, Exception] = {}
        self.asked: list[str] = []

    def resolve(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if host in self.problems:
            raise self.problems[host]
        return ["127.0.0.1"]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> NameServer:
    server = NameServer()
    monkeypatch.setattr(resolver, "_resolve", server.resolve)
    # Each push is a look-up.
    monkeypatch.setattr(breaker, "FIRST_PAUSE_S", 0.0)
    return server


def browser_at(host: str) -> Browser:
    return Browser(f"https://{host}/push/b")


def since(browsers: SandboxBrowsers, **ago: float) -> None:
    browsers.troubles.missing_since = utc_now() - timedelta(**ago)


async def test_a_host_that_has_not_existed_for_a_day_marks_its_devices(
    browsers: SandboxBrowsers, names: NameServer
) -> None:
    names.problems[NOWHERE] = NO_SUCH_NAME
    since(browsers, hours=25)
    to = targets(browser_at(NOWHERE), browsers.subscribe())

    reports = await browsers.send(to)

    assert reports.kinds() == ["suspect", "accepted"]
    assert "has not existed since" in reports.by_device[1].reason
    assert NOWHERE in reports.by_device[1].reason


async def test_before_that_pushes_are_tried_again(
    browsers: SandboxBrowsers, names: NameServer
) -> None:
    names.problems[NOWHERE] = NO_SUCH_NAME
    since(browsers, hours=23)

    reports = await browsers.send(targets(browser_at(NOWHERE)))

    assert reports.kinds() == ["later"]
    assert browsers.troubles.missing == [NOWHERE]


@pytest.mark.parametrize("problem", TROUBLE, ids=lambda one: type(one).__name__)
async def test_trouble_with_looking_up_says_nothing_about_the_host(
    browsers: SandboxBrowsers, names: NameServer, problem: Exception
) -> None:
    names.problems[NOWHERE] = problem
    since(browsers, days=9)

    reports = await browsers.send(targets(browser_at(NOWHERE)))

    assert reports.kinds() == ["later"]
    assert browsers.troubles.missing == []


async def test_trouble_ends_what_the_look_up_before_has_said(
    browsers: SandboxBrowsers, names: NameServer
) -> None:
    names.problems[NOWHERE] = NO_SUCH_NAME
    await browsers.send(targets(browser_at(NOWHERE)))
    names.problems[NOWHERE] = TROUBLE[0]
    since(browsers, days=9)

    reports = await browsers.send(targets(browser_at(NOWHERE)))

    assert reports.kinds() == ["later"]
    assert browsers.troubles.missing == [NOWHERE]


async def test_a_record_that_cannot_be_read_gives_nothing_up(
    browsers: SandboxBrowsers, names: NameServer
) -> None:
    names.problems[NOWHERE] = NO_SUCH_NAME
    browsers.troubles.missing_since = None

    reports = await browsers.send(targets(browser_at(NOWHERE)))

    assert reports.kinds() == ["later"]


async def test_a_host_that_is_back_is_forgotten(
    browsers: SandboxBrowsers, names: NameServer
) -> None:
    names.problems["localhost"] = NO_SUCH_NAME
    to = targets(browsers.subscribe())
    assert (await browsers.send(to)).kinds() == ["later"]
    assert browsers.troubles.missing == ["localhost"]
    del names.problems["localhost"]

    reports = await browsers.send(to)

    assert reports.kinds() == ["accepted"]
    assert browsers.troubles.missing == []


async def test_a_name_server_that_knows_no_browsers_service_is_not_believed(
    browsers: SandboxBrowsers, names: NameServer
) -> None:
    names.problems |= {NOWHERE: NO_SUCH_NAME, KNOWN: NO_SUCH_NAME}
    since(browsers, days=9)
    assert push_services.is_known_host(KNOWN)
    await browsers.send(targets(browser_at(KNOWN)))

    reports = await browsers.send(targets(browser_at(NOWHERE), browser_at(KNOWN)))

    assert reports.kinds() == ["later"] * 2
    assert {outcome.kind for outcome in reports.by_device.values()} == {Kind.LATER}
    assert browsers.troubles.missing == []
