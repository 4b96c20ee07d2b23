"""`python -m notifier …`, the form of `bottlepost …` that services of old may have."""

import sys

from bottlepost.cli import main

# They had no word in front.
WORKERS = ("celery", "manager", "polling", "rq", "script")

if __name__ == "__main__":
    named = sys.argv[1:]
    main(["worker", *named] if named and named[0] in WORKERS else named)
