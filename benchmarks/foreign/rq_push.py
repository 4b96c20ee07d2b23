"""A rival of `others`: RQ as its manual shows it.

rq worker --url URL

A worker forks a process for each job, which is why it connects anew each time.
"""

import os

import chat
from redis import Redis
from rq import Queue

queue = Queue(connection=Redis.from_url(os.environ["RIVAL_REDIS"]))


def start(message_id: int) -> None:
    queue.enqueue(chat.push, message_id, result_ttl=0)


app = chat.application(after=start)
