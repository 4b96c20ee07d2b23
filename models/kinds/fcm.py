"""The block `fcm` of a kind: what Google passes on to Android, iPhones and browsers."""

import re
from collections.abc import Callable, Iterator
from typing import Annotated, ClassVar, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from models.kinds import apns
from models.kinds.apns import OF_BOTTLEPOST, PushType
from models.kinds.aps import Aps, apple_name
from models.kinds.fcm_android import (
    AnalyticsOptions,
    AndroidConfig,
)
from models.kinds.fields import (
    ABSENT,
    Block,
    Https,
    Label,
    Problems,
    check_json,
    fixed,
    is_partial,
    refuse,
    size_of,
)
from models.kinds.webpush import NotificationOptions, Urgency, check_topic

ADDRESS = "is the address of the device"
# FCM takes 4,096 bytes; the rest is for the texts and for what Bottlepost adds.
LARGEST = 3072
_is_header = re.compile(r"[A-Za-z0-9-]{1,100}").fullmatch
_is_value = re.compile(r"[ -~]{0,200}").fullmatch


class FcmNotification(Block):
    """`notification`, which all platforms behind FCM share."""

    OURS: ClassVar = {
        name: f"is that of the patterns; android.notification may have another {name}"
        for name in ("title", "body")
    }

    image: Https = ABSENT


def _priority(text: str) -> str:
    if text not in ("1", "5", "10"):
        raise ValueError('must be "1", "5" or "10"')
    return text


class FcmApnsHeaders(Block):
    """Apple's header fields; FCM wants their values as strings."""

    model_config = ConfigDict(alias_generator=lambda name: f"apns-{apple_name(name)}")
    OURS: ClassVar = {
        "apns-topic": "is the app that the device is registered with",
        "apns-id": "is made by Google",
        "authorization": "is made by Google",
    }

    push_type: PushType = ABSENT
    priority: Annotated[str, AfterValidator(_priority)] = ABSENT
    expiration: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,15}$")] = ABSENT
    collapse_id: apns.CollapseId = ABSENT


class FcmApnsPayload(Block):
    """`aps`, and own keys beside it."""

    model_config = ConfigDict(extra="allow")

    aps: Aps = ABSENT

    @model_validator(mode="after")
    def _own_keys(self) -> Self:
        own = self.model_extra or {}
        if OF_BOTTLEPOST in own:
            refuse({OF_BOTTLEPOST: "is set by Bottlepost"})
        check_json(own)
        return self


class ImageOptions(Block):
    image: Https = ABSENT
    analytics_label: Label = ABSENT


class FcmApns(Block):
    """`apns`, for iPhones that are registered with FCM."""

    headers: FcmApnsHeaders = ABSENT
    payload: FcmApnsPayload = ABSENT
    live_activity_token: Annotated[
        str, StringConstraints(pattern=r"^[!-~]{1,4096}$"), AfterValidator(fixed)
    ] = ABSENT
    fcm_options: ImageOptions = ABSENT

    @property
    def push_type(self) -> str:
        headers = self.headers or FcmApnsHeaders()
        default = "alert" if self.live_activity_token is None else "liveactivity"
        return headers.push_type or default

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Self:
        if is_partial(info):
            return self
        headers = self.headers or FcmApnsHeaders()
        payload = self.payload or FcmApnsPayload()
        found = apns.check_push(
            self.push_type,
            None if headers.priority is None else int(headers.priority),
            payload.aps or Aps(),
            payload.model_extra or {},
        )
        refuse(dict(_renamed(found)))
        return self


def _renamed(found: Problems) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The same problems by the names of this block."""
    for where, what in found.items():
        part, *rest = (where,) if isinstance(where, str) else where
        if part == "headers":
            yield ("headers", *(f"apns-{name}" for name in rest)), what
        elif part == "payload":
            yield ("payload", *rest), what
        else:
            yield ("payload", part, *rest), what


_HEADERS: dict[str, Callable[[str], object]] = {
    "ttl": TypeAdapter(
        Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}$")]
    ).validate_python,
    "urgency": TypeAdapter(Urgency).validate_python,
    "topic": check_topic,
}


def _browser_headers(headers: dict[str, str]) -> dict[str, str]:
    problems: Problems = {}
    known = set[str]()
    for name, value in headers.items():
        check = _HEADERS.get(name.lower())
        try:
            if name.lower() in known:
                raise ValueError("is there twice")
            known.add(name.lower())
            # A member must not write into a header.
            fixed(value)
            if not _is_header(name) or not _is_value(value):
                raise ValueError("must be the name and the value of a header")
            if check is not None:
                check(value)
        except ValidationError as refused:
            problems[name] = refused.errors()[0]["msg"]
        except ValueError as refused:
            problems[name] = str(refused)
    refuse(problems)
    return headers


class FcmLink(Block):
    """What a click opens."""

    link: Https = ABSENT
    analytics_label: Label = ABSENT


class FcmWebpush(Block):
    """`webpush`, for browsers that are registered with FCM."""

    OURS: ClassVar = {"data": "would take the place of the message's data"}

    headers: Annotated[dict[str, str], AfterValidator(_browser_headers)] = ABSENT
    notification: NotificationOptions = ABSENT
    fcm_options: FcmLink = ABSENT


class FcmBlock(Block):
    """The message of FCM's HTTP v1, without what Bottlepost sets in it."""

    OURS: ClassVar = {
        **dict.fromkeys(("token", "fid", "topic", "condition"), ADDRESS),
        "name": "is Google's answer",
        "validate_only": "would push nothing",
        "data": "is the data of the message, to which android.data is added",
        "android_v2": "is a preview of Google's; android reaches the same phones",
    }

    data_only: bool = ABSENT
    notification: FcmNotification = ABSENT
    android: AndroidConfig = ABSENT
    apns: FcmApns = ABSENT
    webpush: FcmWebpush = ABSENT
    fcm_options: AnalyticsOptions = ABSENT

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Self:
        if is_partial(info):
            return self
        problems: Problems = {}
        if self.data_only:
            what = "is not sent with data_only"
            if "notification" in self.model_fields_set:
                problems["notification"] = what
            if self.android and "notification" in self.android.model_fields_set:
                problems["android", "notification"] = what
        if size_of(self.model_dump(by_alias=True, exclude_unset=True)) > LARGEST:
            problems[()] = f"must not exceed {LARGEST:,} bytes"
        refuse(problems)
        return self
