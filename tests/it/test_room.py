#!/usr/bin/python3
"""A page that cannot be kept is refused before the shutter, with its own light; accepted pages stay; and scanning goes on by itself when
there is room again. What is delivered ages out by the keep clock alone."""
import contextlib
import os
import sqlite3
import subprocess

import suite
from service import Service, sample
from varlink import VarlinkError

DAY_MS = 86400000
REPLAY = {"Source": "replay:" + os.path.dirname(sample("x"))}


def refused(s, why):
    """A scan is refused, and no helper was started for it."""
    try:
        pages = s.call("Scan")
        raise AssertionError("was not refused: %s" % pages)
    except VarlinkError as e:
        assert e.name == "io.pageferry.NoRoom" and why in e.parameters["message"], (e.name, e.parameters)


def scan_to_its_end(s):
    """The pages that were taken, and the last event."""
    with s.client() as v:
        events = [parameters["event"] for parameters in v.more("io.pageferry.Scan")]
    return {e["page"]["id"] for e in events if e["kind"] == "page-accepted"}, events[-1]


def steps(s):
    with open(os.path.join(s.folder, "steps"), encoding="utf-8") as f:
        return f.read().split()


def lights(s):
    return s.call("Status")["lights"]


def drained(s):
    return all(p["state"] == "done" for p in s.pages().values()) and s.call("Status")["counts"]["undelivered"] == 0


def wind(s, days):
    """Moves the keep clock on, while the service is stopped."""
    with contextlib.closing(sqlite3.connect(s.spool + "/spool.db")) as db:
        db.execute("INSERT INTO meta VALUES ('keep_ms', ?1) ON CONFLICT DO UPDATE SET value = CAST(value AS INTEGER) + ?1", (days * DAY_MS,))
        db.commit()


@contextlib.contextmanager
def small_disk(options, keys):
    """A service whose spool is a file system of its own."""
    s = Service({"Spool": keys, "Capture": {"Source": "replay:" + sample("receipt-2")}}, fault=True)
    try:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", s.spool], stderr=subprocess.DEVNULL, check=False).returncode:
            raise suite.Skip("no right to mount a small file system")
        try:
            s.start({"PAGEFERRY_STEP_LOG": os.path.join(s.folder, "steps")})
            yield s
            assert s.stop() == 0
        finally:
            s.stop()
            subprocess.run(["umount", s.spool], check=True)
    finally:
        s.clean()


def test_the_cap_holds_in_the_middle_of_a_scan():
    """The pages that came before it stay, every one; those that age out make room, nothing else does."""
    with Service({"Spool": {"Cap": "5M"}, "Capture": REPLAY}) as s:
        taken, end = scan_to_its_end(s)
        assert end["reason"] == "no-room" and "the spool is full" in end["message"], end
        assert 1 <= len(taken) < 14, taken
        assert set(s.pages()) == taken
        assert lights(s)["captured"] == "double" and lights(s)["safe"] == "on", lights(s)
        status = s.call("Status")
        assert not status["room"] and "the spool is full" in status["roomReason"], status
        refused(s, "the spool is full")
        s.wait(lambda: drained(s))
        bytes_kept = s.rows("SELECT sum(bytes) AS n FROM pages")[0]["n"]
        assert bytes_kept <= 5 << 20
        s.stop()
        wind(s, 29)
        s.start()
        refused(s, "the spool is full")  # the figure is known at once
        assert set(s.pages()) == taken and len(os.listdir(s.spool + "/pages")) == len(taken)
        s.stop()
        wind(s, 3)  # a delivery's own time is taken for two days later where the clock was not looked at yet
        s.start()
        s.wait(lambda: lights(s)["captured"] != "double" and s.call("Status")["room"])
        assert set(s.pages()) == taken and os.listdir(s.spool + "/pages") == []
        assert len(os.listdir(s.spool + "/results")) == len(taken)
        assert s.submit(sample("receipt-1"))
        s.wait(lambda: drained(s))
        s.stop()
        wind(s, 340)
        s.start()
        s.wait(lambda: len(s.pages()) == 1)
        assert len(os.listdir(s.spool + "/results")) == 1
        assert len(s.rows("SELECT * FROM gone WHERE reason = 'aged out'")) == len(taken)
        assert s.rows("SELECT count(*) AS n FROM attempts WHERE outcome = 'done'")[0]["n"] == len(taken) + 1
        assert s.stop() == 0
        assert s.read_log().count("aged out: ") == 2, s.read_log()  # once for the files, once for the pages, each in a run of its own


