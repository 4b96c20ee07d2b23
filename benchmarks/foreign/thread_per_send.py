"""A rival of `chaos`: each request starts a thread that pushes behind the answer."""

import threading

import chat


def start(message_id: int) -> None:
    threading.Thread(target=chat.push, args=(message_id,)).start()


app = chat.application(after=start)
