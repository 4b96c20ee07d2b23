"""A run of chaos goes on where it was stopped, with the same seed."""

from pathlib import Path

import pytest

from benchmarks.chaos.__main__ import ResumeFile
from benchmarks.chaos.run import PartResult

DONE = PartResult({"part": "process-sqlite-1", "lost": 0}, {"kill": 3}, ["a detail"])


def test_results_and_seed_are_found_again(tmp_path: Path) -> None:
    path = tmp_path / "results"
    ResumeFile(path, 5, 100).append(DONE)

    again = ResumeFile(path, 6, 100)

    assert again.seed == 5
    assert again.results == {"process-sqlite-1": DONE}


def test_file_of_another_number_of_strikes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results"
    ResumeFile(path, 5, 100)

    with pytest.raises(SystemExit, match="100 strikes"):
        ResumeFile(path, 5, 200)
