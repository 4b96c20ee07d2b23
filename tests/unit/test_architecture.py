"""The folders' import arrows, import circles, sizes and entry points.

Each test names every offender. A new arrow is a decision: change ARROWS in the same
commit and say why.
"""

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

from notifier import dispatchers
from notifier.channels import registry
from tests.support.paths import ROOT

LONGEST_FILE = 400
LONGEST_FUNCTION = 60

# A folder may import itself and what its arrows name; the longest name counts.
ARROWS: dict[str, set[str]] = {
    "config": set(),
    # Everything may log; it knows nothing of what it writes about.
    "bottlepost.logs": set(),
    # Imported only while tracing is on.
    "bottlepost.tracing": set(),
    "models": set(),
    "datastore": {"models"},
    "notifier.outcome": set(),
    "notifier.retry_delays": set(),
    # Only ChannelDown: the one thing that can go wrong with a provider's server.
    "notifier.http2": {"notifier.outcome"},
    "notifier.channels": {
        "notifier.http2",
        "notifier.outcome",
        "notifier.retry_delays",
        "models",
        "config",
    },
    "notifier.engine": {
        # What a job's lines are about, and its spans.
        "bottlepost.logs",
        "bottlepost.tracing",
        "notifier.channels",
        "notifier.outcome",
        "notifier.retry_delays",
        "datastore",
        "models",
        "config",
    },
    # The watchdog asks the outbox itself.
    "notifier.process": {
        "bottlepost.own_modules",
        "notifier.engine",
        "notifier.retry_delays",
        "datastore",
        "models",
        "config",
        "bottlepost.logs",
    },
    "notifier.dispatchers": {
        "notifier.process",
        "notifier.engine",
        "datastore",
        "config",
    },
    "notifier.partition": {"datastore", "models", "config"},
    "notifier.prune": {"notifier.partition", "datastore", "models", "config"},
    # It has the channels make requests that nobody sends.
    "notifier.preview": {
        "notifier.engine",
        "notifier.channels",
        "notifier.http2",
        "models",
        "config",
    },
    # An older form of the commands.
    "notifier.__main__": {"bottlepost"},
    # Only a docstring: the glossary.
    "notifier": set(),
    # Whatever starts a program of ours, or is started, finds our modules by it.
    "bottlepost.own_modules": set(),
    # What every host does with the database at its start.
    "bottlepost.starting_database": {
        "bottlepost.own_modules",
        "datastore",
        "config",
    },
    # It knows only the protocol of the dispatchers; see the test below.
    "api": {
        "notifier.dispatchers",
        "datastore",
        "models",
        "bottlepost.logs",
        "bottlepost.tracing",
    },
    # Pages call the handlers of the API; the API never calls a page.
    "web": {"api", "datastore", "models", "bottlepost.logs"},
    # It would carry any WSGI application. It logs requests, and gives them ids.
    "host": {"bottlepost.logs"},
    # The dashboard shows how many slots of PushProcess are taken, and previews.
    "server": {
        "bottlepost.own_modules",
        "bottlepost.starting_database",
        "api",
        "web",
        "host",
        "notifier.dispatchers",
        "notifier.preview",
        "notifier.process",
        "datastore",
        "config",
        "bottlepost.logs",
    },
    # The operator's commands stand above everything they start. They import workers by
    # name, take what the API takes, wake engines through the slots of the host, and ask
    # the providers with the transport of the pushes.
    "bottlepost": {
        "bottlepost.logs",
        "bottlepost.own_modules",
        "server",
        "api",
        "notifier.dispatchers",
        "notifier.process",
        "notifier.channels",
        "notifier.http2",
        "notifier.outcome",
        "notifier.partition",
        "notifier.preview",
        "notifier.prune",
        "datastore",
        "models",
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


def _imports(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Full names of what these nodes import.

    `from package import module` imports both; a name in a module does not.
    """
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import of {node.module}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _all_imports(source: Source) -> set[str]:
    """The imports inside functions and under TYPE_CHECKING, too."""
    return set(_imports(ast.walk(source.tree)))


def _longest(name: str, known: Iterable[str]) -> str | None:
    """The longest of the known names that is the name, or one of its parents."""
    fits = [k for k in known if name == k or name.startswith(f"{k}.")]
    return max(fits, key=len, default=None)


def _part(module: str) -> str | None:
    """The part that holds a module; None if it is not ours."""
    return _longest(module, ARROWS)


def _parts_used(source: Source) -> set[str]:
    parts = {_part(name) for name in _all_imports(source)}
    return {part for part in parts if part is not None}


def test_imports_follow_the_arrows() -> None:
    offenders = {
        source.module: climbing
        for source in _sources()
        if (part := _part(source.module))
        and (climbing := _parts_used(source) - ARROWS[part] - {part})
    }
    used: dict[str, set[str]] = {part: set() for part in ARROWS}
    for source in _sources():
        used[_part(source.module) or ""] |= _parts_used(source)
    unused = {
        part: idle for part, arrows in ARROWS.items() if (idle := arrows - used[part])
    }

    assert offenders == {}
    assert unused == {}, "an arrow that nothing uses"


def test_there_are_no_import_circles() -> None:
    """Each folder, and in a folder each file, is understood without those above it.

    A type that is imported under TYPE_CHECKING counts: a reader follows it, too.
    """
    modules = {source.module for source in _sources()}
    files = {
        source.module: {
            target
            for name in _all_imports(source)
            if (target := _longest(name, modules)) and target != source.module
        }
        for source in _sources()
    }
    lazy = {
        ("notifier.engine", "notifier.engine.loop"),
        ("notifier.engine", "notifier.engine.traced"),
    }
    for above, below in lazy:
        # The entry builds the engine only where it runs.
        files[above].discard(below)

    assert _circle(ARROWS) == []
    assert _circle(files) == []


def _circle(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as problem:
        return list(problem.args[1])
    return []


def test_every_module_of_the_notifier_has_its_part() -> None:
    homeless = [s.module for s in _sources() if _part(s.module) == "notifier"]

    assert homeless == ["notifier"]


def test_siblings_do_not_know_each_other() -> None:
    """One channel never imports another one, nor one dispatcher another."""
    crossings = [
        (source.module, name)
        for package, kinds in (
            ("notifier.channels", set(registry.REGISTRY)),
            ("notifier.dispatchers", set(dispatchers.DISPATCHERS)),
        )
        for source in _sources()
        if (own := _kind(source.module, package, kinds))
        for name in _all_imports(source)
        if (other := _kind(name, package, kinds)) and other != own
    ]

    assert crossings == []


def _kind(module: str, package: str, kinds: set[str]) -> str | None:
    """`apns` for a module of apns; shared modules have none."""
    if not module.startswith(f"{package}."):
        return None
    rest = module.removeprefix(f"{package}.").split(".")[0]
    fits = [k for k in kinds if rest == k or rest.startswith(f"{k}_")]
    return max(fits, key=len, default=None)


def test_the_api_knows_only_the_protocol_of_the_dispatchers() -> None:
    known = {
        name
        for source in _sources()
        if _part(source.module) == "api"
        for name in _all_imports(source)
        if _part(name) == "notifier.dispatchers"
    }

    assert known <= {"notifier.dispatchers.Dispatcher"}


def test_only_config_reads_the_environment() -> None:
    readers = {_part(s.module) for s in _sources() if _reads_environment(s)}

    # The sandbox and the demo are programs of their own.
    assert readers <= {"config", "sandbox", "demo"}


def _reads_environment(source: Source) -> bool:
    attributes = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    doors = {"os.environ", "os.environb", "os.getenv"}
    return bool(doors & (attributes | _all_imports(source)))


def test_files_and_functions_are_short_and_say_what_they_are() -> None:
    long_files = {
        source.module: lines
        for source in _sources()
        if (lines := source.text.count("\n")) > LONGEST_FILE
    }
    long_functions = {
        f"{source.module}.{function.name}": lines
        for source in _sources()
        for function in _functions(source)
        if (lines := (function.end_lineno or 0) - function.lineno + 1)
        > LONGEST_FUNCTION
    }
    silent = [
        source.module
        for source in _sources()
        if source.text.strip() and not ast.get_docstring(source.tree)
    ]

    assert (long_files, long_functions, silent) == ({}, {}, [])


def _functions(source: Source) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    # A migration lists tables in one function and is never read for its logic.
    if not source.module.startswith("datastore.migrations.versions."):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


# A seam and its implementation, or the same role on both sides of the wire.
NATURAL_PAIRS = {
    # The protocol, and the loop that implements it.
    ("notifier", "Engine"),
}


def test_no_class_name_stands_for_two_things() -> None:
    """Within one top-level package a name is one class."""
    count = Counter(
        (source.module.split(".")[0], node.name)
        for source in _sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef)
    )
    double = {name for name, number in count.items() if number > 1}

    assert double - NATURAL_PAIRS == set()
