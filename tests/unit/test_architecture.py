"""Who may import whom, how long a file may get, and where the doors are.

A new arrow is a decision: change ARROWS in the same commit and say why.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from notifier import channels, dispatchers
from tests.support.paths import ROOT

LONGEST_FILE = 400
LONGEST_FUNCTION = 60

# A folder may import itself and what its arrows name; the longest name counts.
ARROWS: dict[str, set[str]] = {
    "config": set(),
    "models": set(),
    "datastore": {"models"},
    "notifier.outcome": set(),
    # Only ChannelDown: the one thing that can go wrong with a provider's server.
    "notifier.http2": {"notifier.outcome"},
    "notifier.channels": {"notifier.http2", "notifier.outcome", "models", "config"},
    "notifier.engine": {
        "notifier.channels",
        "notifier.outcome",
        "datastore",
        "models",
        "config",
    },
    # The watchdog asks the outbox itself.
    "notifier.process": {"notifier.engine", "datastore", "models", "config"},
    "notifier.dispatchers": {
        "notifier.process",
        "notifier.engine",
        "datastore",
        "config",
    },
    "notifier.prune": {"datastore", "models", "config"},
    # It imports the workers of the dispatchers by name, when they are asked for.
    "notifier.__main__": {"notifier.prune", "datastore", "config"},
    # Only a docstring: the glossary.
    "notifier": set(),
    # Of the dispatchers only the protocol; see the test below.
    "api": {"notifier.dispatchers", "datastore", "models"},
    # Pages call the handlers of the API; the API never calls a page.
    "web": {"api", "datastore", "models"},
    # It would carry any WSGI application.
    "host": set(),
    # The dashboard shows how many slots of PushProcess are taken.
    "server": {
        "api",
        "web",
        "host",
        "notifier.dispatchers",
        "notifier.process",
        "datastore",
        "config",
    },
    "sandbox": set(),
    "demo": set(),
}


class Source(NamedTuple):
    """A product file, parsed."""

    module: str
    path: Path
    text: str
    tree: ast.Module


def _module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def _sources() -> tuple[Source, ...]:
    roots = sorted({part.split(".")[0] for part in ARROWS})
    paths = [p for root in roots for p in sorted((ROOT / root).rglob("*.py"))]
    paths += [p for root in roots if (p := ROOT / f"{root}.py").exists()]
    texts = [(path, path.read_text()) for path in paths]
    return tuple(Source(_module_name(p), p, t, ast.parse(t)) for p, t in texts)


def _imports(source: Source) -> Iterator[str]:
    """Full names of what a file imports, wherever in the file it does."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source.path} imports relatively"
            # `from package import module` imports both; a name in a module does not.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _part(module: str) -> str | None:
    """The part with the longest name that holds a module; None if it is not ours."""
    fits = [p for p in ARROWS if module == p or module.startswith(f"{p}.")]
    return max(fits, key=len, default=None)


def _arrows(source: Source) -> set[str]:
    return {part for name in _imports(source) if (part := _part(name)) is not None}


def _id(source: Source) -> str:
    return source.module


@pytest.mark.parametrize("source", _sources(), ids=_id)
def test_imports_follow_the_arrows(source: Source) -> None:
    part = _part(source.module)

    assert part is not None

    assert _arrows(source) - ARROWS[part] - {part} == set()


def test_every_module_of_the_notifier_has_its_part() -> None:
    homeless = [s.module for s in _sources() if _part(s.module) == "notifier"]

    assert homeless == ["notifier"]


def test_no_arrow_is_kept_that_nobody_needs() -> None:
    used: dict[str, set[str]] = {part: set() for part in ARROWS}
    for source in _sources():
        used[_part(source.module) or ""] |= _arrows(source)

    unused = {part: arrows - used[part] for part, arrows in ARROWS.items()}

    assert {part: arrows for part, arrows in unused.items() if arrows} == {}


def test_the_arrows_go_down_only() -> None:
    """No circle: each part can be understood without the ones above it."""
    below: set[str] = set()

    while ready := {p for p in ARROWS if p not in below and ARROWS[p] <= below}:
        below |= ready

    assert below == set(ARROWS)


@pytest.mark.parametrize(
    ("package", "kinds"),
    [
        ("notifier.channels", set(channels.REGISTRY)),
        ("notifier.dispatchers", set(dispatchers.DISPATCHERS)),
    ],
)
def test_siblings_do_not_know_each_other(package: str, kinds: set[str]) -> None:
    def kind(module: str) -> str | None:
        """Of `apns`, `apns_outcomes` … it is `apns`; shared modules have none."""
        rest = module.removeprefix(f"{package}.").split(".")[0]
        fits = [k for k in kinds if rest == k or rest.startswith(f"{k}_")]
        return max(fits, key=len, default=None) if rest != module else None

    crossings = [
        (source.module, name)
        for source in _sources()
        if (own := kind(source.module))
        for name in _imports(source)
        if (other := kind(name)) and other != own
    ]

    assert crossings == []


def test_the_api_knows_only_the_protocol_of_the_dispatchers() -> None:
    known = {
        name
        for source in _sources()
        if _part(source.module) == "api"
        for name in _imports(source)
        if _part(name) == "notifier.dispatchers"
    }

    assert known <= {"notifier.dispatchers.Dispatcher"}


def _reads_environment(source: Source) -> bool:
    attributes = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    doors = {"os.environ", "os.environb", "os.getenv"}
    return bool(doors & (attributes | set(_imports(source))))


def test_only_config_reads_the_environment() -> None:
    readers = {_part(s.module) for s in _sources() if _reads_environment(s)}

    # The sandbox and the demo are programs of their own.
    assert readers <= {"config", "sandbox", "demo"}


def test_one_file_deals_with_hyper() -> None:
    importers = [
        source.module
        for source in _sources()
        if any(name.split(".")[0] == "hyper" for name in _imports(source))
    ]

    assert len(importers) <= 1


@pytest.mark.parametrize("source", _sources(), ids=_id)
def test_a_file_is_read_without_scrolling_far(source: Source) -> None:
    assert source.text.count("\n") <= LONGEST_FILE or _is_migration(source)


def _is_migration(source: Source) -> bool:
    """It lists tables, all in one function, and is never read for its logic."""
    return source.module.startswith("datastore.migrations.versions.")


def _functions(source: Source) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    if not _is_migration(source):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


@pytest.mark.parametrize("source", _sources(), ids=_id)
def test_a_function_fits_on_a_screen(source: Source) -> None:
    too_long = {
        function.name: function.lineno
        for function in _functions(source)
        if (function.end_lineno or 0) - function.lineno >= LONGEST_FUNCTION
    }

    assert too_long == {}


@pytest.mark.parametrize("source", _sources(), ids=_id)
def test_a_module_says_what_lives_in_it(source: Source) -> None:
    assert ast.get_docstring(source.tree) or not source.text.strip()
