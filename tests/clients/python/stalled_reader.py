"""A WebSocket client that asks for a lot and reads none of it until its session is over. Prints as JSON what it finds then.

Nothing but the standard library: what is looked at are bytes, and whether the connection ended in order or with a reset. Some runtimes
take a reset for an end when there was something left to read; this does not.
"""

import base64
import json
import os
import socket
import struct
import sys
import time

SIZE = 512 * 1024


def read_frames(data: bytes):
    """The opcodes of the whole frames, the payload of a close, how many bytes are left over, and what is wrong."""
    opcodes, close, at = [], None, 0
    while len(data) - at >= 2:
        first, second = data[at], data[at + 1]
        if first & 0x0F not in (0, 1, 2, 8, 9, 10) or first & 0x30 or second & 0x80:
            return opcodes, close, len(data) - at, f"no frame of a server at byte {at}"
        head, length = 2, second & 0x7F
        if length == 126:
            head, length = 4, int.from_bytes(data[at + 2 : at + 4], "big")
        elif length == 127:
            head, length = 10, int.from_bytes(data[at + 2 : at + 10], "big")
        if len(data) - at < head + length:
            break
        opcodes.append(first & 0x0F)
        if first & 0x0F == 8:
            close = data[at + head : at + head + length]
        at += head + length
    return opcodes, close, len(data) - at, None


def main(host: str, port: int, cookie: str, stalled_seconds: float) -> dict:
    connection = socket.create_connection((host, port))
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(
        f"GET /ws/quotes?rate=200 HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1)
    # A mask of zeros is a mask.
    frame = b"\x82\xff" + struct.pack(">Q", SIZE) + bytes(4) + os.urandom(SIZE)
    connection.setblocking(False)
    until, pending, sent = time.monotonic() + stalled_seconds, frame * 12, 0
    while time.monotonic() < until:
        try:
            sent += connection.send(pending[sent : sent + 65536]) if sent < len(pending) else 0
        except OSError:
            pass
        time.sleep(0.005)
    connection.settimeout(10)
    data, end = b"", "fin"
    try:
        while chunk := connection.recv(65536):
            data += chunk
    except ConnectionResetError:
        end = "reset"
    opcodes, close, rest, wrong = read_frames(data)
    return {
        "end": end,
        "frames": len(opcodes),
        "close_is_last": 8 not in opcodes[:-1],
        "close_code": int.from_bytes(close[:2], "big") if close else None,
        "rest": rest,
        "wrong": wrong,
    }


print(json.dumps(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4]))))
