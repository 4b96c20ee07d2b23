"""A process of its own that pushes through the real channels; run as a module.

Its settings come from the environment. Every line on the standard input is a device
token; it is pushed to on APNs and FCM, and a line with the two ends comes back.
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

import config
from datastore import Datastore
from notifier import channels
from notifier.engine.provider_tokens import SharedTokens
from notifier.engine.provider_troubles import SharedTroubles
from tests.support.notifications import make_notification
from tests.support.sandbox_provider import push_to


async def main() -> None:
    settings = config.from_env()
    store = Datastore(settings.database_url)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as executor:
        tokens = SharedTokens(store, executor)
        opened = channels.create(settings, tokens, SharedTroubles(store, executor))
        providers = [opened["apns"], opened["fcm"]]
        print("ready", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            token = [line.strip()]
            pushes = (
                push_to(channel, token, make_notification()) for channel in providers
            )
            ends = [outcome.kind for (outcome,) in await asyncio.gather(*pushes)]
            print(*ends, flush=True)
        for channel in providers:
            await channel.close()
    store.close()


if __name__ == "__main__":
    asyncio.run(main())
