"""A rival of `others`: each request starts a process that pushes behind the answer."""

import multiprocessing

import chat

# Python forks by itself only up to 3.13; other ways to start a process cost more.
Process = multiprocessing.get_context("fork").Process


def push(pushes: list[chat.Push]) -> None:
    # The fork's connections are the web worker's, so it opens its own one.
    chat.Provider().send(pushes)


def start(message_id: int) -> None:
    # The devices are read here, which saves the process a connection to the database.
    Process(target=push, args=(chat.pushes_of(message_id),)).start()


app = chat.application(after=start)
