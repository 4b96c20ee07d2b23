"""The block `webpush` of a kind, and the options of a browser's notification.

The push services cannot see the options, and a browser throws a TypeError in the
service worker, where nobody reads it; so this is the only place that refuses them.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    TypeAdapter,
    ValidationInfo,
    model_validator,
)

from models.kinds import locales
from models.kinds.fields import (
    ABSENT,
    Block,
    Json,
    Link,
    Problems,
    ShortText,
    Text,
    Title,
    Whole,
    Word,
    is_partial,
    refuse,
    size_of,
)

Urgency = Literal["very-low", "low", "normal", "high"]
MAX_ACTIONS = 10
# Half of what push services take; the rest is for the texts and what Bottlepost adds.
LARGEST = 2048
_is_topic = re.compile(r"[A-Za-z0-9_-]{1,32}").fullmatch


def check_topic(topic: str) -> str:
    # Apple decodes it as base64url, which never has a length of 4n + 1.
    if not _is_topic(topic) or len(topic) % 4 == 1:
        raise ValueError(
            "must have at most 32 letters, digits, - and _, and not 1, 5, 9 … of them"
        )
    return topic


def _language(name: str) -> str:
    canonical = locales.canonical(name)
    if canonical is None:
        raise ValueError("must be a language such as de or zh-Hant-TW")
    return canonical


def _own_data(data: Any) -> Any:
    if isinstance(data, dict):
        ours = {"data": "is the data of the message", "bottlepost": "is Bottlepost's"}
        refuse({name: what for name, what in ours.items() if name in data})
    return data


_pause = Annotated[int, Field(ge=0, le=10_000)]
_pauses = TypeAdapter(
    Annotated[list[_pause], Field(max_length=100)], config=ConfigDict(strict=True)
)
_one_pause = TypeAdapter(_pause, config=ConfigDict(strict=True))


def _vibrate(value: Any) -> Any:
    adapter: TypeAdapter[Any] = _pauses if isinstance(value, list) else _one_pause
    return adapter.validate_python(value)


class ButtonOfNotification(Block):
    """An entry of `actions`."""

    action: Annotated[Word, StringConstraints(max_length=100)]
    title: Title
    navigate: Link = ABSENT
    icon: Link = ABSENT


class NotificationOptions(Block):
    """The options of the browsers' Notification, and its title."""

    title: Title = ABSENT
    body: Text = ABSENT
    lang: Annotated[str, AfterValidator(_language)] = ABSENT
    dir: Literal["auto", "ltr", "rtl"] = ABSENT
    tag: ShortText = ABSENT
    navigate: Link = ABSENT
    icon: Link = ABSENT
    badge: Link = ABSENT
    image: Link = ABSENT
    vibrate: Annotated[Any, PlainValidator(_vibrate)] = ABSENT
    timestamp: Whole = ABSENT
    renotify: bool = ABSENT
    silent: bool | None = ABSENT
    require_interaction: Annotated[bool, Field(alias="requireInteraction")] = ABSENT
    data: Annotated[Json, AfterValidator(_own_data)] = ABSENT
    actions: Annotated[list[ButtonOfNotification], Field(max_length=MAX_ACTIONS)] = (
        ABSENT
    )

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Self:
        problems: Problems = {}
        # Without a tag of its own, a notification has that of its message.
        if self.renotify and self.tag == "":
            problems["renotify"] = "needs a tag"
        if self.silent and "vibrate" in self.model_fields_set:
            problems["vibrate"] = "excludes silent"
        refuse({} if is_partial(info) else problems)
        return self


class WebpushBlock(Block):
    """The options, the header fields, and whether Safari shows the push by itself."""

    OURS: ClassVar[Mapping[str, str]] = {
        "ttl": "follows from the time until which a message is pushed",
        "app_badge": "is the number of the user's unread messages",
        "mutable": "is true, so that a service worker may change the notification",
    }

    options: NotificationOptions = ABSENT
    urgency: Urgency = ABSENT
    topic: Annotated[str, AfterValidator(check_topic)] = ABSENT
    declarative: bool = ABSENT
    navigate: Link = ABSENT

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Self:
        if is_partial(info):
            return self
        options = self.options or NotificationOptions()
        problems: Problems = {}
        if self.navigate and options.navigate not in (None, self.navigate):
            problems["options", "navigate"] = "differs from navigate of the block"
        if size_of(options.model_dump(by_alias=True, exclude_unset=True)) > LARGEST:
            problems["options"] = f"must not exceed {LARGEST:,} bytes"
        if self.declarative:
            problems |= self._check_declarative(options)
        refuse(problems)
        return self

    def _check_declarative(self, options: NotificationOptions) -> Problems:
        """WebKit wants absolute addresses, and Firefox one for each action."""
        problems: Problems = {}
        target = self.navigate or options.navigate
        if target is None:
            problems["navigate"] = "is needed for a declarative push"
        elif not target.startswith("https://"):
            problems["navigate"] = "must begin with https:// for a declarative push"
        for number, button in enumerate(options.actions or ()):
            if not (button.navigate or "").startswith("https://"):
                where = ("options", "actions", number, "navigate")
                problems[where] = "must begin with https:// for a declarative push"
        return problems
