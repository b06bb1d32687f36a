#!/usr/bin/python3
"""100,000 pages: READY within 2 s of an empty spool's, private memory within 2 MiB, as many open files, in every shape that a long outage leaves.
Prints the figures that docs/benchmarks.md reports; PAGES= for another number (make check-full: 20,000)."""
import os
import sqlite3
import time

import suite
from backlog import Backlog
from service import build_folder, descriptors, private_dirty

N = int(os.environ.get("PAGES", "100000"))
ASAN = build_folder().endswith("-asan")  # its allocator keeps what is freed
LOOP_MS = 200  # beyond what the same disk stalls an empty spool
RUNS = 5


def median(values):
    return sorted(values)[len(values) // 2]


def ms(seconds):
    return "%.0f ms" % (1000 * seconds)


def timed(fn, *args, **more):
    began = time.monotonic()
    fn(*args, **more)
    return time.monotonic() - began


def starts(s):
    """Start to READY, each time anew; the service is stopped after it."""
    def once():
        seconds = timed(s.start)
        assert s.stop() == 0
        return seconds
    return median([once() for _ in range(RUNS)])


def cpu_s(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii") as f:
        stat = f.read().rsplit(")", 1)[1].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def settle(s):
    """Waits until recovery has ended: nothing is left to do but to wait, seen by the CPU. The seconds since this call, and of CPU."""
    began, last = time.monotonic(), cpu_s(s.process.pid)
    quiet = began
    while time.monotonic() - quiet < 1.0:
        time.sleep(0.1)
        now = cpu_s(s.process.pid)
        if now > last + 0.01:
            quiet = time.monotonic()
        last = max(now, last)
    return quiet - began, last


class Empty:
    """The same service with one page that waits, for comparison."""

    def __init__(self):
        with Backlog() as b:
            b.fill(1)
            self.ready = starts(b.service)
            b.service.start()
            settle(b.service)
            self.memory, self.fds = private_dirty(b.service.process.pid), descriptors(b.service.process.pid)
            self.stall = b.service.call("Status")["stallMaxMs"]
        print("empty: READY %s, private %d KiB, %d descriptors" % (ms(self.ready), self.memory, self.fds), flush=True)


empty = None


def check(b, shape):
    global empty
    empty = empty or Empty()
    s = b.service
    ready = starts(s)
    s.start()
    settled, cpu = settle(s)
    pid = s.process.pid
    memory, fds, stall = private_dirty(pid), descriptors(pid), s.call("Status")["stallMaxMs"]
    status = median([timed(s.call, "Status") for _ in range(20)])
    listed = median([timed(s.call, "List", limit=200) for _ in range(20)])
    print("%s: READY %s, recovered after %.1f s (CPU %.2f s), private %d KiB, %d descriptors, longest turn %d ms, Status %.1f ms, List of 200 %.1f ms" % (
        shape, ms(ready), settled, cpu, memory, fds, stall, 1000 * status, 1000 * listed), flush=True)
    assert ready <= empty.ready + 2, (ready, empty.ready)
    assert ASAN or memory <= empty.memory + 2048, (memory, empty.memory)
    assert fds == empty.fds, (fds, empty.fds)
    assert stall <= empty.stall + LOOP_MS, (stall, empty.stall)


def scan_while_it_waits(b, shape):
    """The backend is back: how long does a page that is submitted now take, and how fast do the others go?"""
    s = b.service
    s.wait(lambda: any(k["name"] == "jetson" and k["state"] == "down" for k in s.call("Status")["backends"]))
    b.backend.start()
    s.wait(lambda: any(k["name"] == "jetson" and k["state"] == "ok" for k in s.call("Status")["backends"]))
    done = s.call("Status")["counts"]["done"]
    seconds = []
    began = time.monotonic()
    for _ in range(10):
        t = time.monotonic()
        s.wait_page(s.submit(b.page, "receipt")[0], "done")
        seconds.append(time.monotonic() - t)
    others = s.call("Status")["counts"]["done"] - done - 10
    print("%s: a page submitted now is done after %s (median of 10, longest %s); %.0f pages of the backlog a second meanwhile" % (
        shape, ms(median(seconds)), ms(max(seconds)), others / (time.monotonic() - began)), flush=True)
    print("%s: after it private %d KiB, longest turn %d ms, -wal %d KiB" % (shape, private_dirty(s.process.pid), s.call("Status")["stallMaxMs"],
                                                                         os.path.getsize(s.spool + "/spool.db-wal") // 1024), flush=True)
    assert os.path.getsize(s.spool + "/spool.db-wal") <= 4 << 20
    assert ASAN or private_dirty(s.process.pid) <= empty.memory + 2048
    s.stop()
    b.backend.stop()


def reshape(b, sql):
    db = sqlite3.connect(b.service.spool + "/spool.db", isolation_level=None)
    db.executescript(sql)
    db.close()


def test_queued_in_every_shape():
    with Backlog() as b:
        print("written in %.0f s" % timed(b.fill, N, lambda i: {"failed": True, "of": i % 2}), flush=True)
        reshape(b, "UPDATE pages SET job = (SELECT min(job) FROM pages) WHERE state = 'queued'")
        check(b, "one class")
        scan_while_it_waits(b, "one class")
        reshape(b, "UPDATE pages SET lane = seq % 2, job = seq / 2 % 2 + (SELECT min(id) FROM jobs), tries = seq % 6, tried_ms = seq % 6 * seq"
                   " WHERE state = 'queued'")
        check(b, "both lanes, two jobs, 0 to 5 tries")
        scan_while_it_waits(b, "both lanes, two jobs, 0 to 5 tries")
        reshape(b, "UPDATE pages SET lane = 1, tries = 1, tried_ms = seq WHERE state = 'queued'")
        check(b, "each has failed once")
        scan_while_it_waits(b, "each has failed once")
        reshape(b, "UPDATE pages SET state = 'held', reason = 'refused: a test' WHERE state = 'queued'")
        check(b, "held")
        b.service.stop()


def test_answered():
    with Backlog() as b:
        b.fill(N, lambda i: {"state": "done", "answered": "jetson"})
        check(b, "done and delivered")
        b.service.stop()
        reshape(b, "UPDATE pages SET state = 'provisional', kept_ms = NULL, lane = seq % 2; UPDATE attempts SET backend = 'ocr'")
        check(b, "provisional")
        scan_while_it_waits(b, "provisional")


suite.main()
