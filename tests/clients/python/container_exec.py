"""Docker's own library for Python opens an exec, types a line, reads what comes, and says how it ended, as JSON.

container_exec.py URL CREDENTIAL
"""

import json
import sys

import docker


def main(url: str, credential: str) -> dict:
    client = docker.APIClient(base_url=url, version="1.41", timeout=20)
    client.headers["Authorization"] = f"Bearer {credential}"
    stream = client.exec_start("1", tty=True, socket=True)
    # What the library hands out is a file around the socket, or the socket.
    stream = getattr(stream, "_sock", stream)
    stream.sendall(b"make me loud\n")
    seen = b""
    while len(seen) < len(b"make me loud\n"):
        seen += stream.recv(4096)
    stream.sendall(b"heard\n")
    try:
        while stream.recv(4096):
            pass
        ended = "closed"
    except ConnectionResetError:
        ended = "reset"
    return {"seen": seen.decode(), "ended": ended}


print(json.dumps(main(*sys.argv[1:])))
