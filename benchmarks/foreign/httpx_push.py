"""A measurement of httpx, run in its own virtual environment.

python httpx_push.py PORT CA_FILE KEY_FILE PUSHES < pushing.json
"""

import asyncio
import json
import ssl
import sys
import time

import httpx

IN_FLIGHT = 100


async def main() -> None:
    port, ca_file, _, pushes = sys.argv[1:]
    pushing = json.load(sys.stdin)
    body = pushing["body"].encode()
    numbers = iter(range(int(pushes)))
    async with httpx.AsyncClient(
        base_url=f"https://127.0.0.1:{port}",
        http1=False,
        http2=True,
        verify=ssl.create_default_context(cafile=ca_file),
        limits=httpx.Limits(max_connections=1),
        headers=pushing["headers"],
        timeout=60,
    ) as client:

        async def work() -> None:
            for number in numbers:
                token = pushing["tokens"][number % len(pushing["tokens"])]
                response = await client.post(f"/3/device/{token}", content=body)
                assert response.status_code == 200

        # The first request opens the connection; without it, the others would wait.
        await client.post("/3/device/first", content=body)
        wall, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    count = int(pushes)
    print(json.dumps({"pushes_per_s": count / wall, "cpu_us": cpu / count * 1e6}))


asyncio.run(main())
