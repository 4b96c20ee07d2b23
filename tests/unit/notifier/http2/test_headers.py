"""Header blocks, read back by another HPACK implementation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jh2.hpack import Decoder, Encoder

from notifier.http2 import Head, literal
from notifier.http2.frames import Code, PeerError
from notifier.http2.headers import (
    PATH_PREFIXES,
    FieldDecoder,
    Templates,
    integer,
    parse_status,
)

_NAMES = st.text("abcdefgh-", min_size=1, max_size=12)
_VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=900)
_HEADS = st.builds(
    Head,
    headers=st.lists(st.tuples(_NAMES, _VALUES), max_size=6).map(tuple),
    path=st.none() | st.just("/v1/messages:send"),
    method=st.sampled_from(["POST", "GET", "PUT"]),
)


def _block(templates: Templates, head: Head, path: bytes) -> bytes:
    template = templates.get(head)
    own = PATH_PREFIXES[len(path)] + path if head.path is None else b""
    return template.before + own + template.after


def _expected(head: Head, path: bytes) -> dict[str, str]:
    return {
        ":method": head.method,
        ":scheme": "https",
        ":authority": "push.test",
        ":path": head.path or path.decode(),
    }


def _decode(decoder: Decoder, block: bytes) -> list[tuple[str, str]]:
    return [(n.decode(), v.decode()) for n, v in decoder.decode(block, raw=True)]


@given(
    st.lists(_HEADS, min_size=1, max_size=5),
    st.lists(st.integers(0, 4), max_size=30),
    st.lists(
        st.tuples(st.integers(0, 29), st.sampled_from([0, 64, 300, 4096])), max_size=4
    ),
)
def test_heads_in_any_order_are_decoded_through_table_changes(heads, order, resizes):
    templates, decoder = Templates("push.test"), Decoder()
    sizes = dict(resizes)

    for turn, choice in enumerate(order):
        if turn in sizes:
            templates.resize(sizes[turn])
            decoder.max_allowed_table_size = sizes[turn]
        head = heads[choice % len(heads)]
        path = b"/3/device/%d" % turn
        fields = _decode(decoder, _block(templates, head, path))

        assert dict(fields[:4]) == _expected(head, path)
        assert fields[4:] == list(head.headers)


def test_a_head_costs_an_index_byte_per_field_once_the_peer_knows_it():
    templates = Templates("push.test")
    head = Head(
        headers=(("authorization", "bearer " + "x" * 200), ("apns-topic", "app"))
    )
    first = templates.get(head)

    second = templates.get(head)

    assert first.inserts
    assert len(first.before + first.after) > 200
    assert not second.inserts
    assert len(second.before + second.after) == 5


def test_a_head_that_another_has_moved_is_still_indexed():
    templates, decoder = Templates("push.test"), Decoder()
    one = Head(headers=(("apns-topic", "one"),))
    two = Head(headers=(("apns-topic", "two"),))
    for head in (one, two):
        decoder.decode(_block(templates, head, b"/"))

    block = _block(templates, one, b"/")

    assert len(block) == 7
    assert _decode(decoder, block)[4:] == [("apns-topic", "one")]


def test_a_shrunken_table_is_announced_with_its_lowest_size():
    templates = Templates("push.test")
    templates.resize(0)
    templates.resize(100)

    before = templates.get(Head(headers=())).before

    assert before.startswith(b"\x20" + integer(100, 5, 0x20))


@given(st.integers(0, 2**32), st.integers(1, 8))
def test_integers_are_read_by_another_implementation(number, prefix):
    decoded = _integer_of(integer(number, prefix), prefix)

    assert decoded == number


def _integer_of(data: bytes, prefix: int) -> int:
    """The integer, decoded as RFC 7541 §5.1 describes it."""
    most = 2**prefix - 1
    if data[0] & most < most:
        return data[0] & most
    return most + sum((octet & 127) << (7 * i) for i, octet in enumerate(data[1:]))


@given(_NAMES, _VALUES)
def test_a_literal_can_stand_anywhere_in_a_block(name, value):
    block = b"\x88" + literal(name, value) + literal(name, value)

    assert _decode(Decoder(), block)[1:] == [(name, value)] * 2


@pytest.mark.parametrize("name", ["", "Upper", "with space", "colon:", "ü", "a\n"])
def test_an_invalid_header_name_is_refused(name):
    with pytest.raises(ValueError, match="not the name of a header"):
        literal(name, "value")


@pytest.mark.parametrize("value", ["a\r\nb", "\0", "x\x7f"])
def test_control_characters_in_a_value_are_refused(value):
    with pytest.raises(ValueError, match="control characters"):
        literal("apns-topic", value)


def test_responses_are_decoded():
    encoder = Encoder()
    encoder.header_table_size = 0
    block = encoder.encode([(":status", "410"), ("apns-id", "an id"), ("x", "ü")])

    fields = FieldDecoder(65_536).decode(block)

    assert fields[:2] == [(":status", "410"), ("apns-id", "an id")]


@pytest.mark.parametrize(
    "block", [b"\xff", b"\x80", b"\xbe", b"\x3f\xff\x7f", b"\x40\x7f"]
)
def test_a_broken_block_is_the_peers_fault(block):
    with pytest.raises(PeerError) as caught:
        FieldDecoder(65_536).decode(block)

    assert caught.value.code is Code.COMPRESSION_ERROR


def test_a_header_list_that_is_too_large_is_refused():
    with pytest.raises(PeerError):
        FieldDecoder(100).decode(literal("a", "x" * 200))


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([(":status", "200")], 200),
        ([(":status", "410"), ("a", "b")], 410),
        ([], 0),
        ([("a", "b"), (":status", "200")], 0),
        ([(":status", "200"), (":status", "500")], 0),
        ([(":status", "20")], 0),
        ([(":status", "+20")], 0),
        ([(":status", "099")], 0),
        ([(":status", "²00")], 0),
    ],
)
def test_only_a_single_leading_status_is_valid(fields, status):
    assert parse_status(fields) == status
