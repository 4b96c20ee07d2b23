"""Patterns: texts with placeholders, and plurals by the rules of a language.

A pattern was checked when it was saved, so filling one never fails: at push time an
unknown placeholder is empty, and a locale without rules has one form.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

from models.kinds.locales import DEFAULT, canonical

# Text, or a plural: `count` and a text for each category.
Source = str | Mapping[str, str]
# By the name of the placeholder; what is missing or None is empty.
Values = Mapping[str, str | int | None]

NAMES = (
    "sender",
    "sender.avatar",
    "sender.external_id",
    "conversation",
    "conversation.external_id",
    "text",
    "members",
)
DATA = "data."
# A value of the message's data.
_is_data = re.compile(r"data\.[A-Za-z0-9._-]{1,64}").fullmatch
COUNT = "count"
OTHER = "other"
# The categories of CLDR.
CATEGORIES = ("zero", "one", "two", "few", "many", OTHER)
# Names of fields whose texts are addresses, wherever these begin.
ADDRESS_FIELDS = frozenset({"image", "icon", "badge", "navigate", "link"})
# A text that begins like this is an address in every field.
SCHEME = "https://"
# What is in these belongs to the app.
OWN_FIELDS = frozenset({"payload", "data", "content-state", "attributes"})
# The language of the patterns under `default`, as far as plurals are concerned.
_LANGUAGE_OF_DEFAULT = "en"
# No longer number has a plural of its own, and an exponent could be huge.
_is_number = re.compile(r"-?\d{1,18}(\.\d{1,6})?", re.ASCII).fullmatch
_token = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class Pattern(NamedTuple):
    """A parsed text: pairs of a literal and the placeholder behind it."""

    parts: tuple[tuple[str, str | None], ...]

    @property
    def placeholders(self) -> frozenset[str]:
        return frozenset(name for _, name in self.parts if name is not None)


@lru_cache(maxsize=4096)
def parse(text: str) -> Pattern:
    """The pattern; raises ValueError with a sentence that says what is wrong."""
    parts: list[tuple[str, str | None]] = []
    literal, end = "", 0
    for found in _token.finditer(text):
        literal += text[end : found.start()]
        end = found.end()
        token, name = found[0], found[1]
        if name is not None:
            check_placeholder(name)
            parts.append((literal, name))
            literal = ""
        elif len(token) == 2:
            literal += token[0]
        else:
            raise ValueError("has a single brace; write {{ or }} for a brace")
    parts.append((literal + text[end:], None))
    return Pattern(tuple(parts))


def check_placeholder(name: str) -> None:
    """Raises ValueError if there is no such placeholder."""
    if name not in NAMES and not _is_data(name):
        known = ", ".join([*NAMES, f"{DATA}KEY"])
        raise ValueError(f"has the unknown placeholder {{{name}}}; there are {known}")


def placeholders(value: Any) -> frozenset[str]:
    """All placeholders in a pattern, a block or a whole definition."""
    if isinstance(value, str):
        try:
            return parse(value).placeholders
        except ValueError:
            return frozenset()
    if isinstance(value, Mapping):
        found = [placeholders(one) for one in value.values()]
        count = value.get(COUNT)
        if OTHER in value and isinstance(count, str):
            found.append(frozenset({count}))
        return frozenset[str]().union(*found)
    if isinstance(value, list | tuple):
        return frozenset[str]().union(*map(placeholders, value))
    return frozenset()


def fill(
    pattern: Source,
    values: Values,
    locale: str,
    escape: Callable[[str], str] = str,
) -> str:
    """The text with the values, each of them escaped.

    `locale` is the one under which the pattern is saved: it chooses the plural.
    """
    text = pattern if isinstance(pattern, str) else _form(pattern, values, locale)
    try:
        parts = parse(text).parts
    except ValueError:
        return text
    return "".join(
        literal if name is None else literal + escape(_text(values.get(name)))
        for literal, name in parts
    )


def fill_block(block: Any, values: Values, locale: str) -> Any:
    """A platform's block, with the values in all of its texts.

    In an address they are percent-encoded, so that a value can neither end the path nor
    begin a query. An address that is nothing but one placeholder is left alone, or left
    out if it is empty.
    """
    return _filled(block, values, locale, ADDRESS_FIELDS)


def _filled(
    value: Any, values: Values, locale: str, addresses: frozenset[str], name: str = ""
) -> Any:
    """The value of a field, whose name is among `addresses` if it is one."""
    if isinstance(value, str):
        is_address = name in addresses or value.startswith(SCHEME)
        is_whole = value.startswith("{") and value.find("}") == len(value) - 1
        escape = _quote if is_address and not is_whole else str
        return fill(value, values, locale, escape)
    if isinstance(value, Mapping):
        # The app's own names say nothing.
        inner = frozenset[str]() if name in OWN_FIELDS else addresses
        found = {
            key: _filled(one, values, locale, inner, key) for key, one in value.items()
        }
        return {k: one for k, one in found.items() if one != "" or k not in inner}
    if isinstance(value, list | tuple):
        return [_filled(one, values, locale, addresses, name) for one in value]
    return value


def _quote(text: str) -> str:
    return quote(text, safe="", errors="replace")


def _text(value: str | int | None) -> str:
    return "" if value is None else str(value)


def _form(plural: Mapping[str, str], values: Values, locale: str) -> str:
    """The text of the number's category, or of `other`."""
    number = _text(values.get(plural.get(COUNT, "")))
    category = _category(number, locale) if _is_number(number) else OTHER
    return plural.get(category, plural.get(OTHER, ""))


@lru_cache(maxsize=4096)
def _category(number: str, locale: str) -> str:
    # Imported here: most services have no plurals, and Babel takes memory.
    from decimal import Decimal  # noqa: PLC0415

    return str(_rule(locale)(Decimal(number)))


@lru_cache(maxsize=256)
def _rule(locale: str) -> Callable[[Any], str]:
    """The plural rule of a locale; of `default` that of English."""
    from babel.core import Locale, UnknownLocaleError  # noqa: PLC0415

    language = _LANGUAGE_OF_DEFAULT if locale == DEFAULT else canonical(locale)
    try:
        rule: Callable[[Any], str] = Locale.parse(language, sep="-").plural_form
    except (UnknownLocaleError, ValueError, TypeError):
        return lambda number: OTHER
    return rule
