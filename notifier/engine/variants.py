"""The variants of a notification: its look on a platform, in a language, for a mention.

Devices with the same variant get the same payload, so it is rendered once for them.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import Any, NamedTuple

from models import kinds
from models.apns_push_types import RAW_TYPES
from models.kinds import patterns
from models.kinds.locales import DEFAULT, fallbacks
from models.pushes import MESSAGE, READ, Notification, Shown, Target
from notifier.channels import catalogue
from notifier.channels.template import clean, shorten

Definition = Mapping[str, Any]
# By the name of a placeholder.
Values = dict[str, str | int | None]

# Its texts are nearly all our own.
MAIL = "email"
APNS = "apns"
# The pattern of a text for which the kind has none.
BUILT_IN = {"title": "{sender}", "subtitle": "{conversation}", "body": "{text}"}
# Only the body is cut where it has to be, so a text elsewhere must not be long.
LONGEST_TITLE = 200
# Bytes with the escapes of JSON. FCM gets the title of a kind twice, for Android and
# for iPhones.
LARGEST_TITLE = 400
LONGEST_TEXT_ELSEWHERE = 300


class Variant(NamedTuple):
    """What the devices have in common that get the same payload."""

    # The locales of the patterns, best first.
    locales: tuple[str, ...] = ()
    # The locale whose built-in texts are shown; None: there are none.
    language: str | None = None
    is_mentioned: bool = False


class Variants:
    """The variants of one notification."""

    __slots__ = (
        "_has_built_in",
        "_look",
        "_look_of_mention",
        "_mentions",
        "_notification",
        "_suffixes",
        "_vary",
    )

    def __init__(self, notification: Notification) -> None:
        self._notification = notification
        self._has_built_in = catalogue.has_built_in(notification)
        # The whole definitions.
        self._look = self._look_of_mention = _whole(
            notification, notification.definition
        )
        if notification.mention_definition is not None:
            self._look_of_mention = _whole(
                notification, notification.mention_definition
            )
        # What the topics end in for others and for those who are mentioned.
        self._suffixes = (
            _suffix(notification, self._look),
            _suffix(notification, self._look_of_mention),
        )
        is_read = notification.kind == READ
        self._mentions = frozenset() if is_read else notification.mentions
        self._vary = bool(
            self._has_built_in or self._look is not None or self._mentions
        )

    @property
    def are_special(self) -> bool:
        """Whether iPhones have tokens of their own for some of these pushes."""
        return any(self._suffixes)

    def topic_suffix(self, target: Target) -> str:
        """What the topic of the device's token has to end in; "" if in nothing."""
        return self._suffixes[target.user_id in self._mentions]

    def are_many(self, platform: str) -> bool:
        """Whether devices of the platform may get different payloads."""
        return self._vary or platform == MAIL

    def group(
        self, platform: str, targets: Sequence[Target]
    ) -> dict[Variant, list[Target]]:
        """The targets by their variant; on the hot path."""
        groups: dict[Variant, list[Target]] = {}
        for locale, alike in _by_locale(targets).items():
            for is_mentioned, some in self._by_mention(alike):
                variant = self.choose(platform, locale, is_mentioned=is_mentioned)
                groups[variant] = groups.get(variant, []) + some
        return groups

    def _by_mention(self, targets: list[Target]) -> Iterable[tuple[bool, list[Target]]]:
        mentions = self._mentions
        mentioned = [t for t in targets if t.user_id in mentions] if mentions else []
        if not mentioned:
            return ((False, targets),)
        others = [t for t in targets if t.user_id not in mentions]
        return ((True, mentioned), (False, others)) if others else ((True, mentioned),)

    def choose(
        self, platform: str, locale: str | None, *, is_mentioned: bool
    ) -> Variant:
        """The variant of a device."""
        look = self._look_of_mention if is_mentioned else self._look
        language = None
        if self._has_built_in or platform == MAIL:
            language = catalogue.language(locale)
        chosen: tuple[str, ...] = ()
        if look is not None and (known := look.get("patterns")):
            chosen = tuple(name for name in fallbacks(locale) if name in known)
        return Variant(chosen, language, is_mentioned)

    def resolve(self, platform: str, variant: Variant) -> Notification:
        """The notification as devices of the platform show this variant."""
        found = replace(self._notification, is_mentioned=variant.is_mentioned)
        if variant.language is not None:
            found = catalogue.localize(found, variant.language)
        is_mentioned = variant.is_mentioned
        look = self._look_of_mention if is_mentioned else self._look
        if look is None:
            return found
        return replace(found, shown=_shown(found, look, platform, variant.locales))


