"""Finds our top-level modules beside this package, whatever else has their names.

They have names such as `config` and `models`, as many projects' modules do. A host that
is started in a project's folder looks there first (gunicorn, `python -m`), and so does
a PYTHONPATH. Here ours come first; what another one has imported before cannot be
replaced, because it is in use.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
# What a server or a worker imports. `demo` and `sandbox` are programs of their own.
NAMES = ("api", "config", "datastore", "host", "models", "notifier", "server", "web")
# Host → the status of a worker that it does not replace: gunicorn's WORKER_BOOT_ERROR,
# uWSGI's UWSGI_FAILED_APP_CODE.
GIVE_UP = {"gunicorn.arbiter": 3, "uwsgi": 22}


class _OwnFinder(MetaPathFinder):
    """Finds our modules at their one place."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname not in NAMES:
            return None
        return PathFinder.find_spec(fullname, [str(ROOT)], target)


def find_first() -> None:
    """Let imports find ours; ends the process if another one's is in use already."""
    if hidden := _hidden():
        name, place = hidden
        end(
            f"the module {name!r} is hidden by {place}, which was imported before:"
            " run Bottlepost in a process of its own (bottlepost serve, or gunicorn"
            ' "bottlepost.wsgi:create_app()"), or rename the other one'
        )
    if not any(isinstance(finder, _OwnFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OwnFinder())


def _hidden() -> tuple[str, str] | None:
    """The first of our names that is another module, and the place of that."""
    for name in NAMES:
        module = sys.modules.get(name)
        place = None if module is None else _place(module)
        if place is not None and Path(place).resolve() not in _own_files(name):
            return name, place
    return None


def _place(module: ModuleType) -> str | None:
    """Its file; or its folder, if it is a package without one."""
    file: str | None = getattr(module, "__file__", None)
    return file or next(iter(getattr(module, "__path__", [])), None)


def _own_files(name: str) -> tuple[Path, Path]:
    return ROOT / f"{name}.py", ROOT / name / "__init__.py"


def leave_current_directory() -> None:
    """Import nothing more from the current directory, whose files may not be ours.

    `python -m` and `python -c` put it in front. An entry that an operator chose, in
    PYTHONPATH, stays.
    """
    if sys.path and _is_current_directory(sys.path[0]):
        del sys.path[0]
    sys.path[:] = [entry for entry in sys.path if entry]


def search_path() -> list[str]:
    """Where a program that we start finds modules: as here, but not where it stands."""
    return [each for each in sys.path if each and not _is_current_directory(each)]


def _is_current_directory(entry: str) -> bool:
    """Whether it is; false for our own directory, because a checkout runs in it."""
    try:
        here = Path.cwd()
    except FileNotFoundError:
        return not entry
    return here != ROOT and Path(entry).resolve() == here


def end(message: str, status: int | None = None) -> NoReturn:
    """End the start with one line, so that a host does not try again at once."""
    print(f"bottlepost: {message}", file=sys.stderr, flush=True)
    raise SystemExit(_status_for_host() if status is None else status)


def _status_for_host() -> int:
    """The exit status with which our host gives up, and starts no other worker."""
    fitting = [status for host, status in GIVE_UP.items() if host in sys.modules]
    return fitting[0] if fitting else 2
