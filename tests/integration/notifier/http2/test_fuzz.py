"""A short fuzz run; `python -m tests.fuzz.http2` makes a long one."""

import asyncio

from hypothesis import HealthCheck, given, settings

from notifier.http2 import Response
from tests.fuzz import http1
from tests.fuzz import http2 as fuzz
from tests.support import h2_bytes, h2_client
from tests.support.h2_client import talking_to
from tests.support.h2_peer import Peer, PeerRequest

_BRIEFLY = settings(
    max_examples=300, deadline=None, suppress_health_check=list(HealthCheck)
)
(
    test_any_bytes_end_in_their_answers_or_in_channel_down,
    test_any_bytes_end_alike_however_many_turns_they_take,
    test_any_bytes_without_a_settings_ack_end_in_channel_down,
    test_any_greeting_ends_in_channel_down,
) = map(_BRIEFLY, fuzz.checks())
# Each of them is as long as a budget.
test_any_flood_ends_in_channel_down = settings(_BRIEFLY, max_examples=60)(
    fuzz.flood_check()
)
(
    test_any_http1_bytes_end_in_their_answers_or_in_channel_down,
    test_any_http1_flood_ends_in_channel_down,
) = map(_BRIEFLY, http1.checks())


def test_a_valid_transcript_yields_its_answers():
    transcript = b"".join(
        b"\0\0\x01\x01\x05\0\0\0" + bytes([stream, code])
        for stream, code in [(1, 0x88), (5, 0x8D), (3, 0x8E), (9, 0x88)]
    )

    answers = asyncio.run(fuzz.play(transcript, [3, 10, 17]))

    assert {i: a.status for i, a in answers.items()} == {1: 200, 5: 404, 3: 500, 9: 200}
    assert answers[1] == Response(200, (), b"")


def test_answers_behind_an_acknowledgement_are_read_alike_in_any_turn():
    """The fast path begins within a read; it does not decode this wrong length."""
    acknowledgement = bytes(3) + b"\x04\x01" + bytes(4)
    answer = b"\0\0\x05\x01\x05\0\0\0\x03\x88\x0f\r\x013"

    fuzz.survives_turns(acknowledgement + answer, [])


@given(h2_bytes.anything)
@settings(max_examples=60, deadline=None)
def test_a_client_over_tls_survives_any_bytes(data):
    def say(request: PeerRequest) -> None:
        request.connection.raw(data)
        request.connection.transport.close()

    async def talk() -> None:
        async with talking_to(Peer(on_request=say), request_timeout_s=1) as client:
            async with asyncio.timeout(30):
                sent = await h2_client.send(client, 3)
            assert sent.fault is not None or len(sent.answers) == 3

    asyncio.run(talk())
