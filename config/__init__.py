"""The settings, read from the environment once and checked; see `config.settings`."""

from config.environment import SettingsError
from config.settings import (
    PREVIEW_FULL,
    PREVIEW_NONE,
    PREVIEW_SENDER,
    SANDBOX_VARIABLES,
    Settings,
    from_env,
    jwt_keys,
)

__all__ = [
    "PREVIEW_FULL",
    "PREVIEW_NONE",
    "PREVIEW_SENDER",
    "SANDBOX_VARIABLES",
    "Settings",
    "SettingsError",
    "from_env",
    "jwt_keys",
]
