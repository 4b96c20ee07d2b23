"""Previews: what would be sent for a sample message, and what devices show of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from config import Settings
from models.previews import Preview


class Drawing:
    """Makes previews with the channels of the settings, for the dashboard."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(
        self,
        kinds: Mapping[str, dict[str, Any]],
        kind: str,
        *,
        locale: str | None,
        is_mentioned: bool,
        text: str,
    ) -> Sequence[Preview]:
        # Imported here, because a web server makes no pushes and needs no channels.
        from notifier.preview import requests  # noqa: PLC0415

        wanted = requests.of_text(text)._replace(
            kind=kind, locale=locale, is_mentioned=is_mentioned
        )
        return requests.previews(self._settings, kinds, wanted)
