"""What systemd is to a service with a `.socket` unit: holds a listening socket, and passes it to each run of the program.

hold_socket.py PORT PROGRAM ARGUMENTS..: prints the process id of each run; runs it again whenever it stops, until told to stop.
"""

import os
import signal
import socket
import subprocess
import sys

FIRST = 3  # SD_LISTEN_FDS_START

held = socket.socket()
held.bind(("127.0.0.1", int(sys.argv[1])))
held.listen(1024)
if held.fileno() == FIRST:
    os.set_inheritable(FIRST, True)
else:
    os.dup2(held.fileno(), FIRST, inheritable=True)

stopping = False
run = None


def stop(_signal, _frame):
    global stopping
    stopping = True
    if run:
        run.terminate()


signal.signal(signal.SIGTERM, stop)
while not stopping:
    line = ["sh", "-c", 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@"', *sys.argv[2:]]
    run = subprocess.Popen(line, pass_fds=[FIRST])
    print(run.pid, flush=True)
    run.wait()
