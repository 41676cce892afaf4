"""Python's `websockets`: takes quotes until the connection closes, and prints how it closed as JSON."""

import asyncio
import json
import sys

import websockets


async def main(url: str, cookie: str, compression: str | None) -> dict:
    quotes = 0
    headers = {"Cookie": cookie}
    try:
        async with websockets.connect(url, additional_headers=headers, compression=compression, max_size=None) as socket:
            await socket.send(json.dumps({"type": "echo", "text": "Hafen"}))
            await socket.send(bytes(range(256)) * 4096)
            binary = 0
            async for message in socket:
                if isinstance(message, bytes):
                    binary = len(message) if message == bytes(range(256)) * 4096 else -1
                elif json.loads(message)["type"] == "quotes":
                    quotes += 1
            # `async for` ends without an exception after 1000 and 1001 only.
            return {"closed": "normally"}
    except websockets.exceptions.ConnectionClosed as closed:
        received = closed.rcvd
        return {
            "exception": type(closed).__name__,
            "code": received.code if received else None,
            "reason": received.reason if received else None,
            "received_first": closed.rcvd_then_sent,
            "quotes": quotes,
            "binary": binary,
        }
    except websockets.exceptions.InvalidStatus as refused:
        return {"status": refused.response.status_code, "body": json.loads(refused.response.body)}


url, cookie, compression = sys.argv[1:4]
print(json.dumps(asyncio.run(main(url, cookie, compression if compression != "none" else None))))
