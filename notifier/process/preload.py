"""What every engine needs, imported once where its process is forked from."""

import gc
import os
import sys
from contextlib import suppress
from importlib import import_module

import notifier.engine.loop
import notifier.process.push_process  # noqa: F401 - imported to be there

for channel in ("apns", "fcm", "webpush", "email"):
    with suppress(ImportError):
        import_module(f"notifier.channels.{channel}")

# Only in the fork server itself, which Python runs as `-c`.
if sys.argv[0] == "-c":
    # The collector would write to the pages the children share with us.
    gc.freeze()
    # Whoever reads the host's output must not wait for us after the host has gone.
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
