"""What the demo prints once everything runs."""

import json
import shlex

from demo.choices import SERVICE_KEY_FILE, Choices
from demo.conversation import DEVICES, NAME, Conversation


def welcome(choices: Choices, conversation: Conversation, ca_file: str) -> str:
    """Where things are, and the commands to try."""
    post, inbox, job = commands(choices, conversation, ca_file)
    sender = conversation.sender.name
    devices = ", ".join(f"{d.owner}'s {d.model}" for d in DEVICES if d.owner != sender)
    kept = choices.run_dir / SERVICE_KEY_FILE
    is_ours = kept.exists() and kept.read_text().strip() == choices.service_key
    key = f"the key in {kept}" if is_ours else "your service key"
    return f"""
Bottlepost is up. Ctrl-C stops it; `make run` finds its data again.

  demo       {choices.server_url}/  (open it in a browser: a chat, and the phones)
  dashboard  {choices.server_url}/dashboard  (sign in with {key})
  sandbox    {choices.sandbox_url}  (stands in for Apple and Google)
  data       {choices.run_dir}

Post a message to the conversation "{NAME}" as {sender}:

{post}

Look at the inbox: one push each for {devices}:

{inbox}

Look at the job, by the id that the first answer gave:

{job}
"""


def commands(
    choices: Choices, conversation: Conversation, ca_file: str
) -> tuple[str, str, str]:
    """The curl lines: post a message, look at the inbox, look at the job."""
    as_sender = f"-H 'Authorization: Bearer {conversation.sender.token}'"
    body = json.dumps({"conversation": conversation.id, "message": "Land in sight!"})
    return (
        f"curl -sS {choices.server_url}/groupchat/send {as_sender} "
        f"-H 'Content-Type: application/json' -d {shlex.quote(body)}",
        f"curl -sS --cacert {shlex.quote(ca_file)} {choices.sandbox_url}/inbox",
        f"curl -sS {choices.server_url}/jobs/1 {as_sender}",
    )
