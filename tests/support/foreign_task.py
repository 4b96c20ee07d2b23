"""What somebody with access to a broker would like our workers to run."""

import os
from pathlib import Path

# Set for the workers: the file that shows that it was run.
MARKER = "FOREIGN_TASK_MARKER"


def run(*_arguments: object) -> None:
    Path(os.environ[MARKER]).touch()


class Bomb:
    """Its unpickling runs the task."""

    def __reduce__(self) -> tuple[object, ...]:
        return run, ()
