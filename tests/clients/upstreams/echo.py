"""Python's own http.server, saying what it was asked. It keeps connections open, and reads a body only where a method has one."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def log(seen):
    # In one write, and not where the library prints its tracebacks: connections have a thread each, and a line that began
    # behind the dashes of another's traceback was read as part of that.
    os.write(sys.stdout.fileno(), (json.dumps(seen) + "\n").encode())


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def chunked(self):
        body = b""
        while True:
            size = int(self.rfile.readline().split(b";")[0], 16)
            body += self.rfile.read(size)
            if size == 0:
                while self.rfile.readline() not in (b"\r\n", b"\n", b""):
                    pass
                return body
            self.rfile.readline()

    def with_body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            self.say(self.chunked())
        else:
            self.say(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def without_body(self):
        # As many handlers do: whoever sends a GET sends no body, so none is looked for.
        self.say(b"")

    def say(self, body):
        log({"method": self.command, "target": self.path})
        answer = f"{self.command} {self.path}\n".encode("latin-1") + body
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    def send_error(self, code, *rest):
        log({"refused": code})
        super().send_error(code, *rest)

    def log_message(self, *_):
        pass

    do_GET = do_HEAD = do_OPTIONS = do_DELETE = without_body
    do_POST = do_PUT = do_PATCH = with_body


server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
print(json.dumps({"listening": server.server_address[1]}), flush=True)
server.serve_forever()
