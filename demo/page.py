"""What the server's demo page is told: the people, their phones, and the inbox."""

import json
from dataclasses import asdict
from pathlib import Path

from demo.choices import Choices, write_secret
from demo.conversation import DEVICES, NAME, Conversation


def tell(chosen: Choices, conversation: Conversation, ca_file: str) -> None:
    """Write the file that the server was pointed at; it holds the demo's tokens."""
    scene = {
        "conversation": {"id": conversation.id, "name": NAME},
        "people": [asdict(person) for person in conversation.people],
        "devices": [{**device._asdict(), "token": device.token} for device in DEVICES],
        "inbox": f"{chosen.sandbox_url}/inbox",
        "ca_file": ca_file,
    }
    write_secret(file_in(chosen.run_dir), json.dumps(scene, indent=2) + "\n")


def file_in(run_dir: Path) -> Path:
    return run_dir / "demo-page.json"
