"""The settings of a command, which its log follows from the first line on."""

from pathlib import Path

import config
from bottlepost import logs
from config import Settings


def read(process: str, *, file: Path | None = None) -> Settings:
    """Raises SettingsError; the log goes to stderr, or to a file of ours."""
    settings = config.from_env()
    logs.own(process, settings, file=file)
    return settings
