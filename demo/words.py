"""The text that the demo prints when everything runs."""

import json
import shlex

from demo.choices import SERVICE_KEY_FILE, Choices
from demo.conversation import DEVICES, NAME, DemoConversation


def welcome(choices: Choices, conversation: DemoConversation, ca_file: str) -> str:
    """The addresses, and the commands to try."""
    post, inbox, job = commands(choices, conversation, ca_file)
    sender = conversation.sender.name
    devices = ", ".join(f"{d.owner}'s {d.model}" for d in DEVICES if d.owner != sender)
    kept = choices.run_dir / SERVICE_KEY_FILE
    is_kept = kept.exists() and kept.read_text().strip() == choices.service_key
    key = f"the key in {kept}" if is_kept else "your service key"
    return f"""
Bottlepost is running. Ctrl-C stops it; its data is kept for the next `make run`.

  demo       {choices.server_url}/  (open it in a browser: the chat and its phones)
  dashboard  {choices.server_url}/dashboard  (sign in with {key})
  sandbox    {choices.sandbox_url}  (takes the place of Apple and Google)
  data       {choices.run_dir}

1. Post a message to the conversation "{NAME}" as {sender}:

{post}

2. See its pushes in the inbox, one each for {devices}:

{inbox}

3. See the state of its job (the id is in the first response):

{job}
"""


def commands(
    choices: Choices, conversation: DemoConversation, ca_file: str
) -> tuple[str, str, str]:
    """The curl commands that post a message, and show the inbox and the job."""
    as_sender = f"-H 'Authorization: Bearer {conversation.sender.token}'"
    body = json.dumps({"conversation": conversation.id, "message": "Land in sight!"})
    # Whoever is quicker than the first push waits for it.
    inbox = f"{choices.sandbox_url}/inbox?wait=30"
    return (
        f"curl -sS {choices.server_url}/groupchat/send {as_sender} "
        f"-H 'Content-Type: application/json' -d {shlex.quote(body)}",
        f"curl -sS --cacert {shlex.quote(ca_file)} {shlex.quote(inbox)}",
        f"curl -sS {choices.server_url}/jobs/1 {as_sender}",
    )
