"""The registry of the channels: name, module, and the setting that each one needs."""

from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import NamedTuple

from config import MISSING_FAIL, Settings, platforms
from notifier.channels import Channel, ProviderTokens, Troubles, catalogue
from notifier.channels.misconfigured import Misconfigured
from notifier.channels.not_set_up import NotSetUp


class ChannelEntry(NamedTuple):
    """A channel of the registry."""

    # Its `create` returns the channel, or None when other settings are missing. It
    # raises ValueError or OSError when the settings or their files cannot be used.
    module: str
    # Without this setting the module is not even imported.
    setting: str


def _entry(platform: str) -> ChannelEntry:
    module = f"notifier.channels.{platform}"
    return ChannelEntry(module, platforms.SETTING_OF[platform])


REGISTRY = {platform: _entry(platform) for platform in platforms.SETTING_OF}


def import_all() -> None:
    """Import every channel that its libraries are installed for."""
    for entry in REGISTRY.values():
        with suppress(ImportError):
            import_module(entry.module)


def create(
    settings: Settings, tokens: ProviderTokens, troubles: Troubles
) -> Mapping[str, Channel]:
    """The channels that the settings have credentials for, by platform.

    A channel whose credentials cannot be read is there too: it keeps the devices and
    reports what is wrong, so that the others go on.
    """
    catalogue.use(settings.catalogue_dir)
    created: dict[str, Channel] = {}
    for platform, entry in REGISTRY.items():
        if getattr(settings, entry.setting) is None:
            continue
        module = import_module(entry.module)
        channel: Channel | None
        try:
            channel = module.create(settings, tokens, troubles)
        except (ValueError, OSError) as problem:
            channel = Misconfigured(platform, str(problem), troubles)
        if channel is not None:
            created[platform] = channel
    return created


def create_all(
    settings: Settings, tokens: ProviderTokens, troubles: Troubles
) -> Mapping[str, Channel]:
    """The same, and a channel for each platform that is not set up here."""
    created = create(settings, tokens, troubles)
    fails = settings.missing_platform == MISSING_FAIL
    others = {
        platform: NotSetUp(platform, troubles, fails=fails) for platform in REGISTRY
    }
    return {**others, **created}
