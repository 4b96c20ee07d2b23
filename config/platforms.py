"""Which setting turns a platform on."""

from config.settings import Settings

# Without it the platform is not set up.
SETTING_OF = {
    "apns": "apns_topic",
    "fcm": "fcm_credentials_file",
    "webpush": "vapid_subject",
    "email": "smtp_url",
}


def configured(settings: Settings) -> list[str]:
    """The platforms that the settings turn on."""
    return [
        platform
        for platform, setting in SETTING_OF.items()
        if getattr(settings, setting) is not None
    ]
