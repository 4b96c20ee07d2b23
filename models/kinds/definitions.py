"""A whole definition of a kind: its patterns and its blocks."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from models.errors import Invalid
from models.kinds import locales
from models.kinds.apns import RAW, ApnsBlock
from models.kinds.email import EmailBlock
from models.kinds.fcm import FcmBlock
from models.kinds.fields import (
    ABSENT,
    Block,
    Problems,
    ShortText,
    Text,
    Title,
    is_partial,
    plural_or,
    refuse,
    size_of,
)
from models.kinds.webpush import WebpushBlock

LARGEST = 16 * 1024
MAX_LOCALES = 100
MAX_PROBLEMS = 20


class LocalePatterns(Block):
    """The texts of one locale; what is missing comes from the next one."""

    title: Annotated[Any, plural_or(Title)] = ABSENT
    subtitle: Annotated[Any, plural_or(ShortText)] = ABSENT
    body: Annotated[Any, plural_or(Text)] = ABSENT
    email: EmailBlock = ABSENT


def _by_locale(value: Any) -> Any:
    """The patterns by canonical names of locales."""
    if not isinstance(value, Mapping):
        return value
    found: dict[str, Any] = {}
    problems: Problems = {}
    for name, patterns in value.items():
        locale = locales.canonical(name) if isinstance(name, str) else None
        locale = locales.DEFAULT if name == locales.DEFAULT else locale
        if locale is None:
            problems[str(name)] = "is not a locale such as de, de-AT or zh-Hant"
        elif locale in found:
            problems[str(name)] = f"is {locale}, which is there already"
        else:
            found[locale] = patterns
    refuse(problems)
    return found


class KindDefinition(Block):
    """What the service saves as a kind."""

    members: bool = False
    patterns: Annotated[
        dict[str, LocalePatterns],
        Field(max_length=MAX_LOCALES),
        BeforeValidator(_by_locale),
    ] = ABSENT
    apns: ApnsBlock = ABSENT
    fcm: FcmBlock = ABSENT
    webpush: WebpushBlock = ABSENT
    email: EmailBlock = ABSENT

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Self:
        problems: Problems = {}
        if is_partial(info):
            if "members" in self.model_fields_set:
                problems["members"] = "belongs to a kind, not to a message"
        else:
            if self.patterns and locales.DEFAULT not in self.patterns:
                problems["patterns", locales.DEFAULT] = "is needed"
            if self.members:
                what = "is only for kinds that members may not name"
                problems |= self._only_for_the_service(what)
            elif info.context and info.context.get("is_usual"):
                what = "is not for a kind that messages have without naming it"
                problems |= self._only_for_the_service(what)
        refuse(problems)
        return self

    def _only_for_the_service(self, what: str) -> Problems:
        """Members send messages to read, and start no calls or activities."""
        problems: Problems = {}
        if self.apns and self.apns.headers and self.apns.headers.push_type in RAW:
            problems["apns", "headers", "push_type"] = what
        behind_fcm = self.fcm.apns if self.fcm else None
        if behind_fcm and behind_fcm.live_activity_token is not None:
            problems["fcm", "apns", "live_activity_token"] = what
        elif behind_fcm and behind_fcm.push_type in RAW:
            problems["fcm", "apns", "headers", "apns-push-type"] = what
        return problems


def check(
    definition: Mapping[str, Any], *, partial: bool, is_usual: bool
) -> dict[str, Any]:
    """The canonical definition; see `models.kinds.check`."""
    try:
        if size_of(definition) > LARGEST:
            raise Invalid(f"A definition has at most {LARGEST:,} bytes.", field="")
        if partial:
            definition = _with_canonical_locales(definition)
        given = _without_nulls(definition) if partial else definition
        context = {"partial": partial, "is_usual": is_usual}
        found = KindDefinition.model_validate(given, context=context)
    except ValidationError as refused:
        raise _invalid(refused) from None
    except (ValueError, TypeError, RecursionError):
        raise Invalid("A definition must be JSON.", field="") from None
    canonical: dict[str, Any] = found.model_dump(by_alias=True, exclude_unset=True)
    if partial:
        return _with_nulls(canonical, definition)
    return {"members": found.members, **canonical}


def _with_canonical_locales(changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The changes by the names that the kind has, so that null finds its field."""
    patterns = changes.get("patterns")
    if not isinstance(patterns, Mapping):
        return changes
    names = {name: locales.canonical(str(name)) or name for name in patterns}
    if len(set(names.values())) < len(names):
        # One of them is there twice, which is refused.
        return changes
    return {**changes, "patterns": {names[name]: patterns[name] for name in patterns}}


def _without_nulls(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_nulls(change) if isinstance(change, Mapping) else change
        for name, change in changes.items()
        if change is not None
    }


def _with_nulls(
    canonical: dict[str, Any], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """The canonical changes, with the nulls that remove fields."""
    for name, change in changes.items():
        if change is None:
            canonical[name] = None
        elif isinstance(change, Mapping) and isinstance(canonical.get(name), dict):
            _with_nulls(canonical[name], change)
    return canonical


def _invalid(refused: ValidationError) -> Invalid:
    """The problems in the form of the API's errors."""
    found = refused.errors(include_url=False, include_input=False)[:MAX_PROBLEMS]
    problems = [
        {"field": ".".join(map(str, each["loc"]))[:200], "problem": _message(each)}
        for each in found
    ]
    first = problems[0]
    where = f"{first['field']}: " if first["field"] else ""
    return Invalid(
        f"{where}{first['problem']}", field=first["field"], problems=problems
    )


def _message(problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        place = problem["loc"][-2:-1]
        return (
            "is not a key of Apple's; own keys stand beside aps, in payload"
            if place == ("aps",)
            else "is not a known field"
        )
    return str(problem["msg"]).removeprefix("Value error, ")
