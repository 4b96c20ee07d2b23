"""The file with kinds of notifications that the settings name, and names of kinds."""

import json
import re
from pathlib import Path
from typing import Any

from datastore.kinds import MOST
from models import kinds
from models.errors import Invalid

is_name = re.compile(r"[a-z][a-z0-9_-]{0,63}").fullmatch
NAME_RULE = "must have 1 to 64 of a-z, 0-9, _ and -, and begin with a letter"


class BadKindFile(ValueError):
    """The file cannot be used; the message names the kind and the field."""


def check_name(name: str) -> None:
    """Raises Invalid."""
    if not is_name(name):
        raise Invalid(f"name: {NAME_RULE}", field="name")


def read_file(path: Path) -> dict[str, dict[str, Any]]:
    """The checked definitions of a file by name; raises BadKindFile."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as problem:
        raise BadKindFile(f"holds no readable JSON: {problem}") from None
    if not isinstance(content, dict):
        raise BadKindFile("must hold a JSON object: the definitions by name")
    if len(content) > MOST:
        raise BadKindFile(f"has {len(content)} kinds; there may be {MOST}")
    found: dict[str, dict[str, Any]] = {}
    for name, document in content.items():
        if not is_name(name):
            raise BadKindFile(f"has a kind {name[:100]!r}: its name {NAME_RULE}")
        if not isinstance(document, dict):
            raise BadKindFile(f"has a kind {name}: it must be a JSON object")
        try:
            found[name] = kinds.check(document, name=name)
        except Invalid as problem:
            raise BadKindFile(f"has a kind {name}: {problem.message}") from None
    return found
