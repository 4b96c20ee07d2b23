"""`make bench`: every benchmark, one after the other.

python -m benchmarks [name ...] [--quick] [--json]
"""

import subprocess
import sys

# In the order of a message's way: answered, pushed, and never lost.
ALL = ("send", "push", "chaos")


def main() -> int:
    options = [word for word in sys.argv[1:] if word.startswith("-")]
    names = [word for word in sys.argv[1:] if not word.startswith("-")] or list(ALL)
    if unknown := set(names) - set(ALL):
        print(f"No benchmark {', '.join(sorted(unknown))}; there are {', '.join(ALL)}.")
        return 2
    failed = []
    for name in names:
        print(f"\n=== {name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", *options]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"\nFailed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