def test_the_free_floor_and_back_without_a_restart():
    with small_disk("size=64m", {"FreeFloor": "32M"}) as s:
        ids = s.call("Scan")["pages"]
        filler = s.spool + "/filler"
        with open(filler, "wb") as f:
            f.write(bytes(40 << 20))
        begun = steps(s).count("helper.started")
        refused(s, "must stay free")
        assert steps(s).count("helper.started") == begun
        assert lights(s)["captured"] == "double", lights(s)
        assert list(s.pages()) == ids
        os.unlink(filler)
        s.wait(lambda: lights(s)["captured"] != "double", 30)
        assert s.call("Scan")["pages"]


def fill(path):
    """To the last byte."""
    with open(path, "wb", buffering=0) as f:
        with contextlib.suppress(OSError):
            while True:
                f.write(bytes(4096))


def test_a_start_on_a_disk_without_a_free_block():
    """After a clean end and after a kill: what is there is served, and scanning goes on when there is room."""
    with small_disk("size=64m", {"FreeFloor": "1M"}) as s:
        ids = s.call("Scan")["pages"]
        s.wait(lambda: drained(s))
        for end in (s.stop, s.kill):
            end()
            fill(s.spool + "/filler")
            assert os.statvfs(s.spool).f_bavail == 0
            s.start()
            assert list(s.pages())[-1] == ids[0] and lights(s)["captured"] == "double", lights(s)
            refused(s, "must stay free")
            os.unlink(s.spool + "/filler")
            s.wait(lambda: lights(s)["captured"] != "double", 30)
            assert s.call("Scan")["pages"]
            s.wait(lambda: drained(s))


def test_the_inode_floor():
    with small_disk("size=64m,nr_inodes=400", {"FreeFloor": "1M", "InodeFloor": "100"}) as s:
        ids = s.call("Scan")["pages"]
        os.mkdir(s.spool + "/others")
        while os.statvfs(s.spool).f_favail > 100:
            with open("%s/others/%d" % (s.spool, os.statvfs(s.spool).f_favail), "wb"):
                pass
        refused(s, "too few inodes")
        assert lights(s)["captured"] == "double", lights(s)
        for name in os.listdir(s.spool + "/others"):
            os.unlink(s.spool + "/others/" + name)
        s.wait(lambda: lights(s)["captured"] != "double", 30)
        assert ids[0] in s.pages()


def test_a_page_that_rots_on_the_disk_is_held_before_it_is_sent():
    """The same size, one other bit: what goes out is what was accepted, or nothing."""
    with Service(fault=True) as s:
        s.stop()
        s.start({"PAGEFERRY_FAULT": "kill:accept.announced"})
        try:
            s.submit(sample("receipt-1"))
        except (OSError, VarlinkError):
            pass
        s.process.wait(30)
        s.kill()
        name = s.spool + "/pages/" + os.listdir(s.spool + "/pages")[0]
        with open(name, "r+b") as f:
            f.seek(os.path.getsize(name) // 2)
            byte = f.read(1)
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte[0] ^ 1]))
        s.start()
        s.wait(lambda: all(p["state"] == "held" for p in s.pages().values()))
        page = list(s.pages().values())[0]
        assert page["reason"] == "damaged: its file is not what was accepted", page
        assert s.rows("SELECT count(*) AS n FROM attempts")[0]["n"] == 0


suite.main()
