"""Header fields of a request, and what makes them malformed (RFC 9113 §8)."""

from collections.abc import Iterable

from sandbox.wire.exchange import Fields

_CONNECTION = frozenset(
    ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade")
)
_PSEUDO = frozenset((":method", ":scheme", ":authority", ":path"))
_NEEDED = (":method", ":scheme", ":path")
_NONE: frozenset[str] = frozenset()
# Combinations of names seen to be right: a client uses few, again and again.
_known_good: set[tuple[str, ...]] = set()


def gather(pairs: Iterable[tuple[str, str, bool]]) -> tuple[Fields, frozenset[str]]:
    """Fields by name, and the names that came more than once."""
    pairs = list(pairs)
    found = {name: value for name, value, _ in pairs}
    if len(found) == len(pairs):
        return found, _NONE
    names = [name for name, _, _ in pairs]
    return found, frozenset(name for name in names if names.count(name) > 1)


def is_well_formed(found: Fields, repeated: frozenset[str]) -> bool:
    """Whether the names are those of a request, in the right order."""
    names = tuple(found)
    if names not in _known_good:
        if not _has_good_names(found):
            return False
        if len(_known_good) < 1000:
            _known_good.add(names)
    return found[":path"][:1] == "/" and not repeated & _PSEUDO


def _has_good_names(found: Fields) -> bool:
    pseudo_over = False
    for name in found:
        if name.startswith(":"):
            if pseudo_over or name not in _PSEUDO:
                return False
            continue
        pseudo_over = True
        if not name or name != name.lower() or name in _CONNECTION:
            return False
    return all(name in found for name in _NEEDED)
