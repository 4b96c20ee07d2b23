"""Push services that are down, hanging, private or hostile, beside good ones."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from notifier.channels import breaker, shares
from notifier.channels.webpush import push_services, strangers
from notifier.channels.webpush.resolver import Resolver
from notifier.outcome import ChannelDown, Kind
from tests.support import push_service, tls
from tests.support.notifications import Reports, make_notification, make_target
from tests.support.push_service import Browser, PushService
from tests.support.wait import eventually
from tests.support.webpush_service import WebpushService, targets


@pytest.fixture
async def second() -> AsyncIterator[PushService]:
    """A second push service, beside the one of the fixture `webpush`."""
    async with push_service.run() as running:
        yield running


# -- one service does not affect another


async def test_an_unreachable_service_affects_no_other(
    webpush: WebpushService,
) -> None:
    async with push_service.run() as closed:
        dead = closed.subscribe()

    reports = await webpush.send(targets(dead, webpush.server.subscribe()))

    assert reports.kinds() == ["later", "accepted"]
    assert str(closed.peer.port) in reports.by_device[1].reason


async def test_nothing_is_sent_to_a_failing_service_until_the_pause_is_over(
    webpush: WebpushService,
) -> None:
    browsers = [webpush.server.subscribe() for _ in range(30)]
    for browser in browsers:
        webpush.server.tell(browser, 503, retry_after="60")

    first = await webpush.send(targets(*browsers))
    second = await webpush.send(targets(*browsers))

    assert set(first.kinds()) == set(second.kinds()) == {"later"}
    assert len(webpush.server.seen) == 30
    assert all(outcome.retry_after_s for outcome in second.by_device.values())


async def test_a_hanging_service_does_not_delay_the_others(
    webpush: WebpushService, second: PushService
) -> None:
    waiting = second.subscribe()
    second.hang(waiting)
    to, reports = targets(waiting, webpush.server.subscribe()), Reports()
    rendered = webpush.channel.render(make_notification())

    send = asyncio.create_task(webpush.channel.send(rendered, to, reports))
    await eventually(lambda: second.seen and 2 in reports.by_device)

    assert reports.by_device[2].kind is Kind.ACCEPTED
    assert 1 not in reports.by_device
    send.cancel()
    await asyncio.wait([send])


async def test_a_request_without_a_response_is_tried_later(
    webpush: WebpushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_services, "REQUEST_TIMEOUT_S", 0.3)
    browser = webpush.server.subscribe()
    webpush.server.hang(browser)

    reports = await webpush.send(targets(browser))

    assert reports.kinds() == ["later"]


# -- names and addresses


async def test_a_private_address_is_never_connected_to(
    webpush: WebpushService,
) -> None:
    webpush.configure(webpush_allow=())

    reports = await webpush.send(targets(webpush.server.subscribe()))

    assert reports.by_device[1].kind is Kind.SUSPECT
    assert "no address on the Internet" in reports.by_device[1].reason
    assert webpush.server.peer.connections == []


async def test_a_name_that_turns_private_after_the_check_is_not_connected_to(
    webpush: WebpushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([["1.1.1.1"], ["127.0.0.1"], ["127.0.0.1"]])

    async def rebound(
        self: Resolver, host: str, port: int, asker: int | None
    ) -> list[str]:
        return next(answers)

    monkeypatch.setattr(Resolver, "_look_up", rebound)
    webpush.configure(webpush_allow=())

    reports = await webpush.send(targets(webpush.server.subscribe()))

    assert reports.kinds() == ["later"]
    assert next(answers) == ["127.0.0.1"]
    assert webpush.server.peer.connections == []


async def test_an_unknown_name_is_not_resolved_for_each_message(
    webpush: WebpushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []

    async def nowhere(
        self: Resolver, host: str, port: int, asker: int | None
    ) -> list[str]:
        looked_up.append(host)
        raise ChannelDown(f"{host}: no such name")

    monkeypatch.setattr(Resolver, "_look_up", nowhere)
    monkeypatch.setattr(breaker, "FIRST_PAUSE_S", 60.0)
    to = targets(Browser("https://nowhere.example/b"))

    for _ in range(3):
        reports = await webpush.send(to)

    assert reports.kinds() == ["later"]
    assert "no such name" in reports.by_device[1].reason
    assert looked_up == ["nowhere.example"]


async def test_beside_a_private_authority_the_public_ones_are_trusted(
    webpush: WebpushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tests' authority takes the place of the public ones, and ours is another.
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.authority().ca_file))
    webpush.configure(ca_file=tls.make_authority().ca_file)

    reports = await webpush.send(targets(webpush.server.subscribe()))

    assert reports.kinds() == ["accepted"]


# -- refused keys


async def test_an_unknown_service_that_refuses_our_key_raises_no_alarm(
    webpush: WebpushService,
) -> None:
    browser = webpush.server.subscribe()
    webpush.server.tell(browser, 401, b"no")

    reports = await webpush.send(targets(browser))

    assert reports.kinds() == ["credentials"]
    assert webpush.troubles.reports == []


@pytest.fixture
def known(webpush: WebpushService, monkeypatch: pytest.MonkeyPatch) -> WebpushService:
    """The service counts as one of the browsers'."""
    monkeypatch.setattr(push_services, "KNOWN_HOSTS", ("localhost",))
    return webpush


