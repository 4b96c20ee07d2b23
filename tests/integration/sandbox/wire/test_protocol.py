"""HTTP/2 as strict as RFC 9113: violations end in GOAWAY or RST_STREAM."""

import struct

import pytest

from tests.support.provider_client import ProviderClient
from tests.support.provider_tokens import DEVICE, ApnsSender, apns_headers
from tests.support.sandbox import Sandbox

PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR = 1, 3, 6
STREAM_CLOSED, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 5, 9, 11
DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE = 0, 1, 3, 4, 5
PING, WINDOW_UPDATE, CONTINUATION = 6, 8, 9


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    size = struct.pack(">I", len(payload))[1:]
    return size + struct.pack(">BBI", kind, flags, stream) + payload


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (frame(DATA, 1, 1, b"x"), PROTOCOL_ERROR),
        (frame(HEADERS, 5, 2, b"\x82"), PROTOCOL_ERROR),
        (frame(HEADERS, 5, 1, b"\xff\xff\xff\xff\xff"), COMPRESSION_ERROR),
        (frame(HEADERS, 1, 1, b"") + frame(PING, 0, 0, bytes(8)), PROTOCOL_ERROR),
        (frame(HEADERS, 13, 1, b"\x09\x82"), PROTOCOL_ERROR),
        (frame(CONTINUATION, 4, 1, b"\x82"), PROTOCOL_ERROR),
        (frame(SETTINGS, 0, 0, b"12345"), FRAME_SIZE_ERROR),
        (frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 2**31)), FLOW_CONTROL_ERROR),
        (frame(SETTINGS, 0, 0, struct.pack(">HI", 5, 1)), PROTOCOL_ERROR),
        (frame(PING, 0, 0, b"short"), FRAME_SIZE_ERROR),
        (frame(RST_STREAM, 0, 1, bytes(4)), PROTOCOL_ERROR),
        (frame(WINDOW_UPDATE, 0, 0, bytes(4)), PROTOCOL_ERROR),
        (frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"), FLOW_CONTROL_ERROR),
        (frame(PUSH_PROMISE, 4, 1, bytes(4)), PROTOCOL_ERROR),
        (b"\x00\x40\x01" + frame(DATA, 0, 1, b"")[3:], FRAME_SIZE_ERROR),
    ],
)
def test_broken_protocol_ends_with_goaway(
    sandbox: Sandbox, broken: bytes, code: int
) -> None:
    with ProviderClient(sandbox.url, sandbox.ca_file) as client:
        client.raw(broken)
        client.wait_for_end()

        assert client.goaway is not None
        assert client.goaway.code == code
    assert sandbox.stats()["protocol_errors"] == 1


def test_endless_header_block_is_refused(sandbox: Sandbox) -> None:
    piece = b"\x00\x01a" + b"\x01b" * 1
    with ProviderClient(sandbox.url, sandbox.ca_file) as client:
        client.raw(frame(HEADERS, 1, 1, piece))
        for _ in range(5):
            client.raw(frame(CONTINUATION, 0, 1, piece * 3000))
        client.wait_for_end()

        assert client.goaway is not None
        assert client.goaway.code == ENHANCE_YOUR_CALM


@pytest.mark.parametrize(
    "headers",
    [
        [("Apns-Topic", "upper case")],
        [("connection", "close")],
        [("transfer-encoding", "chunked")],
        [(":status", "200")],
        [(":path", "/again")],
    ],
)
def test_malformed_request_ends_only_its_stream(
    sandbox: Sandbox, apns: ApnsSender, headers: list[tuple[str, str]]
) -> None:
    reply = apns.client.request("POST", f"/3/device/{DEVICE}", headers)

    assert reply.reset == PROTOCOL_ERROR
    assert apns.push().status == 200


def test_body_beyond_the_window_ends_its_stream(apns: ApnsSender) -> None:
    headers = apns_headers(apns.token)
    stream = apns.client.begin("POST", f"/3/device/{DEVICE}", headers)

    apns.client.raw(frame(DATA, 0, stream, bytes(16_384)) * 4)

    assert apns.client.wait(stream).reset == FLOW_CONTROL_ERROR
    assert apns.push().status == 200


def test_stream_ends_only_once(apns: ApnsSender) -> None:
    stream = apns.send("hang-1")

    apns.client.raw(frame(DATA, 1, stream, b"{}"))
    apns.client.wait_for_end()

    assert apns.client.goaway is not None
    assert apns.client.goaway.code == STREAM_CLOSED


def test_length_must_be_that_of_the_body(apns: ApnsSender) -> None:
    assert apns.push(content_length="7").reset == PROTOCOL_ERROR


def test_answer_to_head_has_no_body(apns: ApnsSender) -> None:
    reply = apns.client.request("HEAD", "/stats")

    assert (reply.status, reply.body) == (200, b"")


def test_ping_is_answered(apns: ApnsSender) -> None:
    apns.client.h2.ping(b"12345678")
    apns.client.flush()

    while not apns.client.pongs:
        apns.client.read()
    assert apns.client.pongs == [b"12345678"]


def test_padding_and_continuation_are_read(sandbox: Sandbox, apns: ApnsSender) -> None:
    stream = apns.client.begin("POST", f"/3/device/{DEVICE}", end=False)
    apns.client.h2.reset_stream(stream)
    apns.client.flush()
    follower = stream + 2
    fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", f"/3/device/{DEVICE}"),
        *apns_headers(apns.token),
    ]
    block = apns.client.h2.encoder.encode(
        [(name.encode(), value.encode(), False) for name, value in fields]
    )

    apns.client.raw(
        frame(HEADERS, 8, follower, b"\x03" + block[:9] + bytes(3))
        + frame(CONTINUATION, 0, follower, block[9:20])
        + frame(CONTINUATION, 4, follower, block[20:])
        + frame(DATA, 9, follower, b"\x05" + b'{"aps":{"alert":"hi"}}' + bytes(5))
    )

    [push] = sandbox.inbox(wait=10)
    assert push["payload"] == {"aps": {"alert": "hi"}}


def test_answers_keep_within_a_small_window(sandbox: Sandbox, apns: ApnsSender) -> None:
    apns.client.h2.update_settings({4: 10})
    apns.client.flush()
    apns.push()

    reply = apns.push("unregistered-1")

    assert reply.body.endswith(b"}")
