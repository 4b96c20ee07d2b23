"""Files with the texts that we write ourselves: one a language, such as `pt-BR.json`.

A file is a JSON object: the name of a text and its words. It may leave texts out, which
then come from the language's own base, or from English.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from string import Formatter

# The name of each text, and the values that it may show.
TEXTS: Mapping[str, frozenset[str]] = {
    # Stands for a message that is not to be shown.
    "new_message": frozenset(),
    # Takes the place of a message that was deleted.
    "message_deleted": frozenset(),
    # A writer without a name.
    "somebody": frozenset(),
    # A conversation without a name.
    "conversation": frozenset({"number"}),
    # Above a message in the text of a mail.
    "byline": frozenset({"sender", "time"}),
    # A date pattern of Unicode's CLDR, and not words.
    "time": frozenset(),
}
LONGEST = 200

Texts = Mapping[str, str]

_is_locale = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?").fullmatch


def read(directory: Path) -> dict[str, Texts]:
    """The texts of each locale that has a file.

    Raises ValueError naming the file and what is wrong with it.
    """
    try:
        paths = sorted(directory.glob("*.json"))
        return {path.stem: _read(path) for path in paths}
    except OSError as problem:
        raise ValueError(f"cannot be read: {problem}") from None


def check(directory: Path) -> None:
    """The same, and whether dates can be written in these languages."""
    if not directory.is_dir():
        raise ValueError(f"is no directory: {directory}")
    found = read(directory)
    if not found:
        raise ValueError(f"has no files such as de.json: {directory}")
    # Imported here, because only the start needs it.
    from babel import Locale, UnknownLocaleError  # noqa: PLC0415

    for locale in found:
        try:
            Locale.parse(locale, sep="-")
        except (ValueError, UnknownLocaleError):
            raise ValueError(f"has {locale}.json: CLDR knows no such locale") from None


def content(directory: Path) -> bytes:
    """All files, for a digest of them; what cannot be read is left out."""
    found = b""
    for path in sorted(directory.glob("*.json")):
        with suppress(OSError):
            found += b"%b\0%b\0" % (path.name.encode(), path.read_bytes())
    return found


def _read(path: Path) -> Texts:
    try:
        if not _is_locale(path.stem):
            raise ValueError(
                "its name must be like de.json, pt-BR.json or zh-Hant.json"
            )
        texts = json.loads(path.read_text("utf-8"))
        if not isinstance(texts, dict):
            raise ValueError("it must be a JSON object")
        for name, words in texts.items():
            _check(name, words)
    except ValueError as problem:
        raise ValueError(f"has a wrong file {path.name}: {problem}") from None
    return texts


def _check(name: str, words: object) -> None:
    if name not in TEXTS:
        raise ValueError(f"there is no text {name!r}")
    if not isinstance(words, str) or not words.strip() or len(words) > LONGEST:
        raise ValueError(f"{name} must have 1 to {LONGEST} characters")
    if not words.isprintable():
        raise ValueError(f"{name} must be one line of printable characters")
    if name == "time":
        _check_date_pattern(words)
        return
    values = set()
    for _, value, format_, conversion in Formatter().parse(words):
        if format_ or conversion:
            raise ValueError(f"{name} may have no format in its braces")
        values |= set() if value is None else {value}
    if values != TEXTS[name]:
        wanted = ", ".join(f"{{{value}}}" for value in sorted(TEXTS[name]))
        raise ValueError(f"{name} must show {wanted or 'no values'}")


def _check_date_pattern(pattern: str) -> None:
    """Quotes in pairs, and only fields of a date and a time outside of them."""
    if pattern.count("'") % 2:
        raise ValueError("time has a quote without its other one")
    fields = re.sub(r"'[^']*'", "", pattern)
    if wrong := re.search(r"(?![yMdEhHkKma])[A-Za-z]", fields):
        raise ValueError(f"time has an unknown field {wrong.group()!r}: quote words")
