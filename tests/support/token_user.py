"""A process of its own that needs provider tokens; run as a module.

Arguments: a database URL, and a file to which every mint appends a line. On the
standard input it takes `get` and `refused TOKEN`, and answers each with a line.
"""

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from datastore import Datastore
from notifier.channels import MintedToken
from notifier.engine.provider_tokens import SharedTokens

# Long enough for all the others to ask meanwhile.
MINTING_S = 0.2


def count_mint(minted: Path) -> int:
    """Write a mint down; returns how many there have been."""
    with minted.open("a") as lines:
        lines.write(f"{os.getpid()}\n")
    return len(minted.read_text().splitlines())


async def main(url: str, minted: Path) -> None:
    async def mint() -> MintedToken:
        count = count_mint(minted)
        await asyncio.sleep(MINTING_S)
        return MintedToken(f"token-{count}", 3000.0)

    store = Datastore(url)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as executor:
        tokens = SharedTokens(store, executor)
        print("ready", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            command, _, token = line.strip().partition(" ")
            if command == "refused":
                await tokens.refused("name", token)
                print("done", flush=True)
            else:
                print(await tokens.get("name", mint), flush=True)
    store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
