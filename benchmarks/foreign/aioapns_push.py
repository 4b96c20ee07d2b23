"""A measurement of aioapns, run in its own virtual environment.

python aioapns_push.py PORT CA_FILE KEY_FILE PUSHES < pushing.json
"""

import asyncio
import json
import ssl
import sys
import time
from pathlib import Path

from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsProductionClientProtocol

# Its pool sleeps when all 1,000 streams are in use, which this limit prevents.
IN_FLIGHT = 900


async def main() -> None:
    port, ca_file, key_file, pushes = sys.argv[1:]
    pushing = json.load(sys.stdin)
    key = Path(key_file).read_text()  # noqa: ASYNC240 - nothing else runs yet
    APNsProductionClientProtocol.APNS_SERVER = "127.0.0.1"
    APNsProductionClientProtocol.APNS_PORT = int(port)
    client = APNs(
        key=key,
        key_id="ABCDE12345",
        team_id="TEAM123456",
        topic=pushing["headers"]["apns-topic"],
        max_connections=1,
        ssl_context=ssl.create_default_context(cafile=ca_file),
    )
    message = json.loads(pushing["body"])
    numbers = iter(range(int(pushes)))

    async def push(number: int) -> None:
        request = NotificationRequest(
            device_token=pushing["tokens"][number % len(pushing["tokens"])],
            message=message,
            time_to_live=3600,
            priority=10,
            collapse_key=pushing["headers"]["apns-collapse-id"],
            push_type=PushType.ALERT,
        )
        result = await client.send_notification(request)
        assert result.is_successful

    async def work() -> None:
        for number in numbers:
            await push(number)

    # The first push opens the connection.
    await push(0)
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    count = int(pushes)
    print(json.dumps({"pushes_per_s": count / wall, "cpu_us": cpu / count * 1e6}))


asyncio.run(main())
