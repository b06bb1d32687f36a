"""A disk with a volatile write cache, served by NBD: what was written since the last flush is lost, kept or torn when the power goes.

The disk is two files: `stable`, what is surely there, and `view`, what the guest reads (every write). A flush moves the writes since the
last one into `stable`. The server handles one connection and one request at a time, in the caller's thread, so that the caller knows
what had been told on the console before a write arrived. Protocol: the NBD project's doc/proto.md, fixed newstyle, simple replies.
"""
import os
import socket
import struct
import subprocess

EINVAL, ENOSPC = 22, 28
MAGIC, OPTION_MAGIC, REPLY_MAGIC = b"NBDMAGIC", b"IHAVEOPT", 0x3E889045565A9
REQUEST_MAGIC, SIMPLE_REPLY_MAGIC = 0x25609513, 0x67446698
FIXED_NEWSTYLE, NO_ZEROES = 1, 2
HAS_FLAGS, SEND_FLUSH, SEND_FUA = 1, 4, 8
OPT_EXPORT_NAME, OPT_ABORT, OPT_LIST, OPT_INFO, OPT_GO = 1, 2, 3, 6, 7
REP_ACK, REP_SERVER, REP_INFO, REP_ERR_UNSUP, REP_ERR_INVALID = 1, 2, 3, 0x80000001, 0x80000003
INFO_EXPORT, INFO_BLOCK_SIZE = 0, 3
CMD_READ, CMD_WRITE, CMD_DISC, CMD_FLUSH = 0, 1, 2, 3
CMD_FLAG_FUA = 1
MAX_REQUEST = 32 << 20


def copy_sparse(source, target):
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", source, target], check=True)


class Disk:
    """`sector`: the unit that reaches the medium whole or not at all. `recorder(kind, offset, data)` is called for every write and flush."""

    def __init__(self, stable, sector=512, recorder=None):
        self.sector, self.recorder = sector, recorder
        self.path = stable
        self.stable = os.open(stable, os.O_RDWR)
        copy_sparse(stable, stable + ".view")
        self.view = os.open(stable + ".view", os.O_RDWR)
        self.size = os.fstat(self.stable).st_size
        self.pending = []         # (offset, data) since the last flush, in order
        self.durable = []         # those of them that were asked for as durable (FUA)
        self.writes = self.flushes = 0
        self.hold = False         # flushes are answered and move nothing: for looks at a state that must not change

    def close(self):
        os.close(self.stable)
        os.close(self.view)
        os.unlink(self.path + ".view")

    def remove(self):
        self.close()
        os.unlink(self.path)

    def read(self, offset, length):
        data = os.pread(self.view, length, offset)
        return data + bytes(length - len(data))

    def write(self, offset, data, fua=False):
        self.writes += 1
        if self.recorder:
            self.recorder("fua" if fua else "write", offset, data)
        os.pwrite(self.view, data, offset)
        self.pending.append((offset, data))
        # FUA: this write is durable when it is answered, the ones before it are not. It keeps its place among them for the flush.
        if fua and not self.hold:
            os.pwrite(self.stable, data, offset)
            self.durable.append((offset, data))

    def flush(self):
        self.flushes += 1
        if self.recorder:
            self.recorder("flush", 0, b"")
        if self.hold:
            return
        for offset, data in self.pending:
            os.pwrite(self.stable, data, offset)
        self.pending.clear()
        self.durable.clear()

    def settle(self, offset, data):
        """A write that is durable already: for going through a recorded log."""
        os.pwrite(self.stable, data, offset)
        os.pwrite(self.view, data, offset)

    def forget(self):
        """The cache is lost whole."""
        pending, self.pending, self.durable = self.pending, [], []
        for offset, data in pending:
            os.pwrite(self.view, os.pread(self.stable, len(data), offset), offset)

    def pieces(self, offset, data):
        """A write as the sectors it is made of."""
        at = 0
        while at < len(data):
            n = min(self.sector - (offset + at) % self.sector, len(data) - at)
            yield offset + at, data[at:at + n]
            at += n

    def survivors(self, pending, rng):
        """What of `pending` reaches the medium at a power cut, as (offset, data): in any order, or the first so many with the last one torn."""
        if pending and rng.random() < 0.25:
            n = rng.randrange(len(pending))
            torn = list(self.pieces(*pending[n]))
            return pending[:n] + torn[:rng.randrange(len(torn) + 1)]
        chance = rng.choice((0, 0.1, 0.5, 0.9))
        return [p for w in pending for p in self.pieces(*w) if rng.random() < chance]

    def cut(self, rng):
        """The power goes. Returns how many writes were in the cache and how many bytes of them reached the medium."""
        pending, durable = self.pending, self.durable
        kept = self.survivors(pending, rng) + durable  # last: an older write of the same place must not win over a durable one
        self.forget()
        for offset, data in kept:
            os.pwrite(self.stable, data, offset)
            os.pwrite(self.view, data, offset)
        return len(pending), sum(len(d) for _, d in kept)


class ProtocolError(Exception):
    pass


