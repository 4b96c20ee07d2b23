"""A script that serves as soon as it is run or imported, as many small apps do.

`python unguarded_app.py PORT`. If our processes imported it again, as those of
multiprocessing do, they would find the port taken.
"""

import signal
import sys

import bottle

from server import create_app

# Waitress shuts down cleanly on SIGINT only.
signal.signal(signal.SIGTERM, signal.default_int_handler)
bottle.run(
    create_app(), server="waitress", host="127.0.0.1", port=int(sys.argv[1]), quiet=True
)
