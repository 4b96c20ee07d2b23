"""Header fields as HPACK (RFC 7541): request templates out, response fields in.

Requests with the same head differ in their path only, so each is encoded as a few index
bytes around its path. Our table holds the position of each field: encoding a head again
after other heads have moved its fields takes a few lookups. A general encoder takes
100 µs for it.
"""

import re
from collections import deque
from functools import lru_cache
from typing import NamedTuple

from hpack import Decoder

from notifier.http2.frames import Code, PeerError
from notifier.http2.messages import Head

Pair = tuple[bytes, bytes]

# The most that we use of the peer's table, even when it offers more.
TABLE_SIZE = 4096
# RFC 7541 §4.1: the size of an entry besides its text.
_ENTRY_OVERHEAD = 32
# The indexes 1 to 61 are the static entries.
_FIRST_DYNAMIC = 62
# Static entries: ":method" GET and POST, ":scheme" https.
_METHODS = {"GET": b"\x82", "POST": b"\x83"}
_HTTPS = b"\x87"
# The most heads whose encoding is kept per connection.
_TEMPLATES = 256

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_PSEUDO = re.compile(rb":(authority|method|path)")
# Three changes of the table's size; a block begins with two at most (RFC 7541 §4.2).
_MANY_SIZES = re.compile(rb"(?:[\x20-\x3e]|\x3f[\x80-\xff]*[\x00-\x7f]){3}")
_NOT_IN_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def integer(number: int, prefix_bits: int, pattern: int = 0) -> bytes:
    """An HPACK integer (§5.1); the pattern fills the bits before its prefix."""
    most = (1 << prefix_bits) - 1
    if number < most:
        return bytes((pattern | number,))
    octets = [pattern | most]
    number -= most
    while number >= 128:
        octets.append(number & 127 | 128)
        number >>= 7
    return bytes((*octets, number))


def _string(text: bytes) -> bytes:
    return integer(len(text), 7) + text


def _pair(name: str, value: str) -> Pair:
    """The field as bytes; ValueError if HTTP does not allow it."""
    raw_name, raw_value = name.encode(), value.encode()
    if not (_NAME.fullmatch(raw_name) or _PSEUDO.fullmatch(raw_name)):
        raise ValueError(f"{name!r} is not the name of a header field")
    if _NOT_IN_VALUE.search(raw_value):
        raise ValueError(f"header field {name} has control characters in its value")
    return raw_name, raw_value


def literal(name: str, value: str) -> bytes:
    """An encoded field that uses no table, so it can stand anywhere in a block."""
    raw_name, raw_value = _pair(name, value)
    return b"\x00" + _string(raw_name) + _string(raw_value)


class _PathPrefixes(dict[int, bytes]):
    """The bytes before a path of that length: a literal with the name of index 4."""

    def __missing__(self, length: int) -> bytes:
        return integer(4, 4) + integer(length, 7)


PATH_PREFIXES = _PathPrefixes({n: integer(4, 4) + integer(n, 7) for n in range(512)})


@lru_cache(maxsize=1024)
def pairs(head: Head, authority: str) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """The fields of a head: those before the request's own path, and those after it."""
    before = [_pair(":authority", authority)]
    if head.method not in _METHODS:
        before.append(_pair(":method", head.method))
    if head.path is not None:
        before.append(_pair(":path", head.path))
    return tuple(before), tuple(_pair(*field) for field in head.headers)


class Template(NamedTuple):
    """An encoded head in two halves; the request's own path goes in between."""

    before: bytes
    after: bytes
    # It inserts into the peer's table, so it must be sent exactly once.
    inserts: bool


