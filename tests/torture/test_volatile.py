#!/usr/bin/python3
"""The disk with a volatile cache that `make torture` cuts the power of: what a flush promises, what a cut may leave, and its protocol."""
import os
import random
import socket
import struct
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]

import suite  # noqa: E402
import volatile  # noqa: E402
from record import Promises, Survey, problems  # noqa: E402

SIZE = 1 << 20


class World:
    def __init__(self, sector=4096, recorder=None):
        self.folder = tempfile.TemporaryDirectory(prefix="pageferry-volatile-")
        self.path = self.folder.name + "/disk"
        with open(self.path, "wb") as f:
            f.truncate(SIZE)
        self.disk = volatile.Disk(self.path, sector, recorder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.disk.close()
        self.folder.cleanup()

    def stable(self, offset, length):
        with open(self.path, "rb") as f:
            f.seek(offset)
            return f.read(length)


def test_a_flush_makes_durable_and_nothing_else_does():
    with World() as w:
        w.disk.write(4096, b"a" * 4096)
        assert w.disk.read(4096, 4096) == b"a" * 4096 and w.stable(4096, 4096) == bytes(4096)
        w.disk.flush()
        w.disk.write(8192, b"b" * 4096)
        assert w.stable(4096, 8192) == b"a" * 4096 + bytes(4096)
        w.disk.forget()
        assert w.disk.read(4096, 8192) == b"a" * 4096 + bytes(4096)


def test_a_cut_keeps_what_was_flushed_whatever_the_seed():
    kept, torn = set(), False
    for seed in range(60):
        with World(512) as w:
            w.disk.write(0, b"old" + bytes(4093))
            w.disk.flush()
            w.disk.write(16384, b"x" * 8192)
            w.disk.write(16384, b"y" * 4096)
            w.disk.cut(random.Random(seed))
            assert w.stable(0, 3) == b"old" and not w.disk.pending
            after = w.stable(16384, 8192)
            assert w.disk.read(16384, 8192) == after
            sectors = [after[i:i + 512] for i in range(0, 8192, 512)]
            assert all(len(set(s)) == 1 and s[:1] in b"\0xy" for s in sectors), "a sector is torn"
            kept.add(after)
            torn |= len(set(sectors)) > 1
    assert torn and bytes(8192) in kept and len(kept) > 10


def test_fua_survives_and_an_older_write_does_not_win_over_it():
    for seed in range(40):
        with World() as w:
            w.disk.write(0, b"a" * 4096)
            w.disk.write(0, b"b" * 4096, fua=True)
            w.disk.write(4096, b"c" * 4096)
            w.disk.cut(random.Random(seed))
            assert w.stable(0, 4096) == b"b" * 4096
        with World() as w:
            w.disk.write(0, b"a" * 4096)
            w.disk.write(0, b"b" * 4096, fua=True)
            w.disk.flush()
            assert w.stable(0, 4096) == b"b" * 4096


def test_the_same_seed_keeps_the_same():
    def run(seed):
        with World(512) as w:
            for i in range(20):
                w.disk.write(4096 * i, bytes([i + 1]) * 4096)
            w.disk.cut(random.Random(seed))
            return w.stable(0, SIZE)
    assert run("7/ext4/1") == run("7/ext4/1")
    assert len({run(s) for s in range(8)}) > 4


def test_a_held_disk_does_not_change():
    with World() as w:
        w.disk.settle(0, b"s" * 4096)
        w.disk.hold = True
        w.disk.write(0, b"a" * 4096, fua=True)
        w.disk.flush()
        assert w.disk.read(0, 4096) == b"a" * 4096 and w.stable(0, 4096) == b"s" * 4096
        w.disk.forget()
        assert w.disk.read(0, 4096) == b"s" * 4096


class Client:
    """Speaks to a Server that a thread serves."""

    def __init__(self, world):
        path = world.folder.name + "/nbd"
        self.server = volatile.Server(path, world.disk)
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(20)
        self.over = False
        self.s.connect(path)
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        self.server.serve_one()
        while not self.over and self.server.connection:
            self.server.serve_one()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over = True
        self.s.close()
        self.thread.join(30)
        self.server.close()

    def take(self, n):
        data = b""
        while len(data) < n:
            piece = self.s.recv(n - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def hello(self, flags=3):
        assert self.take(18) == b"NBDMAGICIHAVEOPT\0\3"
        self.s.sendall(struct.pack(">I", flags))

    def option(self, number, data=b"", magic=b"IHAVEOPT"):
        self.s.sendall(magic + struct.pack(">II", number, len(data)) + data)

    def option_reply(self):
        magic, number, kind, length = struct.unpack(">QIII", self.take(20))
        assert magic == 0x3E889045565A9
        return number, kind, self.take(length)

    def go(self):
        self.hello()
        self.option(7, struct.pack(">IHH", 0, 1, 3))
        assert self.option_reply()[:2] == (7, 3)
        number, kind, info = self.option_reply()
        assert (number, kind) == (7, 3) and struct.unpack(">HQH", info) == (0, SIZE, 1 | 4 | 8)
        assert self.option_reply() == (7, 1, b"")

    def request(self, kind, offset=0, length=0, data=b"", flags=0, magic=0x25609513):
        self.s.sendall(struct.pack(">IHHQQI", magic, flags, kind, 77, offset, length) + data)
        reply, error, handle = struct.unpack(">IIQ", self.take(16))
        assert reply == 0x67446698 and handle == 77
        return error, self.take(length) if kind == 0 and not error else b""

    def is_dropped(self):
        try:
            return not self.s.recv(1)
        except ConnectionError:
            return True


def test_requests():
    log = []
    with World(recorder=lambda *entry: log.append(entry)) as w, Client(w) as c:
        c.go()
        assert c.request(1, 512, 3, b"abc")[0] == 0
        assert c.request(0, 511, 5) == (0, b"\0abc\0")
        assert w.stable(512, 3) == bytes(3)
        assert c.request(3)[0] == 0 and w.stable(512, 3) == b"abc"
        assert c.request(1, 0, 2, b"zz", flags=1)[0] == 0 and w.stable(0, 2) == b"zz"
        assert [e[0] for e in log] == ["write", "flush", "fua"]
        assert c.request(1, SIZE - 1, 2, b"zz")[0] == 28 and c.request(0, SIZE, 1)[0] == 22
        assert c.request(0, 0, 1, flags=2)[0] == 22 and c.request(4, 0, 512)[0] == 22 and c.request(3, 1)[0] == 22
        assert c.request(0, 511, 5) == (0, b"\0abc\0")


def test_handshake_is_strict():
    with World() as w, Client(w) as c:
        c.hello(flags=7)
        assert c.is_dropped()
    with World() as w, Client(w) as c:
        c.hello()
        c.option(99)
        assert c.option_reply()[1] == 0x80000001
        c.option(7, b"\0\0\0\7")
        assert c.option_reply()[1] == 0x80000003
        c.option(6, struct.pack(">IH", 0, 0))
        assert c.option_reply()[1] == 3 and c.option_reply()[1] == 1
        c.option(3)
        assert c.option_reply()[1] == 2 and c.option_reply()[1] == 1
        c.option(2)
        assert c.option_reply()[1] == 1 and c.is_dropped()
    with World() as w, Client(w) as c:
        c.hello()
        c.option(7, magic=b"IHAVEOPS")
        assert c.is_dropped()
    with World() as w, Client(w) as c:
        c.hello(flags=1)
        c.option(1)
        assert struct.unpack(">QH", c.take(10)) == (SIZE, 13) and c.take(124) == bytes(124)
        c.s.sendall(struct.pack(">IHHQQI", 0x12345678, 0, 0, 1, 0, 1))
        assert c.is_dropped()


# ---- the judge ----------------------------------------------------------------------------------------------------------

PAGE, DIGEST = "20261121T031205-7kq2mx", "ab" * 32


def survey(*lines):
    s = Survey()
    for line in ("survey 1000",) + lines + ('row ["check","ok"]', "results ", "surveyed"):
        assert s.line(line) or line == "results "
    s.trouble = [t for t in s.trouble if "unreadable survey" not in t[1]]  # an empty archive
    return s


def judged(promises, *lines):
    return [kind for kind, _ in problems(promises, survey(*lines))]


def test_the_judge_knows_lost_corrupt_and_twice():
    p = Promises()
    assert p.line("safe " + PAGE) and p.line("hash %s %s  -" % (PAGE, DIGEST)) and p.safe == {PAGE: DIGEST}
    row = 'row ["page",1,"%s","queued",null,"%s",0]' % (PAGE, DIGEST)
    file = "file %s  pages/%s.jpg" % (DIGEST, PAGE)
    assert judged(p, row, file) == []
    assert judged(p) == ["lost"]
    assert judged(p, row) == ["lost"]
    assert judged(p, file) == ["lost", "corrupt"]
    assert judged(p, row, file.replace("ab", "ac")) == ["corrupt"]
    held = row.replace('"queued",null', '"held","not acknowledged: the service ended while it was accepted"')
    assert judged(p, held, file) == ["lost"]
    assert judged(p, row.replace('"queued",null', '"held","crashed 3 times: so"'), file) == []
    assert judged(p, row, file, "file 00  quarantine/x") == ["corrupt"]
    p.served = [DIGEST]
    assert judged(p, row, file) == ["corrupt"], "a request that the ledger does not know"
    told = p.at()
    told.served, told.done = [], {PAGE}
    assert judged(told, row, file) == ["lost"], "an answer that was announced"
    assert "corrupt" in judged(Promises(), "fsck failed 4") and "corrupt" in judged(Promises(), "spool failed: so")


suite.main()
