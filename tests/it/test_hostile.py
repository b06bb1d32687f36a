#!/usr/bin/python3
"""Hostile networks, in a network and mount namespace of its own, so that the strict settings are what is tested: no Lab=, the real
host name, the system's certificates and name service (of the namespace). Whoever sits in the way writes down every byte that comes:
no page and no key is among them, the page stays, and goes when the way is clear. Skipped where namespaces cannot be made."""
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import zlib

import suite
from hostile import EVIL, SECRET, Attacker, House, World, sh
from service import Service, build_folder, sample
from standin_aws import HOST


def check_nothing_in(seen):
    assert SECRET.encode() not in seen and b"/9j/" not in seen and b"\xff\xd8\xff" not in seen and b"Authorization" not in seen, seen[:400]


def rss_anon(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("RssAnon:"))


def submit(s):
    s.submit(sample("receipt-1"), "receipt")


def backend(s):
    return next(b for b in s.call("Status")["backends"] if b["name"] == "sydney")


def is_waiting(s):
    counts = s.call("Status")["counts"]
    assert counts["queued"] == 1 and counts["held"] == 0, counts


def recovers(w, s):
    w.aws.start()
    try:
        s.wait(lambda: s.call("Status")["counts"]["done"] == 1, timeout=60)
    finally:
        w.aws.stop()


world = None


def the_world():
    global world
    world = world or World()
    return world


def fails_before_tls(act, tls=None, service=None):
    """Nothing but a handshake comes to whoever sits there."""
    w = the_world()
    with (service or w.service()) as s:
        with Attacker(act, tls) as a:
            submit(s)
            a.wait(2)
            s.wait(lambda: backend(s)["state"] == "down", timeout=60)
            is_waiting(s)
            check_nothing_in(a.seen)
        recovers(w, s)


def listen(a, connection):
    while a.note(connection.recv(65536)):
        pass


def test_certificate_of_another_name():
    fails_before_tls(listen, the_world().tls("other"))


def test_certificate_of_an_unknown_authority():
    fails_before_tls(listen, the_world().tls("own"))


def test_certificate_that_has_expired():
    fails_before_tls(listen, the_world().tls("expired"))


def test_garbage_before_tls():
    def act(a, connection):
        connection.sendall(os.urandom(4096))
        listen(a, connection)
    fails_before_tls(act)


