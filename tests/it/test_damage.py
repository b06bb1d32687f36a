#!/usr/bin/python3
"""Damage met by the whole service: it starts, serves what is sound, sets the rest aside and says so once. Each thing by itself is in
tests/unit/daemon_damage.c."""
import os
import shutil
import subprocess

import suite
from service import Service, sample
from varlink import VarlinkError


def test_sound_pages_get_done():
    """Everything at once: no database worth the name, a file for a folder, a page cut in half, strangers everywhere."""
    with Service({"Backend ocr": {"Concurrency": "1"}}) as s:
        ids = [s.submit(sample(n))[0] for n in ("receipt-1", "receipt-2", "invoice-1")]
        s.wait_states(ids, {"done"})
        s.wait(lambda: s.call("Status")["counts"]["undelivered"] == 0)
        s.stop()
        for name in os.listdir(s.spool + "/results"):
            os.unlink(os.path.join(s.spool, "results", name))
        with open(s.spool + "/spool.db", "r+b") as f:
            f.write(b"\0" * 8192)
        os.rmdir(s.spool + "/tmp")
        os.truncate(s.spool + "/pages/%s.jpg" % ids[1], 3000)
        for name in ("tmp", "spool.db-shm", "pages/passwd", "types/passwd", "results/passwd"):
            os.symlink("/etc/passwd", os.path.join(s.spool, name))
        os.mkdir(s.spool + "/pages/20200101T000000-aaaaaa.jpg")
        before = len(s.read_log())
        assert s.start()
        s.wait_states([ids[0], ids[2]], {"done"})
        assert ids[1] not in s.pages()
        new = s.submit(sample("receipt-1"))
        s.wait_states(new, {"done"})
        s.wait(lambda: s.call("Status")["counts"]["undelivered"] == 0)
        said = s.read_log()[before:]
        assert said.count("the spool's database is set aside") == 1, said
        aside = sorted(n for n in os.listdir(s.spool + "/quarantine") if not n.startswith("spool.db."))
        assert aside == sorted(n + end for n in ("tmp.aside.0", "spool.db-shm", "passwd", "passwd.1", "20200101T000000-aaaaaa.jpg", ids[1] + ".jpg",
                                                    ids[1] + ".thumbnail.jpg")
                               for end in ("", ".reason")), aside
        s.stop()
        assert s.fsck() == []
        before = len(s.read_log())
        s.start()
        s.wait_states(new, {"done"})
        assert s.stop() == 0
        assert "aside" not in s.read_log()[before:], s.read_log()[before:]


class Mounted:
    """A small file system of its own."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)

    def run(self, *args):
        return subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", check=False)

    def __enter__(self):
        r = self.run("mount", "-t", "tmpfs", "-o", "size=64m,mode=0750", "none", self.folder)
        if r.returncode:
            raise suite.Skip("nothing can be mounted here: " + r.stdout.strip())
        return self

    def __exit__(self, *_):
        self.run("umount", self.folder)

    def remount(self, how):
        r = self.run("mount", "-o", "remount," + how, self.folder)
        assert r.returncode == 0, r.stdout


def served_readonly(s, m, ids):
    m.remount("ro")
    assert s.start(), s.read_log()
    assert set(s.pages()) == set(ids)
    assert s.call("Show", page=ids[0])["results"][0]["version"] == 1
    assert s.call("Status")["lights"]["safe"] == "alarm", s.call("Status")["lights"]
    try:
        s.submit(sample("receipt-2"))
        raise AssertionError("a page was taken on a read-only file system")
    except VarlinkError as e:
        assert "read-only" in str(e.parameters), (e.name, e.parameters)
    m.remount("rw")
    assert s.process.wait(30) != 0, "it ends by itself, to be started anew"
    assert "can be written again" in s.read_log()
    s.stop()
    s.start()
    ids += s.submit(sample("receipt-2"))
    s.wait_states(ids, {"done"})


def test_read_only_file_system():
    if not shutil.which("mount") or os.geteuid() != 0:
        raise suite.Skip("needs root and mount")
    s = Service()
    with Mounted(s.spool) as m:
        try:
            s.start()
            ids = s.submit(sample("receipt-1"))
            s.wait_states(ids, {"done"})
            s.wait(lambda: s.call("Status")["counts"]["undelivered"] == 0)
            s.stop()
            served_readonly(s, m, ids)
            # With what a crash leaves: rows that are in the -wal alone.
            s.wait(lambda: s.call("Status")["counts"]["undelivered"] == 0)
            s.kill()
            assert os.path.getsize(s.spool + "/spool.db-wal") > 0
            served_readonly(s, m, ids)
            s.stop()
            assert s.fsck() == []
        finally:
            s.stop()
    s.clean()


def test_read_only_without_a_spool():
    """Nothing can be made: it says so and ends, and the service manager tries again."""
    if not shutil.which("mount") or os.geteuid() != 0:
        raise suite.Skip("needs root and mount")
    s = Service()
    with Mounted(s.spool) as m:
        m.remount("ro")
        assert not s.start()
        assert "read-only" in s.read_log(), s.read_log()
        s.kill()
    s.clean()


suite.main()
