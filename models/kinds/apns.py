"""The block `apns` of a kind, and what Apple demands of each push type."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from models.apns_push_types import (
    LONGEST_COLLAPSE_ID,
    RAW_TYPES,
    RELOADS,
    SUFFIXES,
)
from models.kinds.aps import OF_ACTIVITIES, Aps
from models.kinds.fields import (
    ABSENT,
    Block,
    JsonObject,
    Problems,
    Whole,
    is_partial,
    refuse,
    size_of,
)
from models.kinds.patterns import parse

PushType = Literal[
    "alert",
    "background",
    "voip",
    "complication",
    "fileprovider",
    "mdm",
    "location",
    "liveactivity",
    "pushtotalk",
    "widgets",
    "controls",
]
RAW = frozenset(RAW_TYPES)
PRIORITIES = {"background": (5,), "location": (5, 10), "liveactivity": (5, 10)}
# Apple takes 4,096 and 5,120 bytes; the rest is for the reference to the message.
LARGEST = 4096 - 256
LARGEST_VOIP = 5120 - 256
# Half is for the texts and for what Bottlepost adds.
LARGEST_SHOWN = 2048
OF_BOTTLEPOST = "bottlepost"


def check_priority(value: int) -> int:
    if value not in (1, 5, 10):
        raise ValueError("must be 1, 5 or 10")
    return value


def check_collapse_id(text: str) -> str:
    fixed = "".join(literal for literal, _ in parse(text).parts)
    if not text or len(fixed.encode()) > LONGEST_COLLAPSE_ID:
        raise ValueError(f"must have 1 to {LONGEST_COLLAPSE_ID} bytes")
    return text


def _own(payload: dict[str, Any]) -> dict[str, Any]:
    reserved = {"aps": "has its own place", OF_BOTTLEPOST: "is set by Bottlepost"}
    refuse({name: reserved[name] for name in reserved if name in payload})
    return payload


CollapseId = Annotated[str, AfterValidator(check_collapse_id)]
Payload = Annotated[JsonObject, AfterValidator(_own)]


class ApnsHeaders(Block):
    """The header fields that a kind may set."""

    OURS: ClassVar = {
        "topic": "is the app of the device; topic_suffix follows it",
        "id": "names the push of one message to one device",
        "authorization": "is made from the settings",
    }

    push_type: PushType = "alert"
    priority: Annotated[int, AfterValidator(check_priority)] = ABSENT
    expiration: Annotated[Whole, Field(le=10**15 - 1)] = ABSENT
    collapse_id: CollapseId = ABSENT
    topic_suffix: str = ABSENT


class ApnsBlock(Block):
    """Headers, `aps` and own keys beside it."""

    headers: ApnsHeaders = ABSENT
    aps: Aps = ABSENT
    payload: Payload = ABSENT

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Self:
        if is_partial(info):
            return self
        headers = self.headers or ApnsHeaders()
        problems = check_push(
            headers.push_type,
            headers.priority,
            self.aps or Aps(),
            self.payload or {},
        )
        suffix = SUFFIXES[headers.push_type]
        if headers.topic_suffix is not None and headers.topic_suffix != suffix:
            named = f"must be {suffix!r}" if suffix else "must be empty"
            problems["headers", "topic_suffix"] = f"{named} for this push type"
        refuse(problems)
        return self


def check_push(
    push_type: str, priority: int | None, aps: Aps, payload: dict[str, Any]
) -> Problems:
    """What Apple, or the phone, would not accept of this push."""
    problems: Problems = {}
    allowed = PRIORITIES.get(push_type, (1, 5, 10))
    if priority is not None and priority not in allowed:
        names = " or ".join(map(str, allowed))
        problems["headers", "priority"] = f"must be {names} for {push_type}"
    problems |= {("aps", key): what for key, what in _check_aps(push_type, aps).items()}
    problems |= {
        ("payload", key): what for key, what in _check_own(push_type, payload).items()
    }
    whole = {"aps": aps.model_dump(by_alias=True, exclude_unset=True), **payload}
    limit = LARGEST if push_type in RAW else LARGEST_SHOWN
    limit = LARGEST_VOIP if push_type == "voip" else limit
    if size_of(whole) > limit:
        problems[("payload",)] = f"must not exceed {limit:,} bytes together with aps"
    return problems


def _check_aps(push_type: str, aps: Aps) -> dict[str, str]:
    given = aps.given
    if push_type == "mdm":
        return dict.fromkeys(given, "is not sent with mdm")
    if push_type in RELOADS:
        others = {k: f"is not sent with {push_type}" for k in given}
        others.pop("content-changed", None)
        needed = {} if "content-changed" in given else {"content-changed": "is needed"}
        return others | needed
    problems = (
        {"content-changed": "is for widgets and controls"}
        if "content-changed" in given
        else {}
    )
    if push_type == "liveactivity":
        return problems | _check_activity(aps)
    problems |= {key: "is for Live Activities" for key in OF_ACTIVITIES if key in given}
    if aps.relevance_score is not None and not 0 <= aps.relevance_score <= 1:
        problems["relevance-score"] = "must be from 0 to 1"
    if push_type == "background":
        shown = given & {"alert", "sound", "mutable-content", "interruption-level"}
        problems |= dict.fromkeys(shown, "is not sent with background, which is unseen")
    elif push_type in RAW and "mutable-content" in given and "alert" not in given:
        problems["mutable-content"] = "needs an alert"
    return problems


# What an event of a Live Activity needs. Bottlepost adds `timestamp`, and the `alert`
# of a start.
_NEEDED = {
    "start": ("attributes", "attributes-type", "content-state"),
    "update": ("content-state",),
    "end": (),
}
_ONLY_WITH = {
    "attributes": "start",
    "attributes-type": "start",
    "input-push-token": "start",
    "input-push-channel": "start",
    "dismissal-date": "end",
}


def _check_activity(aps: Aps) -> dict[str, str]:
    given = aps.given
    if aps.event is None:
        return {"event": "is needed"}
    problems = {
        key: f"is needed with {aps.event}"
        for key in _NEEDED[aps.event]
        if key not in given
    }
    problems |= {
        key: f"is only for {event}"
        for key, event in _ONLY_WITH.items()
        if key in given and aps.event != event
    }
    if {"input-push-token", "input-push-channel"} <= given:
        problems["input-push-channel"] = "excludes input-push-token"
    if "mutable-content" in given and "alert" not in given:
        problems["mutable-content"] = "needs an alert"
    return problems


def _check_own(push_type: str, payload: dict[str, Any]) -> dict[str, str]:
    if push_type in RELOADS:
        return dict.fromkeys(payload, f"is not sent with {push_type}")
    if push_type == "mdm":
        return _check_texts(payload, needed=("mdm",), known=("mdm",))
    if push_type == "fileprovider":
        names = ("container-identifier", "domain")
        return _check_texts(payload, needed=names[:1], known=names)
    return {}


def _check_texts(
    payload: dict[str, Any], *, needed: tuple[str, ...], known: tuple[str, ...]
) -> dict[str, str]:
    problems = {name: "is needed" for name in needed if name not in payload}
    problems |= {name: "is not known" for name in payload if name not in known}
    return problems | {
        name: "must be a text"
        for name in known
        if name in payload and not isinstance(payload[name], str)
    }
