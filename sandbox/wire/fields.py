"""Header fields of a request, and what makes them malformed (RFC 9113 §8)."""

from collections.abc import Iterable

from sandbox.wire.exchange import Fields

_CONNECTION = frozenset(
    ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade")
)
_PSEUDO = frozenset((":method", ":scheme", ":authority", ":path"))
_NEEDED = (":method", ":scheme", ":path")
_NONE: frozenset[str] = frozenset()
# Valid combinations of names; a client uses few of them, again and again.
_known_valid: set[tuple[str, ...]] = set()


def collect(pairs: Iterable[tuple[str, str, bool]]) -> tuple[Fields, frozenset[str]]:
    """Fields by name, and the names that came more than once."""
    pairs = list(pairs)
    found = {name: value for name, value, _ in pairs}
    if len(found) == len(pairs):
        return found, _NONE
    names = [name for name, _, _ in pairs]
    return found, frozenset(name for name in names if names.count(name) > 1)


def is_well_formed(found: Fields, repeated: frozenset[str]) -> bool:
    """Whether a request may have these names, in this order."""
    names = tuple(found)
    if names not in _known_valid:
        if not _has_valid_names(found):
            return False
        if len(_known_valid) < 1000:
            _known_valid.add(names)
    return found[":path"][:1] == "/" and not repeated & _PSEUDO


def _has_valid_names(found: Fields) -> bool:
    pseudo_ended = False
    for name in found:
        if name.startswith(":"):
            if pseudo_ended or name not in _PSEUDO:
                return False
            continue
        pseudo_ended = True
        if not name or name != name.lower() or name in _CONNECTION:
            return False
    return all(name in found for name in _NEEDED)
