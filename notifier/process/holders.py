"""The processes that hold slots, as the lock files name them."""

import re
import signal
from dataclasses import dataclass
from pathlib import Path

from config import platform

# The names that `engine.new_owner` makes: host, pid and a random part, which may be
# followed by the number of a generation.
OWNER = re.compile(rb"[!-~]{1,200}:([0-9]+):(?:[0-9a-f]+-([0-9a-f]{1,16})|[!-~]{1,40})")


@dataclass(frozen=True)
class Holder:
    """A process that holds a slot: its name in leases, and its generation.

    0 is the generation of a process that knows of none.
    """

    lock_path: Path
    owner: str
    pid: int
    number: int

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal; False if it has ended, or if we cannot reach it."""
        return platform.send_signal(self.pid, number, self.has_file_open)

    def has_file_open(self) -> bool:
        """Whether the process with this pid is the one, and none in another container.

        Only we may look at it: another user's process counts as another one.
        """
        return platform.holds_lock(self.pid, self.lock_path)


def read_holder(lock_path: Path) -> Holder | None:
    """The process that a lock file names; None if it names none that can be read."""
    try:
        found = OWNER.fullmatch(lock_path.read_bytes())
    except OSError:
        return None
    if found is None:
        return None
    pid, number = int(found[1]), int(found[2] or b"0", 16)
    return Holder(lock_path, found[0].decode(), pid, number)