def refusing(service: PushService) -> Browser:
    browser = service.subscribe()
    service.tell(browser, 401, b'{"reason":"BadJwtToken"}')
    return browser


async def test_a_browsers_service_that_refuses_our_key_raises_an_alarm(
    known: WebpushService,
) -> None:
    browsers = [refusing(known.server) for _ in range(3)]

    await known.send(targets(*browsers))

    route = f"webpush {known.server.origin}"
    assert known.troubles.reports[0] == (route, "401 BadJwtToken")


async def test_one_path_that_refuses_our_key_raises_none(
    known: WebpushService,
) -> None:
    refuser = refusing(known.server)

    for _ in range(5):
        await known.send(targets(refuser))

    assert known.troubles.reports == []


async def test_a_small_installation_learns_that_its_key_is_refused(
    known: WebpushService,
) -> None:
    [device] = targets(refusing(known.server))

    await known.send([device])
    # The retry comes a minute later.
    await known.send([device._replace(attempts=1)])

    [reason] = known.troubles.reasons()
    assert reason.startswith("401 BadJwtToken")


async def test_a_retry_raises_none_while_others_are_accepted(
    known: WebpushService,
) -> None:
    refuser, other = targets(refusing(known.server), known.server.subscribe())

    for attempts in range(5):
        await known.send([refuser._replace(attempts=attempts)])
        await known.send([other])

    assert known.troubles.reasons() == []
    # It is suspect and not tried each time.
    assert len(known.server.seen) - len(known.server.inbox) < 5


# -- limits


async def test_least_recently_used_services_are_closed(
    webpush: WebpushService, second: PushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_services, "MAX_OPEN_SERVICES", 1)
    first = webpush.server

    for service in (first, second, first):
        reports = await webpush.send(targets(service.subscribe()))
        assert reports.kinds() == ["accepted"]

    await eventually(lambda: first.peer.connections[0].lost)
    assert [len(s.peer.connections) for s in (first, second)] == [2, 1]


async def test_a_service_in_use_is_not_closed(
    webpush: WebpushService, second: PushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_services, "MAX_OPEN_SERVICES", 1)
    busy = webpush.server
    browser = busy.subscribe()
    busy.hang(browser)
    waiting = asyncio.create_task(webpush.send(targets(browser)))
    await eventually(lambda: busy.held)
    for service in (second, busy):
        await webpush.send(targets(service.subscribe()))

    busy.held[0].answer(201)

    assert (await waiting).kinds() == ["accepted"]
    assert len(busy.peer.connections) == 1


# -- what servers that members have named may hold


async def hanging_push(
    webpush: WebpushService, service: PushService, **changes: Any
) -> asyncio.Task[Reports]:
    """A push that has arrived at the service, which does not answer."""
    browser = service.subscribe()
    service.hang(browser)
    target = make_target(1, browser.token, platform="webpush", **changes)
    before = len(service.held)
    task = asyncio.create_task(webpush.send([target]))
    await eventually(lambda: len(service.held) > before)
    return task


LIMITS = [
    # The limit, whether the second push is to another server or of another owner.
    ("MOST_AT_A_TIME", True, True),
    ("MOST_OF_SERVER", False, True),
    ("MOST_OF_OWNER", True, False),
]