class Server:
    """Listens on a unix socket; `serve_one()` is called when `readable()` is."""

    def __init__(self, path, disk):
        self.disk = disk
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)
        self.connection = None
        self.transmitting = False

    def close(self):
        for s in (self.connection, self.listener):
            if s:
                s.close()
        self.connection = self.listener = None

    def readable(self):
        """The socket to wait for."""
        return self.connection or self.listener

    def serve_one(self):
        """One step: the connection, one option, or one request. A client that breaks the protocol or goes away loses the connection."""
        try:
            if not self.connection:
                self.connection, _ = self.listener.accept()
                self.connection.settimeout(30)
                self._hello()
            elif self.transmitting:
                self._request()
            else:
                self._option()
        except (OSError, EOFError, ProtocolError):
            self._drop()

    def _drop(self):
        if self.connection:
            self.connection.close()
        self.connection = None
        self.transmitting = False

    def _receive(self, n):
        data = bytearray(n)
        view = memoryview(data)
        got = 0
        while got < n:
            k = self.connection.recv_into(view[got:])
            if not k:
                raise EOFError
            got += k
        return bytes(data)

    # ---- the handshake ----------------------------------------------------------------------------------------------

    def _hello(self):
        self.connection.sendall(MAGIC + OPTION_MAGIC + struct.pack(">H", FIXED_NEWSTYLE | NO_ZEROES))
        flags, = struct.unpack(">I", self._receive(4))
        if flags & ~(FIXED_NEWSTYLE | NO_ZEROES) or not flags & FIXED_NEWSTYLE:
            raise ProtocolError("client flags %x" % flags)
        self.no_zeroes = bool(flags & NO_ZEROES)

    def _reply(self, option, kind, data=b""):
        self.connection.sendall(struct.pack(">QIII", REPLY_MAGIC, option, kind, len(data)) + data)

    def _export(self):
        return struct.pack(">QH", self.disk.size, HAS_FLAGS | SEND_FLUSH | SEND_FUA)

    def _option(self):
        magic, option, length = struct.unpack(">8sII", self._receive(16))
        if magic != OPTION_MAGIC or length > 65536:
            raise ProtocolError("not an option")
        data = self._receive(length)
        if option == OPT_EXPORT_NAME:
            self.connection.sendall(self._export() + (b"" if self.no_zeroes else bytes(124)))
            self.transmitting = True
        elif option == OPT_ABORT:
            self._reply(option, REP_ACK)
            raise EOFError
        elif option == OPT_LIST:
            if data:
                self._reply(option, REP_ERR_INVALID)
                return
            self._reply(option, REP_SERVER, struct.pack(">I", 0))
            self._reply(option, REP_ACK)
        elif option in (OPT_INFO, OPT_GO):
            self._info(option, data)
        else:
            self._reply(option, REP_ERR_UNSUP)

    def _info(self, option, data):
        name_length = struct.unpack(">I", data[:4])[0] if len(data) >= 6 else -1
        count = struct.unpack(">H", data[4 + name_length:6 + name_length])[0] if 0 <= name_length <= len(data) - 6 else -1
        if count < 0 or len(data) != 6 + name_length + 2 * count:
            self._reply(option, REP_ERR_INVALID)
            return
        if INFO_BLOCK_SIZE in struct.unpack(">%dH" % count, data[6 + name_length:]):
            self._reply(option, REP_INFO, struct.pack(">HIII", INFO_BLOCK_SIZE, 1, 4096, MAX_REQUEST))
        self._reply(option, REP_INFO, struct.pack(">H", INFO_EXPORT) + self._export())
        self._reply(option, REP_ACK)
        self.transmitting = option == OPT_GO

    # ---- requests ---------------------------------------------------------------------------------------------------

    def _request(self):
        magic, flags, kind, handle, offset, length = struct.unpack(">IHHQQI", self._receive(28))
        if magic != REQUEST_MAGIC or (kind in (CMD_READ, CMD_WRITE) and length > MAX_REQUEST):
            raise ProtocolError("not a request")
        data = self._receive(length) if kind == CMD_WRITE else b""
        if kind == CMD_DISC:
            raise EOFError  # the client waits for its flushes before it goes
        error, reply = self._do(kind, flags, offset, length, data)
        self.connection.sendall(struct.pack(">IIQ", SIMPLE_REPLY_MAGIC, error, handle) + reply)

    def _do(self, kind, flags, offset, length, data):
        if flags & ~CMD_FLAG_FUA or kind not in (CMD_READ, CMD_WRITE, CMD_FLUSH):
            return EINVAL, b""
        if kind == CMD_FLUSH:
            if offset or length:
                return EINVAL, b""
            self.disk.flush()
            return 0, b""
        if length == 0 or offset + length > self.disk.size:
            return ENOSPC if kind == CMD_WRITE and length else EINVAL, b""
        if kind == CMD_READ:
            return 0, self.disk.read(offset, length)
        self.disk.write(offset, data, bool(flags & CMD_FLAG_FUA))
        return 0, b""