def resolve(
    notification: Notification, platform: str, locale: str | None, *, is_mentioned: bool
) -> Notification:
    """The notification as one device shows it."""
    variants = Variants(notification)
    variant = variants.choose(platform, locale, is_mentioned=is_mentioned)
    return variants.resolve(platform, variant)


def _by_locale(targets: Sequence[Target]) -> dict[str | None, list[Target]]:
    groups: dict[str | None, list[Target]] = defaultdict(list)
    for target in targets:
        groups[target.locale].append(target)
    return groups


def _whole(
    notification: Notification, definition: Definition | None
) -> Definition | None:
    """The definition with the changes of the message; None: the built-in look."""
    changes = notification.changes
    if notification.kind == READ or (definition is None and changes is None):
        return None
    return kinds.merge(definition or {}, changes or {})


def _suffix(notification: Notification, look: Definition | None) -> str:
    # A withdrawal is a push of our own, whatever the message was.
    if look is None or notification.kind != MESSAGE:
        return ""
    headers = look.get(APNS, {}).get("headers", {})
    return RAW_TYPES.get(headers.get("push_type", ""), "")


def _shown(
    notification: Notification,
    look: Definition,
    platform: str,
    locales: Sequence[str],
) -> Shown:
    values = _values(notification)
    short = values | {"text": shorten(str(values["text"]), LONGEST_TEXT_ELSEWHERE)}
    own = look.get("patterns", {})

    def text(name: str, values: Values) -> str:
        for locale in locales:
            if name in own[locale]:
                return patterns.fill(own[locale][name], values, locale)
        return patterns.fill(BUILT_IN[name], values, DEFAULT)

    block = look.get(platform, {})
    locale = locales[0] if locales else DEFAULT
    title, body = text("title", short), text("body", values)
    if not (title or body):
        # A phone would make a sound and show nothing.
        title = clean(notification.heading[0])
    return Shown(
        title=_title(title),
        subtitle=_title(text("subtitle", short)),
        body=body,
        block=(
            _mail(block, own, values, locales)
            if platform == MAIL
            else patterns.fill_block(block, short, locale)
        ),
    )


def _title(text: str) -> str:
    found = shorten(text, LONGEST_TITLE)
    while len(json.dumps(found)) > LARGEST_TITLE:
        found = shorten(found, len(found) * 3 // 4)
    return found


def _values(notification: Notification) -> Values:
    values: Values = {
        "sender": notification.sender_name,
        "sender.avatar": notification.sender_avatar,
        "sender.external_id": notification.sender_external_id,
        "conversation": notification.chat_name,
        "conversation.external_id": notification.chat_external_id,
        "text": notification.text,
        "members": notification.members,
    }
    values |= {f"{patterns.DATA}{k}": v for k, v in notification.data.items()}
    return {k: clean(v) if isinstance(v, str) else v for k, v in values.items()}


def _mail(
    block: Definition, own: Definition, values: Values, locales: Sequence[str]
) -> dict[str, str]:
    """Subject and bodies, each in the best locale that has it."""
    found = {name: (pattern, DEFAULT) for name, pattern in block.items()}
    for locale in reversed(locales):
        of_locale = own[locale].get(MAIL, {})
        found |= {name: (pattern, locale) for name, pattern in of_locale.items()}
    return {
        name: patterns.fill(pattern, values, locale, escape if name == "html" else str)
        for name, (pattern, locale) in found.items()
    }
