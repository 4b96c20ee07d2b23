"""Schemas of users, tokens and devices."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    RootModel,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from api.schemas import LARGEST_ID, Id, In, Key, Name, Out
from models import addresses, apns_tokens, subscriptions
from models.accounts import Device

MAX_TOKEN_S = 10 * 366 * 24 * 3600
# A host, perhaps with a port, and printable ASCII without what needs an escape.
_is_https = re.compile(
    r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?([/?#][!#-;=?-\[\]_a-z~]*)?"
).fullmatch


def _https(url: str) -> str:
    if not _is_https(url):
        raise ValueError("must be an address such as https://example.org/ann.png")
    return url


AvatarUrl = Annotated[str, StringConstraints(max_length=1000), AfterValidator(_https)]


class NewUser(In):
    name: Name
    external_id: Key | None = None
    """Your backend's id of the user; posted again, it finds the same user."""
    avatar_url: AvatarUrl | None = None
    """Where phones and apps find the user's picture."""


class UserQuery(In):
    external_id: Key | None = None
    """Finds one user; without it, users are listed."""
    after: Annotated[int, Field(ge=0, le=LARGEST_ID, strict=False)] | None = None
    """The id of the last user of the previous page."""
    limit: Annotated[int, Field(ge=1, le=1000, strict=False)] | None = None
    """At most as many users; 100 if it is left out."""

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        is_page = not (self.after is None and self.limit is None)
        if self.external_id is not None and is_page:
            raise ValueError(
                "external_id finds one user, so after and limit are for lists"
            )
        return self


class ChangedUser(In):
    """What is left out stays unchanged."""

    name: Name | None = None
    avatar_url: AvatarUrl | None = None
    """Null removes it."""

    @model_validator(mode="after")
    def _has_a_change(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("must have a name or avatar_url")
        if "name" in self.model_fields_set and self.name is None:
            raise ValueError("name must not be null")
        return self


class NewToken(In):
    expires_in: Annotated[int, Field(ge=1, le=MAX_TOKEN_S)] | None = None
    """Seconds until the token expires; null means never."""


class Token(Out):
    """A bearer token; only this response contains it."""

    id: int
    user_id: int
    token: str
    created_at: datetime
    expires_at: datetime | None


class TokenOut(Out):
    """A token without its secret part."""

    id: int
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class Tokens(Out):
    tokens: list[TokenOut]


class Logout(In):
    device_id: Id | None = None
    """The device that gets no more pushes."""


class UserOut(Out):
    id: int
    external_id: str | None
    name: str
    avatar_url: str | None
    created_at: datetime


class Users(Out):
    """Users, ordered by id."""

    users: list[UserOut]
    has_more: bool


class FoundUsers(Out, RootModel[UserOut | Users]):
    """The user with the external id, or a page of all users."""


class Profile(Out):
    """A user as those see them who share a conversation with them."""

    id: int
    external_id: str | None
    """Only the service and the user themselves see it; null for others."""
    name: str
    avatar_url: str | None
    created_at: datetime | None
    """Null for others, too."""


class CreatedUser(UserOut):
    token: str


def _platform(value: Any) -> Any:
    """Lower-case; GCM is the old name of FCM."""
    if not isinstance(value, str):
        return value
    name = value.lower()
    return "fcm" if name == "gcm" else name


def _phone(token: str) -> str:
    if not re.fullmatch(r"[!-~]+", token):
        raise ValueError("must be printable ASCII without spaces")
    return token


def _apple(token: str) -> str:
    return apns_tokens.normalise("apns", _phone(token))


def _browser(token: str) -> str:
    return subscriptions.parse(token).token


EMAIL = "email"
# Validators of the providers' tokens; each returns the form that is stored.
TOKENS: dict[str, Callable[[str], str]] = {
    "apns": _apple,
    "fcm": _phone,
    "webpush": _browser,
    EMAIL: addresses.parse,
}
Platform = Annotated[
    Literal["apns", "fcm", "webpush", "email"], BeforeValidator(_platform)
]
DeviceToken = Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class NewDevice(In):
    platform: Platform
    token: DeviceToken
    """The provider's token; for webpush the PushSubscription as JSON, and for email the
    address, which only the service key can register."""
    app: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")] | None = None
    environment: Literal["production", "sandbox"] = "production"
    locale: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.@#-]{2,35}$")] | None
    ) = None

    @field_validator("token")
    @classmethod
    def _check_token(cls, token: str, info: ValidationInfo) -> str:
        # `info.data` has no platform if it was invalid.
        check = TOKENS.get(info.data.get("platform", ""))
        return check(token) if check else token


class DeviceOut(Out):
    id: int
    platform: str
    token: str
    app: str | None
    environment: str
    locale: str | None
    registered_at: datetime
    disabled_at: datetime | None
    reason: str | None


def device_out(device: Device) -> DeviceOut:
    return DeviceOut.model_validate(device, from_attributes=True)


class Devices(Out):
    devices: list[DeviceOut]


class WebpushKey(Out):
    public_key: str
    """For `applicationServerKey` of a browser's `pushManager.subscribe`."""
