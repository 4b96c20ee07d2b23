"""Schemas of kinds."""

from datetime import datetime
from typing import Any

from api.schemas import In, Out

Block = dict[str, Any]


class KindDefinition(In):
    """A definition; docs/notifications.md describes its blocks."""

    members: bool = False
    """Members may name the kind when they send a message."""
    patterns: Block | None = None
    """Title, subtitle and body by locale; `default` is for all other locales."""
    apns: Block | None = None
    fcm: Block | None = None
    webpush: Block | None = None
    email: Block | None = None


class KindOut(Out):
    name: str
    members: bool
    from_file: bool
    """It is defined by the file of the settings and cannot be changed here."""
    updated_at: datetime


class DefinedKind(KindOut):
    definition: dict[str, Any]


class Kinds(Out):
    """Kinds, ordered by name, without their definitions."""

    kinds: list[KindOut]
