"""Locales of devices and patterns, and which patterns a device's locale falls back to.

Apps register what their platform tells them: `de-AT`, `de_AT`, `zh-Hant-TW`. A locale
that means nothing is never an error here: it falls back to the default.
"""

import re
from functools import lru_cache

DEFAULT = "default"
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}")
_SCRIPT = re.compile(r"[A-Za-z]{4}")
_REGION = re.compile(r"[A-Za-z]{2}|\d{3}", re.ASCII)
_VARIANT = re.compile(r"[A-Za-z0-9]{5,8}|\d[A-Za-z0-9]{3}", re.ASCII)
# Old phones still send these codes.
_RENAMED = {"iw": "he", "in": "id", "ji": "yi"}
# Both written forms of Norwegian may share one set of patterns.
_BROADER = {"nb": "no", "nn": "no"}


@lru_cache(maxsize=1024)
def canonical(locale: str) -> str | None:
    """The locale as `zh-Hant-TW` is written; None if it is malformed.

    Extensions (`-u-ca-gregory`) and the encoding of POSIX (`.UTF-8`) are left out.
    """
    name, _, end = re.split(r"[.@]", locale, maxsplit=1)[0].partition("#")
    language, *others = re.split(r"[-_]", name.rstrip("_") if end else name)
    if end:
        # Android's way (Locale.toString): zh_TW_#Hant, zh__#Hant, en_US_#u-fw-mon.
        script = re.split(r"[-_]", end, maxsplit=1)[0]
        others = [script] * bool(_SCRIPT.fullmatch(script)) + others
    if not _LANGUAGE.fullmatch(language):
        return None
    found = [_RENAMED.get(language.lower(), language.lower())]
    shapes = [(_SCRIPT, str.title), (_REGION, str.upper), (_VARIANT, str.lower)]
    for part in others:
        if len(part) == 1:
            break
        while shapes and not shapes[0][0].fullmatch(part):
            del shapes[0]
        if not shapes:
            return None
        shape, spell = shapes[0]
        found.append(spell(part))
        # Only variants may repeat.
        if shape is not _VARIANT:
            del shapes[0]
    return "-".join(found)


def fallbacks(locale: str | None) -> list[str]:
    """The locales whose patterns fit, best first; the last one is always `default`.

    `de-AT` gives de-AT, de; `zh-TW` gives zh-TW, zh-Hant, zh, because readers in Taiwan
    do not read what China's default script shows.
    """
    name = canonical(locale) if locale else None
    return [DEFAULT] if name is None else [*_narrower(name), DEFAULT]


@lru_cache(maxsize=1024)
def _narrower(name: str) -> tuple[str, ...]:
    parts = name.split("-")
    found = ["-".join(parts[:length]) for length in range(len(parts), 0, -1)]
    language = parts[0]
    if len(parts) > 1 and not _SCRIPT.fullmatch(parts[1]):
        script = _script(parts)
        if script is not None:
            found.insert(-1, f"{language}-{script}")
    if language in _BROADER:
        found.append(_BROADER[language])
    return tuple(found)


def _script(parts: list[str]) -> str | None:
    """The script of a language in a region, if it is not the language's usual one."""
    # Imported here: only few locales need it, and it takes milliseconds.
    from babel.core import get_global  # noqa: PLC0415

    likely = get_global("likely_subtags")
    here = likely.get("_".join(parts[:2]))
    usual = likely.get(parts[0])
    if here is None or usual is None:
        return None
    script = str(here).split("_")[1]
    return None if script == str(usual).split("_")[1] else script
