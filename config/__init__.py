"""The settings, read from the environment once and checked; see `config.settings`."""

from config.environment import SettingsError
from config.settings import (
    CPU_ANSWERS,
    CPU_BOTH,
    MIGRATE_AUTO,
    MIGRATE_CHECK,
    MISSING_FAIL,
    ON,
    PREVIEW_FULL,
    PREVIEW_NONE,
    PREVIEW_SENDER,
    SANDBOX_VARIABLES,
    Settings,
    from_env,
    jwt_keys,
)

__all__ = [
    "CPU_ANSWERS",
    "CPU_BOTH",
    "MIGRATE_AUTO",
    "MIGRATE_CHECK",
    "MISSING_FAIL",
    "ON",
    "PREVIEW_FULL",
    "PREVIEW_NONE",
    "PREVIEW_SENDER",
    "SANDBOX_VARIABLES",
    "Settings",
    "SettingsError",
    "from_env",
    "jwt_keys",
]
