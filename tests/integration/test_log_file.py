"""A log file of ours takes printed text, and its size is bounded."""

import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT

SCRIPT = """
import logging, sys
from pathlib import Path
from bottlepost import logs
from bottlepost.logs import file
from config import Settings
name, path, max_bytes, count = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:])
print("for the host", flush=True)
file.MAX_BYTES = max_bytes
needed = {"database_url": "sqlite://", "service_key": "x" * 16, "push_slots": 1}
logs.own(name, Settings(run_dir=path.parent, **needed), file=path)
print("printed by", name, flush=True)
for number in range(count):
    logging.info("%s says %06d to all who care to read the log", name, number)
sys.exit("the end of " + name)
"""


def _writers(path: Path, *names: str, max_bytes: int, count: int) -> list[str]:
    """Run processes that log to one file at the same time; returns their own output."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, name, path, str(max_bytes), str(count)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            text=True,
        )
        for name in names
    ]
    return [writer.communicate(timeout=30)[0] for writer in writers]


def test_printed_text_goes_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "push" / "push.log"

    printed = _writers(log, "one", max_bytes=100_000, count=1)

    assert printed == ["for the host\n"]
    first, second, third = log.read_text().splitlines()
    assert first == "printed by one"
    assert second.endswith(" root: one says 000000 to all who care to read the log")
    assert third == "the end of one"


def test_the_log_is_rotated_by_one_of_several_writers(tmp_path: Path) -> None:
    log = tmp_path / "push.log"

    _writers(log, "one", "two", "three", max_bytes=50_000, count=1500)

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "push.log",
        "push.log.1",
    ]
    for path in tmp_path.iterdir():
        assert path.stat().st_size < 51_000
        said = [line for line in path.read_text().splitlines() if " says " in line]
        assert said
        assert all(line.endswith("to all who care to read the log") for line in said)
    assert (tmp_path / "push.log.1").stat().st_size >= 50_000
