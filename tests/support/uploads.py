"""Rows of files to import."""

import json
from typing import Any


def json_lines(*rows: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def user(external_id: str, name: str = "Ann") -> dict[str, Any]:
    return {"type": "user", "external_id": external_id, "name": name}


def conversation(external_id: str, name: str = "Lunch") -> dict[str, Any]:
    return {"type": "conversation", "external_id": external_id, "name": name}


def device(of: str, token: str, **more: Any) -> dict[str, Any]:
    row = {"type": "device", "user": of, "platform": "fcm", "token": token}
    return {**row, **more}


def member(of: str, user: str, **more: Any) -> dict[str, Any]:
    return {"type": "member", "conversation": of, "user": user, **more}


def crew(people: int) -> list[dict[str, Any]]:
    """A conversation with this many users, each with a device."""
    numbers = range(people)
    return [
        conversation("crew", "The crew"),
        *(user(f"u-{n}", f"User {n}") for n in numbers),
        *(device(f"u-{n}", f"token-{n}") for n in numbers),
        *(
            member("crew", f"u-{n}", role="owner" if n == 0 else "member")
            for n in numbers
        ),
    ]