@pytest.mark.parametrize(("limit", "elsewhere", "of_another"), LIMITS)
async def test_a_push_that_finds_its_share_taken_is_tried_later(
    webpush: WebpushService,
    second: PushService,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    elsewhere: bool,
    of_another: bool,
) -> None:
    monkeypatch.setattr(strangers, limit, 1)
    hanging = await hanging_push(webpush, second, user_id=1)
    service = webpush.server if elsewhere else second
    token = service.subscribe().token
    target = make_target(2, token, platform="webpush", user_id=2 if of_another else 1)

    reports = await webpush.send([target])

    assert reports.kinds() == ["later"]
    assert not reports.by_device[2].tried
    second.held[0].answer(201)
    assert (await hanging).kinds() == ["accepted"]
    assert (await webpush.send([target])).kinds() == ["accepted"]


async def test_a_full_share_takes_nothing_from_other_members_and_servers(
    webpush: WebpushService, second: PushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strangers, "MOST_OF_SERVER", 2)
    monkeypatch.setattr(strangers, "MOST_OF_OWNER", 1)
    hanging = await hanging_push(webpush, second, user_id=1)
    services = second, webpush.server
    others = [
        make_target(n, service.subscribe().token, platform="webpush")
        for n, service in enumerate(services, start=2)
    ]

    reports = await webpush.send(others)

    assert reports.kinds() == ["accepted"] * 2
    second.held[0].answer(201)
    await hanging


async def test_a_silent_server_is_left_alone_for_a_while(
    webpush: WebpushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strangers, "PATIENCE_S", 0.2)
    first, other = (webpush.server.subscribe() for _ in range(2))
    webpush.server.hang(first)

    silent = await webpush.send(targets(first))
    # Also about its other devices, because it has answered nothing.
    resting = await webpush.send(targets(first, other))

    assert "no answer within 0.2 s" in silent.by_device[1].reason
    assert silent.by_device[1].tried
    assert resting.kinds() == ["later"] * 2
    assert all(not outcome.tried for outcome in resting.by_device.values())
    assert all(outcome.retry_after_s for outcome in resting.by_device.values())
    assert len(webpush.server.seen) == 1


async def test_a_server_that_answers_others_is_not_the_silent_one(
    webpush: WebpushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strangers, "PATIENCE_S", 0.3)
    silent, lively = (webpush.server.subscribe() for _ in range(2))
    webpush.server.hang(silent)

    first = await webpush.send(targets(silent, lively))
    second = await webpush.send(targets(silent, lively))

    assert first.kinds() == second.kinds() == ["later", "accepted"]
    assert len(webpush.server.seen) == 3


async def test_a_silent_server_gets_short_single_tries_until_it_answers(
    webpush: WebpushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strangers, "PATIENCE_S", 0.3)
    monkeypatch.setattr(strangers, "SHORT_PATIENCE_S", 0.2)
    monkeypatch.setattr(shares, "REST_LADDER_S", (0.0,))
    server = webpush.server
    browsers = [server.subscribe() for _ in range(2)]
    for browser in browsers:
        server.hang(browser)
    await webpush.send(targets(browsers[0]))

    both = await asyncio.gather(*(webpush.send([each]) for each in targets(*browsers)))

    reasons = [reports.by_device[n].reason for n, reports in enumerate(both, start=1)]
    assert "0.2 s" in reasons[0]
    assert "under way" in reasons[1]
    server.hanging.clear()
    again = [await webpush.send([each]) for each in targets(*browsers)]
    assert [reports.kinds() for reports in again] == [["accepted"]] * 2


async def test_a_large_group_has_time_as_long_as_answers_arrive(
    webpush: WebpushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strangers, "PATIENCE_S", 0.5)
    server = webpush.server
    browsers = [server.subscribe() for _ in range(8)]
    for browser in browsers:
        server.hang(browser)
    sending = asyncio.create_task(webpush.send(targets(*browsers)))
    await eventually(lambda: len(server.held) == 8)

    for held in server.held:
        held.answer(201)
        await asyncio.sleep(0.2)

    assert (await sending).kinds() == ["accepted"] * 8


async def test_a_push_to_a_stranger_is_given_up_earlier(
    webpush: WebpushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = webpush.server.subscribe()
    webpush.server.tell(browser, 503)

    to_stranger = await webpush.send(targets(browser))
    monkeypatch.setattr(push_services, "KNOWN_HOSTS", ("localhost",))
    to_known = await webpush.send(targets(browser))

    assert to_stranger.by_device[1].give_up_after_s == strangers.GIVE_UP_AFTER_S
    assert to_known.by_device[1].give_up_after_s is None
