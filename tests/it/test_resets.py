#!/usr/bin/python3
"""A reply that is cut off at every one of its bytes: by a reset at each, and by an end of the connection, TLS's farewell given or not, at
some. Thousands of exchanges of one program (tests/exchange) with the daemon's transport, loop and judge; the service itself meets a
sample in test_hostile.py. No part is taken for an answer, each may have been billed, and memory stays flat."""
import os
import re
import socket
import ssl
import struct
import subprocess
import tempfile

import suite
from service import build_folder, sample
from standin_aws import make_ca

BODY = (b'{"output":{"message":{"role":"assistant","content":[{"toolUse":{"toolUseId":"1","name":"answer","input":{"word":"hello"}}}]}},'
        b'"stopReason":"tool_use","usage":{"inputTokens":1800,"outputTokens":220,"totalTokens":2020}}')
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-amzn-RequestId: 0f0f\r\n"
REPLIES = {
    "length": HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY,
    "chunked": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (BODY[:7], BODY[7:100], BODY[100:])) + b"0\r\n\r\n",
    "until-end": HEAD + b"Connection: close\r\n\r\n" + BODY,
}
GROWS_KIB = 16384 if build_folder().endswith("-asan") else 1024  # the sanitizer's allocator keeps what is freed


class Peer:
    """Takes one connection after the other on loopback."""

    def __init__(self, folder):
        self.ca_file, cert, key = make_ca(folder)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(cert, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(60)

    def serve(self, data, end):
        """Reads a request, answers with `data`, and ends the connection: "reset", "close" (without TLS's farewell) or "goodbye"."""
        connection, _ = self.listener.accept()
        connection.settimeout(60)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each reply waits for an acknowledgment of 40 ms
        s = self.tls.wrap_socket(connection, server_side=True)
        got = b""
        while b"\r\n\r\n" not in got:
            got += s.recv(65536)
        left = int(re.search(rb"(?i)content-length: (\d+)", got).group(1)) - len(got.split(b"\r\n\r\n", 1)[1])
        while left > 0:
            left -= len(s.recv(65536))
        if data:
            s.sendall(data)
        if end == "goodbye":
            s.settimeout(0)  # said, and not waited for that it is said back
            try:
                s.unwrap()
            except OSError:
                pass
        if end == "reset":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()


class Client:
    def __init__(self, peer):
        # The sanitizer keeps what is freed for a while: little of it here, where memory is measured.
        env = dict(os.environ, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64")
        self.process = subprocess.Popen([os.path.join(build_folder(), "exchange/exchange"), "127.0.0.1:%d" % peer.listener.getsockname()[1], peer.ca_file,
                                         sample("receipt-1")], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="ascii")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        assert self.process.wait(60) == 0
        self.process.stdout.close()

    def ask(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def told(self):
        outcome, error, status, billed, answered = self.process.stdout.readline().split()
        return outcome, int(error), int(status), billed == "1", answered == "1"

    def rss(self):
        with open("/proc/%d/status" % self.process.pid, encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("RssAnon:"))


def cut_everywhere(reply, end, step=1):
    with tempfile.TemporaryDirectory() as folder:
        peer = Peer(folder)
        with Client(peer) as client:
            before = None
            for i, n in enumerate(list(range(0, len(reply), step)) + [len(reply)]):
                client.ask()
                peer.serve(reply[:n], end)
                outcome, error, status, billed, answered = client.told()
                if n < len(reply):
                    assert outcome != "done" and not answered and billed, (n, outcome, error, status)
                    # A reset is always seen; else the reply says how long it is, once its head is there. (What a head lacks is no answer either.)
                    assert error != 0 or end != "reset" and (b": close" in reply or n < reply.index(b"\r\n\r\n") + 4), (n, "taken for whole")
                before = before or (i >= 20 and client.rss())
            assert client.rss() - before < GROWS_KIB, (before, client.rss())
            # The whole of it, and then the same end, is an answer: only a reset may take what has not been read yet.
            client.ask()
            peer.serve(reply, "goodbye")
            assert client.told() == ("done", 0, 200, True, True)
        peer.listener.close()


def test_reset_at_every_byte():
    cut_everywhere(REPLIES["length"], "reset")


def test_reset_at_every_byte_of_chunks():
    cut_everywhere(REPLIES["chunked"], "reset")


def test_reset_at_every_byte_until_the_end():
    cut_everywhere(REPLIES["until-end"], "reset")


def test_closed_at_many_bytes():
    for reply in REPLIES.values():
        for end in ("close", "goodbye"):
            cut_everywhere(reply, end, 7)


suite.main()
