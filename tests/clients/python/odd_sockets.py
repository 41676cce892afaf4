"""What nobody means to pass to a service: sockets that cannot be listened on, one twice, or fewer than are announced.

odd_sockets.py KIND PORT PROGRAM ARGUMENTS..: passes them, and becomes the program.
"""

import os
import socket
import sys

FIRST = 3  # SD_LISTEN_FDS_START
kind, port = sys.argv[1], int(sys.argv[2])
tcp, udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
near, far = socket.socketpair()
for one in (tcp, udp):
    one.bind(("127.0.0.1", port))

if kind == "listening twice":
    tcp.listen(16)
passed = {
    "bound": [tcp],
    "datagrams": [udp],
    "connected": [near, far],
    "a file": [open("/dev/null")],
    "listening twice": [tcp, tcp],
    "fewer than announced": [],
}[kind]
announced = len(passed) or 48

# Out of the way first, so that none is overwritten before it was passed.
high = [os.dup2(one.fileno(), 200 + nth) for nth, one in enumerate(passed)]
for nth, number in enumerate(high):
    os.dup2(number, FIRST + nth, inheritable=True)
    os.close(number)
os.closerange(FIRST + len(high), 256)
os.environ.update(LISTEN_FDS=str(announced), LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[3], sys.argv[3:])
