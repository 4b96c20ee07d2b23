"""The worker of rq_push, as RQ's manual advises for speed: it imports the task first.

python rq_worker.py
"""

import logging
import os

import chat  # noqa: F401 - the forked processes need not import it
from redis import Redis
from rq import Worker

if __name__ == "__main__":
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    Worker(["default"], connection=Redis.from_url(os.environ["RIVAL_REDIS"])).work(
        logging_level="WARNING"
    )
