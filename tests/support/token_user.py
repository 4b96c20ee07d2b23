"""A process that needs provider tokens; run as a module.

Its arguments are a database URL and a file to which every mint appends a line. It
reads `get` and `refused TOKEN` from standard input and answers each with a line.
"""

import asyncio
import os
import sys
from pathlib import Path

from datastore import Datastore
from notifier.channels import MintedToken
from notifier.engine.provider_tokens import SharedTokens
from tests.support.async_stores import on_thread

# Long enough that all other processes ask meanwhile.
MINTING_S = 0.2


def count_mint(minted: Path) -> int:
    """Record a mint; returns how many there have been."""
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
    with on_thread(store) as async_store:
        tokens = SharedTokens(async_store)
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
