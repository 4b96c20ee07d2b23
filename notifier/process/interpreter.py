"""Starts programs of ours with this Python, also in a program that embeds it (uWSGI).

None of them imports from the directory that it is started in.
"""

import os
import sys
from pathlib import Path

from bottlepost import own_modules

# No directory is put in front of the search path.
SAFE_PATH = "-P"


def path() -> str:
    """The interpreter to start other processes with; raises FileNotFoundError."""
    is_python = os.path.basename(sys.executable or "").startswith(("python", "pypy"))
    # uWSGI may name an interpreter, but not that of the virtual environment.
    if is_python and "uwsgi" not in sys.modules:
        return sys.executable
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for prefix in (sys.prefix, sys.base_prefix):
        for name in (version, "python3", "python"):
            python = Path(prefix, "bin", name)
            if os.access(python, os.X_OK):
                return str(python)
    raise FileNotFoundError(f"no Python interpreter in {sys.prefix}/bin")


def command(*arguments: str) -> list[str]:
    """The command line of `bottlepost` with these arguments."""
    # By its file, because it may not be installed, and another one may be.
    main = own_modules.ROOT / "bottlepost" / "__main__.py"
    return [path(), SAFE_PATH, str(main), *arguments]
