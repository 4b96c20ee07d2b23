"""Settings read from the variables that a test names."""

from collections.abc import Callable
from pathlib import Path

import pytest

import config
from config import Settings


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Settings]:
    """Called with variables without BOTTLEPOST_; the required ones have defaults."""

    def from_env(**variables: object) -> Settings:
        environ = {"RUN_DIR": tmp_path / "run", "SERVICE_KEY": "k" * 16} | variables
        return config.from_env({f"BOTTLEPOST_{k}": str(v) for k, v in environ.items()})

    return from_env
