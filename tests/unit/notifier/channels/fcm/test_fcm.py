"""The FCM channel on a fake provider."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from models.pushes import Target
from notifier.channels.authorization import TokenAuthorization
from notifier.channels.fcm import Fcm
from notifier.channels.fcm.payload import Renderer
from notifier.channels.fcm.quota import Quota
from notifier.http2 import Head, Request, Response
from notifier.outcome import ChannelDown
from tests.support.fake_provider import (
    ACCEPT,
    OK,
    Answer,
    FakeClient,
    FakeTokens,
    RecordedTroubles,
    always,
)
from tests.support.notifications import Reports, make_notification, make_target

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"


def refusal(status: int, code: str | None = None) -> Response:
    details = [{"@type": FCM_ERROR, "errorCode": code}] if code else []
    body = {"error": {"code": status, "details": details}}
    return Response(status, (), json.dumps(body).encode())


class Google:
    """A channel with a fake client."""

    def __init__(
        self,
        answer: Answer = ACCEPT,
        *,
        per_s: float = 1000.0,
    ) -> None:
        self.client = FakeClient(answer)
        self.tokens = FakeTokens()
        self.troubles = RecordedTroubles()
        self.channel = Fcm(
            self.client,  # type: ignore[arg-type]
            TokenAuthorization(self.tokens, "fcm", asyncio.sleep),  # type: ignore[arg-type]
            Renderer("service-account.json", "harbour"),
            project_id="harbour",
            troubles=self.troubles,
            quota=Quota(per_s),
        )

    def push(self, targets: Sequence[Target]) -> Reports:
        reports = Reports()
        rendered = self.channel.render(make_notification())
        asyncio.run(self.channel.send(rendered, targets, reports))
        return reports


def by_token(special: dict[str, Response]) -> Answer:
    def answer(head: Head, request: Request) -> Response:
        return special.get(json.loads(request.body)["message"]["token"], OK)

    return answer


def test_the_head_holds_what_all_pushes_share() -> None:
    google = Google()

    google.push([make_target(1, "aa"), make_target(2, "bb")])

    (first, request), (second, _) = google.client.sent
    assert first is second
    assert first.path == "/v1/projects/harbour/messages:send"
    assert dict(first.headers) == {
        "authorization": "Bearer t1",
        "content-type": "application/json",
    }
    assert request.path is None


def test_every_device_gets_its_own_outcome() -> None:
    google = Google(
        by_token(
            {
                "bb": refusal(404, "UNREGISTERED"),
                "cc": refusal(403, "SENDER_ID_MISMATCH"),
                "dd": refusal(429, "QUOTA_EXCEEDED"),
            }
        )
    )

    reports = google.push(
        [make_target(n, token) for n, token in enumerate(["aa", "bb", "cc", "dd"])]
    )

    assert reports.kinds() == ["accepted", "gone", "suspect", "later"]


def test_an_expired_access_token_is_replaced_and_the_push_sent_again() -> None:
    def answer(head: Head, request: Request) -> Response:
        old = dict(head.headers)["authorization"] == "Bearer t1"
        return refusal(401) if old else OK

    google = Google(answer)

    assert google.push([make_target()]).kinds() == ["accepted"]
    assert google.tokens.number == 2


def test_keys_of_third_parties_concern_their_devices_only() -> None:
    google = Google(by_token({"ios": refusal(401, "THIRD_PARTY_AUTH_ERROR")}))
    targets = [make_target(1, "ios"), make_target(2, "android")]

    google.push(targets)
    again = google.push(targets)

    assert again.kinds() == ["credentials", "accepted"]
    assert google.tokens.number == 1
    assert google.troubles.standing() == {}


def test_permission_denied_is_reported_to_the_operator() -> None:
    google = Google(always(refusal(403)))

    google.push([make_target()])

    assert google.troubles.standing() == {"fcm harbour": "status 403"}


def test_an_unspecified_error_gives_up_after_some_tries() -> None:
    google = Google(always(refusal(500, "UNSPECIFIED_ERROR")))

    reports = google.push([make_target(1, attempts=1), make_target(2, attempts=7)])

    assert reports.kinds() == ["later", "refused"]


# A burst of a thousand pushes, then a fifth of a second for each hundred.
QUICK = 5_000.0


def test_more_than_the_quota_waits_in_chunks_and_arrives() -> None:
    google = Google(per_s=QUICK)
    targets = [make_target(n, f"t{n}") for n in range(1200)]

    first = google.push(targets[:1000])
    second = google.push(targets[1000:])

    assert first.kinds() == ["accepted"] * 1000
    assert second.kinds() == ["accepted"] * 200
    assert len(google.client.sent) == 1200


def test_a_failing_chunk_does_not_delay_the_others() -> None:
    def answer(head: Head, request: Request) -> Response | Exception:
        lost = b"t100" in request.body
        return ChannelDown("unreachable", retry_after_s=1) if lost else OK

    # After the first thousand, each chunk has to wait for half a second.
    google = Google(answer, per_s=2_000.0)
    google.push([make_target(n) for n in range(1000)])
    reports = Reports()
    targets = [make_target(n, f"t{n:03}") for n in range(200)]
    rendered = google.channel.render(make_notification())

    with pytest.raises(ChannelDown):
        asyncio.run(google.channel.send(rendered, targets, reports))

    assert reports.by_device.keys() == set(range(100))
