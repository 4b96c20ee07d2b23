"""`python -m bottlepost`, the same as `bottlepost`.

Our children run this file by its path: nothing needs to be installed for that, and
Python puts no directory in front of its search path (-P).
"""

import sys
from pathlib import Path

if not __package__:
    sys.path.append(str(Path(__file__).resolve().parents[1]))

from bottlepost.cli import main

if __name__ == "__main__":
    main()
