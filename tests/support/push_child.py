"""A child process that pushes through the real channels; run as a module.

Its settings come from the environment. It reads device tokens from the standard input,
one a line, pushes to each on APNs and FCM, and prints the kinds of the two outcomes.
"""

import asyncio
import sys

import config
from datastore import Datastore
from notifier.channels import registry
from notifier.engine.provider_tokens import SharedTokens
from notifier.engine.provider_troubles import SharedTroubles
from tests.support.async_stores import on_thread
from tests.support.channel_service import push_to
from tests.support.notifications import make_notification
from tests.support.sandbox_provider import targets


async def main() -> None:
    settings = config.from_env()
    store = Datastore(settings.database_url)
    loop = asyncio.get_running_loop()
    with on_thread(store) as async_store:
        tokens = SharedTokens(async_store)
        created = registry.create(settings, tokens, SharedTroubles(async_store))
        providers = [created["apns"], created["fcm"]]
        print("ready", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            device = targets(line.strip())
            pushes = (
                push_to(channel, device, make_notification()) for channel in providers
            )
            kinds = [outcome.kind for (outcome,) in await asyncio.gather(*pushes)]
            print(*kinds, flush=True)
        for channel in providers:
            await channel.close()
    store.close()


if __name__ == "__main__":
    asyncio.run(main())
