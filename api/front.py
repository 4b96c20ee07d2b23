"""What the pages need beside the API: the demo's file, and a look at the processes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Front:
    """How the pages of an installation are set up."""

    # Written by `make run`: only with it, `/` is the demo.
    demo_file: Path | None = None
    # How many PushProcesses are up, and how many there may be.
    slots: Callable[[], tuple[int, int]] | None = None