def test_plain_http_on_the_port():
    def act(a, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        listen(a, connection)
    fails_before_tls(act)


def test_silence_before_tls():
    fails_before_tls(lambda a, connection: threading.Event().wait(5))


def test_half_closed_at_once():
    def act(a, connection):
        connection.shutdown(socket.SHUT_WR)
        listen(a, connection)
    fails_before_tls(act)


def test_names_that_are_not_there():
    w = the_world()
    w.names.answers.pop(HOST)
    try:
        with w.service() as s:
            submit(s)
            s.wait(lambda: backend(s)["state"] == "down", timeout=60)
            is_waiting(s)
            attempts = s.rows("SELECT * FROM attempts WHERE closed_ms IS NOT NULL")
            assert backend(s)["reason"] == "no-name" and attempts, (backend(s), attempts)
            assert all((a["outcome"], a["charged"], a["billed"]) == ("untouched", 0, "no") for a in attempts), attempts
            w.names.answers[HOST] = "127.0.0.1"
            recovers(w, s)
    finally:
        w.names.answers[HOST] = "127.0.0.1"


def test_names_that_are_slow():
    """While a name is being looked up the service does all else; and when it comes the page goes."""
    w = the_world()
    w.slow_names(30)
    w.names.held, w.names.asked = threading.Event(), []
    try:
        with w.service("60s", "60s") as s:
            submit(s)
            s.wait(lambda: HOST in w.names.asked, timeout=60)
            submit(s)  # another page is taken
            status = s.call("Status")
            assert status["counts"]["queued"] == 2 and backend(s)["failed"] == 0 and backend(s)["state"] == "ok", status
            w.aws.start()
            w.names.held.set()
            s.wait(lambda: s.call("Status")["counts"]["done"] == 2, timeout=60)
    finally:
        w.aws.stop()
        w.names.held.set()
        w.names.held = None
        w.slow_names(1)


def test_names_that_never_answer():
    w = the_world()
    w.names.held = threading.Event()
    try:
        with w.service() as s:
            submit(s)
            s.wait(lambda: backend(s)["state"] == "down", timeout=60)
            is_waiting(s)
            w.names.held.set()
            w.names.held = None
            recovers(w, s)
    finally:
        w.names.held = None


def test_names_that_lie():
    """They lead to somebody with a certificate that is in order, but not Amazon's."""
    w = the_world()
    w.names.answers[HOST] = "127.0.0.3"
    try:
        with w.service() as s, Attacker(listen, w.tls("evil"), "127.0.0.3") as a:
            submit(s)
            a.wait(2)
            s.wait(lambda: backend(s)["state"] == "down", timeout=60)
            is_waiting(s)
            check_nothing_in(a.seen)
    finally:
        w.names.answers[HOST] = "127.0.0.1"


def test_proxies_of_the_environment():
    w = the_world()
    proxy = "http://127.0.0.9:3128"
    s = w.service()
    with Attacker(listen, None, "127.0.0.9", 3128) as a:
        try:
            s.start(env={k: proxy for k in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")})
            submit(s)
            recovers(w, s)
            assert a.connections == 0, a.seen
        finally:
            s.stop()
            s.clean()


GROWS_KIB = 65536 if build_folder().endswith("-asan") else 8192  # the sanitizer's allocator keeps what is freed


def answers(reply, timeout="2s", restart=False):
    """The genuine host misbehaves after the request: the page waits, memory stays as it was, and nobody else hears of it."""
    w = the_world()

    def act(a, connection):
        a.request(connection)
        reply(connection)
    with w.service(timeout) as s:
        before = rss_anon(s.process.pid)
        with Attacker(act, w.genuine_tls()) as a, Attacker(listen, w.tls("evil"), "127.0.0.3") as evil:
            submit(s)
            a.wait(1)
            s.wait(lambda: backend(s)["failed"] >= 1, timeout=60)
            is_waiting(s)
            assert evil.connections == 0, "followed to %s" % EVIL
            assert b"/9j/" in a.seen and SECRET.encode() not in a.seen, "the page goes to the genuine host, and is known when it is seen"
            assert EVIL not in w.names.asked, w.names.asked
        assert rss_anon(s.process.pid) - before < GROWS_KIB, (before, rss_anon(s.process.pid))
        if restart:  # the backend is left alone for minutes: it is not well, and this is no passing trouble
            s.stop()
            s.start()
        recovers(w, s)


def test_redirects():
    for status in (301, 302, 307, 308):
        answers(lambda c, status=status: c.sendall(b"HTTP/1.1 %d Elsewhere\r\nLocation: https://%s/\r\nContent-Length: 0\r\n\r\n" % (status, EVIL.encode())), restart=True)


def flood(piece, start):
    def reply(connection):
        connection.sendall(start)
        sent = 0
        while sent < 10 << 30:
            connection.sendall(piece)
            sent += len(piece)
    return reply


def test_ten_gigabytes():
    chunk = b"x" * 65536
    answers(flood(chunk, b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n"), timeout="20s")
    answers(flood(b"10000\r\n" + chunk + b"\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), timeout="20s")


def test_headers_without_end():
    answers(flood(b"X-Long: %s\r\n" % (b"y" * 8000), b"HTTP/1.1 200 OK\r\n"), timeout="20s")


def test_informational_replies_without_end():
    answers(flood(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100, b""), timeout="3s")


def bomb():
    """512 MiB of blanks in half a MiB of gzip: below the cap of a reply."""
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    member = b"".join(pack.compress(b" " * (1 << 20)) for _ in range(256)) + pack.flush()
    return member * 2


def test_bombs_that_nobody_asked_to_unpack():
    """A coding that was not asked for is not undone; one of the transfer is, up to the cap."""
    packed = bomb()
    assert 200_000 < len(packed) < 1 << 20, len(packed)
    for coding in (b"Content-Encoding: gzip", b"Content-Encoding: gzip, gzip, gzip", b"Content-Encoding: deflate", b"Content-Encoding: br"):
        answers(lambda c, coding=coding: c.sendall(b"HTTP/1.1 200 OK\r\n%s\r\nContent-Length: %d\r\n\r\n" % (coding, len(packed)) + packed), timeout="20s")
    answers(lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n" + packed), timeout="20s")


def test_resets_within_the_reply():
    """At some of its bytes, through the whole service; at all of them: test_resets.py."""
    w = the_world()
    whole = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n" + b'{"output":{"message":{"content":[]}}}   '
    cuts = [0, 1, 17, whole.index(b"\r\n\r\n") + 2, whole.index(b"\r\n\r\n") + 4, len(whole) - 20, len(whole) - 1]

    def act(a, connection):
        a.request(connection)
        connection.sendall(whole[:cuts[(a.connections - 1) % len(cuts)]])
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with w.service() as s:
        before = rss_anon(s.process.pid)
        with Attacker(act, w.genuine_tls()) as a:
            submit(s)
            a.wait(len(cuts))
            s.wait(lambda: backend(s)["failed"] >= len(cuts), timeout=60)
            is_waiting(s)
            assert SECRET.encode() not in a.seen
        assert rss_anon(s.process.pid) - before < GROWS_KIB, (before, rss_anon(s.process.pid))
        billed = {r["billed"] for r in s.rows("SELECT billed FROM attempts")}
        assert billed == {"possibly"}, billed
        recovers(w, s)


def test_a_peer_that_reads_nothing():
    """After the handshake: the page's bytes pile up nowhere."""
    def act(a, connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        threading.Event().wait(10)
    w = the_world()
    with w.service() as s:
        before = rss_anon(s.process.pid)
        with Attacker(act, w.genuine_tls()) as a:
            submit(s)
            a.wait(1)
            s.wait(lambda: backend(s)["failed"] >= 1, timeout=60)
            is_waiting(s)
        assert rss_anon(s.process.pid) - before < GROWS_KIB, (before, rss_anon(s.process.pid))
        recovers(w, s)


def test_local_backends_stay_on_their_link():
    """A route that is more particular leads the Jetson's address through a tunnel: what is bound to the link does not take it, also when the link is gone."""
    try:
        sh("ip", "link", "add", "try0", "type", "veth", "peer", "name", "try1")
        sh("ip", "link", "del", "try0")
    except subprocess.CalledProcessError:
        raise suite.Skip("no veth links can be made here") from None
    for name in ("all", "default"):
        with open("/proc/sys/net/ipv4/conf/%s/rp_filter" % name, "w", encoding="ascii") as f:
            f.write("0")
    with House("usb0", "192.168.55.100/24", "192.168.55.1/24") as jetson, House("vpn0", "10.8.0.2/24", "10.8.0.1/24", "192.168.55.1/32") as evil:
        sh("ip", "route", "add", "192.168.55.1/32", "via", "10.8.0.1", "dev", "vpn0")
        socket.create_connection(("192.168.55.1", 8080), 30).close()
        with Service({"Route": {"Backends": "jetson"}, "Backend jetson": {
                "Kind": "openai", "URL": "http://192.168.55.1:8080", "Interface": "usb0", "Backoff": "100ms", "BackoffMax": "200ms", "Timeout": "5s",
                "ConnectTimeout": "2s", "FallbackAfter": "1h", "Tries": "50"}}) as s:
            def jetson_is():
                return next(b for b in s.call("Status")["backends"] if b["name"] == "jetson")
            submit(s)
            s.wait(lambda: "page" in jetson.seen, timeout=60)
            sh("ip", "link", "del", "usb0")
            s.wait(lambda: "cannot be bound to the interface usb0" in jetson_is().get("message", ""), timeout=60)
            is_waiting(s)
        # What is not bound does take it: the tunnel was there all the time, and heard nothing but that.
        socket.create_connection(("192.168.55.1", 8080), 30).close()
        assert set(evil.seen) <= {"other"} and len(evil.seen) <= 2, evil.seen


def drip(start):
    def reply(connection):
        connection.sendall(start)
        ended = threading.Event()
        while not ended.wait(0.2):
            connection.sendall(b"x")
    return reply


def test_slow_headers_and_bodies():
    answers(drip(b"HTTP/1.1 200 OK\r\nX-Slow: "))
    answers(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"))


def test_replies_that_are_none():
    for reply in (b"<html>http 0.9</html>", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
                  b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", b"\0" * 4096, b""):
        answers(lambda c, reply=reply: c.sendall(reply))


def outside():
    """Again, within namespaces; or why not."""
    words = ["unshare", "-nm"] if os.geteuid() == 0 else ["unshare", "-rnm"]
    if subprocess.run(words + ["sh", "-c", "ip link set lo up && mount --bind /etc/hosts /etc/hosts"], capture_output=True, check=False).returncode != 0:
        for name in list(globals()):
            if name.startswith("test_"):
                print("skip %s: no network of our own can be made here (unshare -nm, ip)" % name)
        sys.exit(0)
    os.execvpe(words[0], words + ["sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, os.path.abspath(__file__)] + sys.argv[1:],
               dict(os.environ, HOSTILE_INSIDE="1"))


if os.environ.get("HOSTILE_INSIDE") != "1":
    outside()
try:
    suite.main()
finally:
    if world:
        shutil.rmtree(world.folder, ignore_errors=True)
