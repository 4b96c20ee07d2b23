"""The control endpoint: it shows and changes the rules."""

import json
from typing import Any

from sandbox import faults
from sandbox.control.rules import PROVIDERS
from sandbox.state import Sandbox
from sandbox.wire.exchange import Request

TARGETS = (*PROVIDERS, "all")
# Rules that are numbers: type, minimum and maximum.
NUMBERS: dict[str, tuple[type, float, float]] = {
    "latency_ms": (float, 0, 60_000),
    "max_concurrent_streams": (int, 0, 2**31 - 1),
    "retry_after_s": (int, 0, 86_400),
    "slow_s": (float, 0, 600),
    "apns_token_max_age_s": (float, 0, 86_400),
    "apns_token_update_s": (float, 0, 86_400),
    "fcm_token_lifetime_s": (float, 1, 86_400),
}

LISTS = {"topics": "bundle ids", "iphones": "tokens of FCM"}


class BadControl(Exception):
    """An invalid change; nothing of the request is applied."""


def show(sandbox: Sandbox) -> dict[str, Any]:
    """The rules in force."""
    rules = sandbox.rules
    return {
        **{name: getattr(rules, name) for name in NUMBERS},
        "topics": list(rules.topics),
        "iphones": list(rules.iphones),
        "outage": rules.outage,
        "answers": rules.answers,
        "next": {
            provider: {"count": count, "answer": answer}
            for provider, (count, answer) in rules.next.items()
        },
    }


def apply(sandbox: Sandbox, request: Request) -> None:
    """Apply all changes of a request, or none; raises BadControl."""
    kind = request.fields.get("content-type", "").partition(";")[0].strip()
    # Browsers send this type across origins only after a preflight, which we refuse.
    if kind != "application/json":
        raise BadControl("content-type must be application/json")
    try:
        changes = json.loads(request.body)
    except ValueError:
        raise BadControl("the body is not JSON") from None
    if not isinstance(changes, dict):
        raise BadControl("the body must be an object")
    settings = [_check(sandbox, name, value) for name, value in changes.items()]
    if changes.get("reset") is True:
        sandbox.reset()
    for name, value in settings:
        if name is not None:
            setattr(sandbox.rules, name, value)
    if changes.get("expire_provider_tokens") is True:
        sandbox.provider_tokens.expire()
        sandbox.access_tokens.expire()
    if {"max_concurrent_streams", "reset"} & changes.keys():
        for connection in tuple(sandbox.counters.open):
            connection.stream_limit_changed()


def _check(sandbox: Sandbox, name: str, value: Any) -> tuple[str | None, Any]:
    """Check one change; returns the rule to set, if any, and its value."""
    if name in ("reset", "expire_provider_tokens"):
        if not isinstance(value, bool):
            raise BadControl(f"{name} must be true or false")
        return None, None
    if name in NUMBERS:
        return name, _number(name, value)
    if name in LISTS:
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise BadControl(f"{name} must be a list of {LISTS[name]}")
        return name, tuple(value)
    if name == "outage":
        return name, _merge(sandbox.rules.outage, name, value, by_provider=True)
    if name == "answers":
        return name, _merge(sandbox.rules.answers, name, value, by_provider=False)
    if name == "next":
        return name, {**sandbox.rules.next, **_next(value)}
    raise BadControl(f"there is no {name!r} to control")


def _number(name: str, value: Any) -> Any:
    kind, least, most = NUMBERS[name]
    is_number = type(value) is int or (kind is float and type(value) is float)
    if not is_number or not least <= value <= most:
        raise BadControl(f"{name} must be a number from {least:g} to {most:g}")
    return value


def _merge(
    rules: dict[str, str], name: str, changes: Any, *, by_provider: bool
) -> dict[str, str]:
    if not isinstance(changes, dict):
        raise BadControl(f"{name} must be an object")
    changed = {**rules}
    for key, answer in changes.items():
        if by_provider and key not in TARGETS:
            raise BadControl(f"{name} is for {', '.join(TARGETS)}, not {key!r}")
        if answer is None:
            changed.pop(key, None)
        elif by_provider and key == "all" and answer == "refuse":
            changed[key] = answer
        else:
            changed[key] = _answer(answer)
    return changed


def _next(value: Any) -> dict[str, tuple[int, str]]:
    if not isinstance(value, dict) or not {"count", "answer"} <= value.keys():
        raise BadControl("next needs a count and an answer, and may name a provider")
    count, provider = value["count"], value.get("provider", "all")
    if type(count) is not int or not 0 < count <= 10**9 or provider not in TARGETS:
        raise BadControl(f"next needs a count from 1, and one of {', '.join(TARGETS)}")
    return {provider: (count, _answer(value["answer"]))}


def _answer(name: Any) -> str:
    if not isinstance(name, str) or faults.parse(name) is None:
        raise BadControl(f"there is no answer {name!r}; the fault tokens name them")
    return name
