"""The file of the server's demo page: people, their devices, and the inbox."""

import json
from dataclasses import asdict
from pathlib import Path

from demo.choices import Choices, write_secret
from demo.conversation import DEVICES, NAME, DemoConversation


def write(chosen: Choices, conversation: DemoConversation, ca_file: str) -> None:
    """Write the file that BOTTLEPOST_DEMO_FILE names; it contains tokens."""
    content = {
        "conversation": {"id": conversation.id, "name": NAME},
        "people": [asdict(person) for person in conversation.people],
        "devices": [{**device._asdict(), "token": device.token} for device in DEVICES],
        "inbox": f"{chosen.sandbox_url}/inbox",
        "ca_file": ca_file,
        # A browser may ask for the page by this name, beside those of loopback.
        "host": chosen.host,
    }
    write_secret(file_in(chosen.run_dir), json.dumps(content, indent=2) + "\n")


def file_in(run_dir: Path) -> Path:
    return run_dir / "demo-page.json"
