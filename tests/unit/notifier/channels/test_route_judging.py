"""Whose fault a failure is: the device's, or that of the whole route."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise

import pytest

from models.pushes import Target
from notifier.channels.batch import PushBatch
from notifier.channels.breaker import CREDENTIALS_PAUSE_S
from notifier.channels.route_health import (
    ACCEPTED_LATELY_BY_CHOICE_S,
    ACCEPTED_LATELY_S,
    ENOUGH_OWNERS,
    FIRST_PAUSE_ALONE_S,
    FIRST_PAUSE_S,
    LONGEST_PAUSE_ALONE_S,
    LONGEST_PAUSE_S,
    SUSPECT_AFTER,
    TOGETHER_S,
    Fault,
)
from notifier.http2 import Head, Request, Response
from notifier.outcome import ChannelDown, Kind, Outcome
from tests.support.fake_provider import OK, Result
from tests.support.notifications import Reports, make_target
from tests.support.route_harness import DIALECT, REFUSED, UNREACHABLE, RouteHarness

ERROR = Response(500, (), b"InternalServerError")
SILENCE = ChannelDown("no answer within 30 s")
FAILURES = {Fault.REFUSAL: REFUSED, Fault.ERROR: ERROR, Fault.SILENCE: SILENCE}
BAD, GOOD = 1000, 1


class Judged(RouteHarness):
    """A route whose devices respond as the test says, the others well."""

    def __init__(self, *, is_by_choice: bool = False) -> None:
        super().__init__(dialect=DIALECT._replace(is_by_choice=is_by_choice))
        self.answers: dict[int, Result] = {}
        self.client.answer = self._answer

    def _answer(self, head: Head, request: Request) -> Result:
        return self.answers.get(int(request.body), OK)

    def make_bad(self, fault: Fault, devices: Sequence[int]) -> None:
        self.answers |= dict.fromkeys(devices, FAILURES[fault])

    def outcome(
        self, device: int, *, owner: int | None = None, attempts: int = 0
    ) -> Outcome:
        """Push to a device that is alone in its conversation."""
        reports = Reports()
        user_id = device if owner is None else owner
        target = make_target(device, user_id=user_id, attempts=attempts)
        try:
            asyncio.run(self.route.push(batch_for([target], reports)))
        except ChannelDown as down:
            return Outcome(Kind.LATER, down.reason, down.retry_after_s, tried=False)
        return reports.by_device[device]

    def pushed(self, device: int) -> int:
        return self.sent().count(b"%d" % device)


def batch_for(targets: Sequence[Target], reports: Reports) -> PushBatch:
    requests = [Request(b"%d" % target.device_id) for target in targets]
    return PushBatch(
        lambda token: Head((("t", str(token)),)), requests, targets, reports
    )


every_fault = pytest.mark.parametrize("fault", Fault)


# -- one device


@every_fault
def test_a_device_that_fails_alone_shuts_nobody_out(fault: Fault) -> None:
    judged = Judged()
    judged.make_bad(fault, [BAD])

    for _ in range(50):
        judged.outcome(BAD)

    assert not judged.route.breaker.is_open
    assert judged.outcome(GOOD).kind is Kind.ACCEPTED


@every_fault
def test_nor_does_one_that_fails_after_others_were_accepted(fault: Fault) -> None:
    judged = Judged()
    judged.make_bad(fault, [BAD])

    for good in range(50):
        assert judged.outcome(good).kind is Kind.ACCEPTED
        judged.outcome(BAD)
        judged.clock.now += 10

    assert judged.pushed(BAD) < 10


@every_fault
def test_the_devices_of_one_owner_are_one_voice(fault: Fault) -> None:
    judged = Judged()
    devices = range(BAD, BAD + 50)
    judged.make_bad(fault, devices)

    for device in devices:
        judged.outcome(device, owner=BAD)

    assert not judged.route.breaker.is_open


@every_fault
def test_many_owners_shut_the_route(fault: Fault) -> None:
    judged = Judged()
    devices = range(BAD, BAD + ENOUGH_OWNERS[fault])
    judged.make_bad(fault, devices)

    for device in devices:
        assert not judged.route.breaker.is_open
        judged.outcome(device)

    assert judged.route.breaker.is_open


@every_fault
def test_many_owners_shut_nothing_while_others_are_accepted(fault: Fault) -> None:
    judged = Judged()
    devices = range(BAD, BAD + 2 * ENOUGH_OWNERS[fault])
    judged.make_bad(fault, devices)

    for _ in range(3):
        for device in devices:
            judged.outcome(device)
            assert judged.outcome(GOOD).kind is Kind.ACCEPTED
            judged.clock.now += 1

    assert not judged.route.breaker.is_open
    assert judged.troubles.standing() == {}


def test_refusals_in_the_same_wave_as_acceptances_are_not_about_us() -> None:
    judged = Judged()
    devices = range(BAD, BAD + 10)
    judged.make_bad(Fault.REFUSAL, devices)
    targets = [make_target(n) for n in (*range(90), *devices)]

    asyncio.run(judged.route.push(batch_for(targets, Reports())))

    assert not judged.route.breaker.is_open
    assert judged.troubles.standing() == {}


def test_credentials_that_are_revoked_are_noticed_soon() -> None:
    judged = Judged()
    devices = range(10)
    for device in devices:
        judged.outcome(device)
    judged.make_bad(Fault.REFUSAL, devices)
    judged.clock.now += TOGETHER_S

    for device in devices[:3]:
        judged.outcome(device)

    assert judged.route.breaker.refusal == "BadKey"
    assert judged.troubles.standing() == {"apns harbour": "BadKey"}


# -- suspect devices


def made_suspect(judged: Judged) -> Outcome:
    """The outcome by which the bad device is found to be suspect."""
    outcomes = (judged.outcome(BAD) for _ in range(SUSPECT_AFTER))
    return next(each for each in outcomes if each.kind is Kind.SUSPECT)


@every_fault
def test_a_suspect_is_tried_ever_more_rarely_while_others_are_accepted(
    fault: Fault,
) -> None:
    judged = Judged()
    judged.make_bad(fault, [BAD])
    tried_at = []

    for second in range(4 * 3600):
        judged.clock.now = float(second)
        if second % 10 == 0:
            judged.outcome(GOOD)
        before = judged.pushed(BAD)
        judged.outcome(BAD)
        if judged.pushed(BAD) > before:
            tried_at.append(second)

    assert tried_at[-1] - tried_at[-2] == LONGEST_PAUSE_S
    assert len(tried_at) < 20


@every_fault
def test_one_that_is_alone_on_its_route_is_soon_tried_once_a_minute(
    fault: Fault,
) -> None:
    judged = Judged(is_by_choice=True)
    judged.make_bad(fault, [BAD])

    tried_at = []
    for second in range(1200):
        judged.clock.now, before = float(second), judged.pushed(BAD)
        judged.outcome(BAD)
        tried_at += [second] * (judged.pushed(BAD) - before)

    gaps = [later - at for at, later in pairwise(tried_at)][SUSPECT_AFTER - 1 :]
    if fault is not Fault.REFUSAL:
        # It may be the provider's fault, and may be over in a moment.
        assert gaps[:4] == [FIRST_PAUSE_ALONE_S * each for each in (1, 2, 4, 8)]
        gaps = gaps[4:]
    assert set(gaps) == {LONGEST_PAUSE_ALONE_S}


@every_fault
def test_a_suspect_is_reported_as_such_and_has_another_try(fault: Fault) -> None:
    judged = Judged()
    judged.make_bad(fault, [BAD])
    judged.outcome(GOOD)

    outcome = made_suspect(judged)
    held = judged.outcome(BAD)

    assert outcome.tried
    assert (held.kind, held.tried) == (Kind.SUSPECT, False)
    assert held.reason == outcome.reason != ""
    assert held.retry_after_s is not None
    assert held.retry_after_s <= (outcome.retry_after_s or 0)


@every_fault
def test_a_suspect_that_is_accepted_is_one_no_more(fault: Fault) -> None:
    judged = Judged()
    judged.make_bad(fault, [BAD])
    judged.outcome(GOOD)
    made_suspect(judged)
    judged.answers.clear()
    judged.clock.now += FIRST_PAUSE_S * 4

    first, second = judged.outcome(BAD), judged.outcome(BAD)

    assert (first.kind, first.is_recovery) == (Kind.ACCEPTED, True)
    assert (second.kind, second.is_recovery) == (Kind.ACCEPTED, False)


def test_a_suspect_in_a_wave_does_not_hold_the_others() -> None:
    judged = Judged()
    judged.make_bad(Fault.ERROR, [BAD])
    made_suspect(judged)
    reports = Reports()

    targets = [make_target(n) for n in (GOOD, BAD, BAD + 1)]
    asyncio.run(judged.route.push(batch_for(targets, reports)))

    assert reports.kinds() == ["accepted", "suspect", "accepted"]
    assert judged.pushed(BAD) == SUSPECT_AFTER


def test_a_rate_limit_of_a_device_makes_nobody_suspect() -> None:
    judged = Judged()
    judged.answers[BAD] = Response(429, (("retry-after", "1"),), b"OneMustWait")

    kinds = {judged.outcome(BAD).kind for _ in range(50)}

    assert kinds == {Kind.LATER}


# -- probes


def shut_by_devices(judged: Judged, fault: Fault) -> range:
    """Shut the route by enough devices; returns them."""
    devices = range(BAD, BAD + ENOUGH_OWNERS[fault])
    judged.make_bad(fault, devices)
    for device in devices:
        judged.outcome(device)
    assert judged.route.breaker.is_open
    return devices


@every_fault
def test_a_device_that_has_not_failed_is_tried_at_once(fault: Fault) -> None:
    judged = Judged()
    devices = shut_by_devices(judged, fault)

    assert judged.outcome(GOOD).kind is Kind.ACCEPTED

    assert not judged.route.breaker.is_open
    # Their word against the route counts no more.
    for device in devices:
        judged.outcome(device)
    assert not judged.route.breaker.is_open
    assert judged.troubles.standing() == {}


@every_fault
def test_only_a_few_are_tried_while_the_route_is_really_shut(fault: Fault) -> None:
    judged = Judged()
    shut_by_devices(judged, fault)
    others = range(2 * BAD, 2 * BAD + 50)
    judged.make_bad(fault, others)
    judged.client.sent.clear()

    for device in others:
        judged.outcome(device)

    assert len(judged.sent()) == 3
    assert judged.route.breaker.is_open


@every_fault
def test_the_probe_is_not_the_device_that_failed(fault: Fault) -> None:
    judged = Judged()
    devices = shut_by_devices(judged, fault)
    judged.clock.now += CREDENTIALS_PAUSE_S
    judged.client.sent.clear()
    reports = Reports()

    targets = [make_target(n) for n in (*devices, 5 * BAD)]
    with suppress(ChannelDown):
        asyncio.run(judged.route.push(batch_for(targets, reports)))

    assert judged.sent()[0] == b"%d" % (5 * BAD)
    assert reports.by_device[5 * BAD].kind is Kind.ACCEPTED


@every_fault
def test_a_route_is_not_judged_by_the_probe_of_a_suspect(fault: Fault) -> None:
    judged = Judged()
    judged.make_bad(fault, [BAD])
    for _ in range(10):
        judged.outcome(GOOD)
        judged.outcome(BAD)
        judged.clock.now += 1000
    judged.answers[GOOD] = UNREACHABLE
    judged.outcome(GOOD)
    del judged.answers[GOOD]
    judged.clock.now += LONGEST_PAUSE_S

    for _ in range(5):
        judged.outcome(BAD)

    assert judged.outcome(GOOD).kind is Kind.ACCEPTED


def test_probes_take_turns() -> None:
    judged = Judged()
    devices = shut_by_devices(judged, Fault.ERROR)
    probes = set()

    for _ in range(10):
        judged.clock.now += LONGEST_PAUSE_S
        judged.client.sent.clear()
        targets = [make_target(n) for n in devices]
        with pytest.raises(ChannelDown):
            asyncio.run(judged.route.push(batch_for(targets, Reports())))
        probes.update(judged.sent())

    assert len(probes) == 10


def test_after_an_outage_a_single_refusal_is_no_alarm() -> None:
    judged = Judged(is_by_choice=True)
    judged.answers[GOOD] = UNREACHABLE
    judged.outcome(GOOD)
    judged.clock.now += LONGEST_PAUSE_S
    judged.make_bad(Fault.REFUSAL, [BAD])

    judged.outcome(BAD)

    assert not judged.route.breaker.is_open
    assert judged.troubles.reasons() == ["unreachable"]


# -- the alarm of a small installation


def test_a_single_device_tells_that_our_credentials_are_refused() -> None:
    judged = Judged()
    judged.make_bad(Fault.REFUSAL, [BAD])

    outcome = judged.outcome(BAD)

    assert outcome.kind is Kind.CREDENTIALS
    assert judged.troubles.standing() == {"apns harbour": "BadKey"}
    assert not judged.route.breaker.is_open


def test_it_tells_so_too_if_it_was_accepted_before() -> None:
    judged = Judged()
    judged.outcome(GOOD)
    judged.make_bad(Fault.REFUSAL, [GOOD])
    judged.outcome(GOOD)
    early = judged.troubles.standing()
    judged.clock.now += ACCEPTED_LATELY_S

    outcome = judged.outcome(GOOD)

    assert early == {}
    assert outcome.kind is Kind.CREDENTIALS
    assert judged.troubles.standing() == {"apns harbour": "BadKey"}


def test_where_members_choose_who_refuses_a_retry_has_to_confirm_it() -> None:
    judged = Judged(is_by_choice=True)
    judged.make_bad(Fault.REFUSAL, [BAD])

    for _ in range(10):
        judged.outcome(BAD)
    at_first = judged.troubles.standing()
    judged.clock.now += CREDENTIALS_PAUSE_S
    judged.outcome(BAD, attempts=1)

    assert at_first == {}
    assert "apns harbour" in judged.troubles.standing()


def test_there_a_device_that_failed_beside_others_is_never_believed() -> None:
    judged = Judged(is_by_choice=True)
    judged.make_bad(Fault.REFUSAL, [BAD])
    judged.outcome(BAD)
    judged.outcome(GOOD)
    judged.clock.now += ACCEPTED_LATELY_BY_CHOICE_S

    judged.outcome(BAD, attempts=1)

    assert judged.troubles.standing() == {}


def test_an_accepted_push_ends_the_alarm() -> None:
    judged = Judged()
    judged.make_bad(Fault.REFUSAL, [BAD])
    judged.outcome(BAD)

    judged.outcome(GOOD)

    assert judged.reported() == ["BadKey", None]