class Templates:
    """Encodes heads for one connection and mirrors the peer's dynamic table."""

    def __init__(self, authority: str) -> None:
        self._authority = authority
        self._limit = TABLE_SIZE
        # Table sizes to announce in the next block: the lowest, then the last (§4.2).
        self._announce: list[int] = []
        self._size = 0
        # Oldest first; a position is the number of entries inserted before.
        self._entries: deque[tuple[Pair, int]] = deque()
        self._position: dict[Pair, int] = {}
        self._inserted = 0
        self._encoded: dict[Head, Template] = {}

    def resize(self, limit: int) -> None:
        """Apply the peer's HEADER_TABLE_SIZE; we never use more than the default."""
        limit = min(limit, TABLE_SIZE)
        if limit == self._limit and not self._announce:
            return
        lowest = min([limit, *self._announce])
        self._announce = [lowest, limit] if lowest < limit else [limit]
        self._limit = limit
        self._evict(0)
        self._encoded.clear()

    def get(self, head: Head) -> Template:
        """The template for the next request, and for others unless it `inserts`."""
        known = self._encoded.get(head)
        if known is not None:
            return known
        version = self._inserted
        announced = b"".join(integer(size, 5, 0x20) for size in self._announce)
        before, after = pairs(head, self._authority)
        encoded = [self._field(pair) for pair in before]
        method = _METHODS.get(head.method, b"")
        template = Template(
            before=announced + method + _HTTPS + b"".join(encoded),
            after=b"".join([self._field(pair) for pair in after]),
            inserts=self._inserted != version or bool(announced),
        )
        self._announce = []
        if not template.inserts:
            if len(self._encoded) >= _TEMPLATES:
                self._encoded.clear()
            self._encoded[head] = template
        return template

    def _field(self, pair: Pair) -> bytes:
        position = self._position.get(pair)
        if position is not None:
            index = _FIRST_DYNAMIC + self._inserted - 1 - position
            return integer(index, 7, 0x80)
        name, value = pair
        cost = len(name) + len(value) + _ENTRY_OVERHEAD
        # A field of half the table's size would evict what all requests share.
        if cost > self._limit // 2:
            return b"\x00" + _string(name) + _string(value)
        self._evict(cost)
        self._entries.append((pair, cost))
        self._position[pair] = self._inserted
        self._inserted += 1
        self._size += cost
        # Every index moved.
        self._encoded.clear()
        return b"\x40" + _string(name) + _string(value)

    def _evict(self, room: int) -> None:
        while self._size + room > self._limit:
            pair, cost = self._entries.popleft()
            del self._position[pair]
            self._size -= cost


class FieldDecoder:
    """Decodes response header blocks.

    We allow the peer no dynamic table, but it may use one until it acknowledges that.
    """

    def __init__(self, max_list_size: int) -> None:
        self._decoder = Decoder(max_header_list_size=max_list_size)

    def disable_table(self) -> None:
        """From now on each block is decoded independently of those before it."""
        self._decoder.header_table_size = 0
        self._decoder.max_allowed_table_size = 0

    def decode(self, block: bytes) -> list[tuple[str, str]]:
        # Nearly all blocks begin with a status, and need no second look.
        if block[:1] < b"\x40" and _MANY_SIZES.match(block):
            raise PeerError(Code.COMPRESSION_ERROR, "header block: many table sizes")
        try:
            decoded = self._decoder.decode(block, raw=True)
        # An HPACK library fails in many ways; each means that the block is broken.
        except Exception as error:
            raise PeerError(Code.COMPRESSION_ERROR, f"header block: {error}") from error
        return [
            (bytes(name).decode("latin-1"), bytes(value).decode("latin-1"))
            for name, value in decoded
        ]


def parse_status(fields: list[tuple[str, str]]) -> int:
    """The status of a response; 0 if these fields do not make a valid one."""
    names = [name for name, _ in fields]
    if not names or names[0] != ":status" or any(n[:1] == ":" for n in names[1:]):
        return 0
    value = fields[0][1]
    plain = len(value) == 3 and value.isascii() and value.isdigit()
    return int(value) if plain and value >= "100" else 0
