"""The texts that we write ourselves, in the language of a device.

They are in `texts/`, and the files of BOTTLEPOST_CATALOGUE_DIR take their place or add
languages.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from config import catalogue
from config.catalogue import Texts
from models.kinds import locales
from models.pushes import WITHDRAW, Notification

ENGLISH = "en"
# Written without Babel, which takes megabytes.
ISO = "yyyy-MM-dd HH:mm 'UTC'"
# Base of the languages of which we have only one form.
BASES = {"pt": "pt-BR"}

_OWN = catalogue.read(Path(__file__).parent / "texts")
_languages: dict[str, Texts] = dict(_OWN)


class BuiltIn(str):
    """A text of the catalogue, in English until `localize` knows the language."""

    __slots__ = ("name",)
    name: str

    def __new__(cls, name: str) -> "BuiltIn":
        made = super().__new__(cls, _OWN[ENGLISH][name])
        made.name = name
        return made


def use(directory: Path | None) -> None:
    """Let the files of the directory come before ours, in this process."""
    added = {} if directory is None else catalogue.read(directory)
    _languages.clear()
    _languages.update(_merged(_OWN, added))
    language.cache_clear()


def _merged(ours: Mapping[str, Texts], added: Mapping[str, Texts]) -> dict[str, Texts]:
    return {
        name: {**ours.get(name, {}), **added.get(name, {})}
        for name in ours.keys() | added.keys()
    }


@lru_cache(maxsize=1024)
def language(locale: str | None) -> str:
    """The locale of the catalogue that a device gets: `de` for `de-AT`."""
    return _chain(locale)[0]


def _chain(locale: str | None) -> list[str]:
    """The locales whose texts fit, best first; the last one is English."""
    chain = locales.fallbacks(locale)
    known = [name for each in chain for name in (each, BASES.get(each, each))]
    return [*dict.fromkeys(name for name in known if name in _languages), ENGLISH]


def text(name: str, locale: str | None, **values: object) -> str:
    """The text in the language of the locale; in English if there is none."""
    return _find(name, locale).format(**values)


def time(moment: datetime, locale: str | None) -> str:
    """A point in time, in UTC."""
    pattern = _find("time", locale)
    if pattern == ISO:
        return moment.strftime("%Y-%m-%d %H:%M UTC")
    # Imported here, because English needs none of it.
    from babel import Locale  # noqa: PLC0415
    from babel.dates import format_datetime  # noqa: PLC0415

    return format_datetime(moment, pattern, locale=Locale.parse(language(locale), "-"))


def is_right_to_left(locale: str | None) -> bool:
    """Whether the language of the texts is written so."""
    if language(locale) == ENGLISH:
        return False
    from babel import Locale  # noqa: PLC0415

    return Locale.parse(language(locale), "-").text_direction == "rtl"


def localize(notification: Notification, locale: str | None) -> Notification:
    """The notification with its built-in texts in the language of the locale."""
    return replace(
        notification,
        locale=language(locale),
        sender_name=translate(notification.sender_name, locale),
        text=translate(notification.text, locale),
    )


def translate(words: str, locale: str | None) -> str:
    """A built-in text in the language of the locale; any other one as it is."""
    return text(words.name, locale) if isinstance(words, BuiltIn) else words


def has_built_in(notification: Notification) -> bool:
    """Whether the notification shows built-in texts, so that the language matters."""
    return notification.kind == WITHDRAW or any(
        isinstance(each, BuiltIn)
        for each in (notification.sender_name, notification.text)
    )


def _find(name: str, locale: str | None) -> str:
    return next(
        words
        for each in _chain(locale)
        if (words := _languages[each].get(name)) is not None
    )
