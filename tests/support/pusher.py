"""A process of its own that pushes through the real channels; run as a module.

Its settings come from the environment. Every line on the standard input is a device
token; it is pushed to on APNs and FCM, and a line with the two ends comes back.
"""

import asyncio
import sys

import config
from datastore import Datastore
from notifier import channels
from notifier.engine.provider_tokens import SharedTokens
from notifier.engine.provider_troubles import SharedTroubles
from tests.support.async_stores import on_thread
from tests.support.providers import push_to
from tests.support.pushes import make_notification


async def main() -> None:
    settings = config.from_env()
    store = Datastore(settings.database_url)
    loop = asyncio.get_running_loop()
    with on_thread(store) as async_store:
        tokens = SharedTokens(async_store)
        opened = channels.create(settings, tokens, SharedTroubles(async_store))
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
