"""A script that serves as soon as it is run or imported, as many a small app does.

`python unguarded_app.py PORT`. Processes of ours that imported it again, as those of
multiprocessing do, would come back here and find the port taken.
"""

import signal
import sys

import bottle

from server import create_app

# Waitress closes what is open when it is interrupted, and knows no other signal.
signal.signal(signal.SIGTERM, signal.default_int_handler)
bottle.run(
    create_app(), server="waitress", host="127.0.0.1", port=int(sys.argv[1]), quiet=True
)
