"""The registry of the channels: name, module, and the setting that each one needs."""

from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import NamedTuple

from config import Settings
from notifier.channels import Channel, ProviderTokens, Troubles, catalogue
from notifier.channels.misconfigured import Misconfigured


class ChannelEntry(NamedTuple):
    """A channel of the registry."""

    # Its `create` returns the channel, or None when other settings are missing. It
    # raises ValueError or OSError when the settings or their files cannot be used.
    module: str
    # Without this setting the module is not even imported.
    setting: str


REGISTRY = {
    "apns": ChannelEntry("notifier.channels.apns", "apns_topic"),
    "fcm": ChannelEntry("notifier.channels.fcm", "fcm_credentials_file"),
    "webpush": ChannelEntry("notifier.channels.webpush", "vapid_subject"),
    "email": ChannelEntry("notifier.channels.email", "smtp_url"),
}


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
