#!/usr/bin/python3
"""Watched folders with the real service: only files that are complete, each once, moved or left; what is no image is put aside; a folder
that comes and goes, a spool without room, restarts."""
import os
import shutil
import signal
import subprocess

import suite
from PIL import Image
from service import Service, sample

SMALL = []


def small(n=0):
    """A small JPEG, another one for each n: what is tested is not how well it is read."""
    while len(SMALL) <= n:
        image = Image.new("L", (300, 200), 240)
        image.putpixel((len(SMALL), 5), 0)
        path = "/tmp/pageferry-watch-%d.jpg" % os.getpid()
        image.save(path, quality=70 + len(SMALL) % 20)
        with open(path, "rb") as f:
            SMALL.append(f.read())
        os.unlink(path)
    return SMALL[n]


class Watched(Service):
    """A service with the folder in/; OCR is held back by a route to nobody that answers, so that only the taking is at work."""

    poll = 0.05  # most of what is waited for here is no event

    def __init__(self, keys=None, sections=None, **more):
        super().__init__(**more)
        self.inbox = os.path.join(self.folder, "in")
        os.makedirs(self.inbox, exist_ok=True)
        self.keys = dict({"Folder": self.inbox, "Settle": "20ms"}, **(keys or {}))
        self.sections = dict({"Route": {"Backends": "nobody"}, "Backend nobody": {"Kind": "openai", "URL": "http://127.0.0.1:9", "FallbackAfter": "365d"},
                              "Service": {"Lab": "yes"}, "Watch scanner": self.keys}, **(sections or {}))
        self.configure(self.sections)

    def put(self, name, data):
        """As a program does that writes in place."""
        with open(os.path.join(self.inbox, name), "wb") as f:
            f.write(data)

    def move_in(self, name, data):
        path = os.path.join(self.folder, "moved-" + name)
        with open(path, "wb") as f:
            f.write(data)
        os.rename(path, os.path.join(self.inbox, name))

    def state(self):
        return self.call("Status")["watches"][0]

    def taken(self, n):
        """Waits until n files were taken in this run, and nothing waits."""
        def reached():
            w = self.state()
            return w["taken"] >= n and w["waiting"] == 0 and w
        w = self.wait(reached, 60)
        assert w["taken"] == n, w
        return w

    def names(self, folder=None):
        path = os.path.join(self.inbox, folder) if folder else self.inbox
        return sorted(n for n in os.listdir(path) if os.path.isfile(os.path.join(path, n))) if os.path.isdir(path) else []

    def page_names(self):
        return sorted(r["name"] for r in self.rows("SELECT name FROM pages WHERE source = 'watch'"))

    def taken_rows(self):
        return self.rows("SELECT name, page FROM taken ORDER BY name")


def test_written_and_moved_in():
    with Watched() as s:
        s.put("a.jpg", small())
        s.move_in("b.JPEG", small(1))
        s.taken(2)
        assert s.page_names() == ["a.jpg", "b.JPEG"], s.page_names()
        assert s.names() == [] and s.names("done") == ["a.jpg", "b.JPEG"]
        with open(s.inbox + "/done/a.jpg", "rb") as f:
            assert f.read() == small()
        rows = s.rows("SELECT lane, owner, source FROM pages")
        assert rows == [{"lane": 1, "owner": None, "source": "watch"}] * 2, rows
        assert s.taken_rows() == []
        assert s.call("Status")["lights"]["safe"] == "off"  # the lights speak of the glass
        # An idle watch has nothing open in the folder: it can be unmounted.
        links = "/proc/%d/fd" % s.process.pid
        s.wait(lambda: not [fd for fd in os.listdir(links) if os.path.exists(links + "/" + fd) and os.readlink(links + "/" + fd).startswith(s.inbox)])


def test_files_from_before_the_start():
    with Watched() as s:
        s.stop()
        for n in range(5):
            s.put("%d.jpg" % n, small(n))
        s.start()
        s.taken(5)
        # in the order in which they were written
        assert [r["name"] for r in s.rows("SELECT name FROM pages ORDER BY seq")] == ["%d.jpg" % n for n in range(5)]


def marker(s, name, before):
    """A file that came later was taken: whatever else could be taken was seen by then."""
    s.put(name, small(9))
    s.wait(lambda: s.state()["taken"] == before + 1, 60)


def test_half_written_file_is_not_taken_until_it_is_closed():
    with Watched() as s:
        whole = small()
        with open(s.inbox + "/slow.jpg", "wb") as f:
            f.write(whole[:len(whole) // 2])
            f.flush()
            for n in range(3):  # many times Settle= goes by
                marker(s, "m%d.jpg" % n, n)
            assert "slow.jpg" in s.names() and "slow.jpg" not in s.page_names()
            f.write(whole[len(whole) // 2:])
        s.taken(4)
        assert "slow.jpg" in s.page_names() and s.names("rejected") == []


def test_file_that_is_open_at_the_start_is_not_taken():
    """No event told of its writer: the kernel does, by a lease."""
    with Watched() as s:
        s.stop()
        whole = small()
        with open(s.inbox + "/slow.jpg", "wb") as f:
            f.write(whole[:len(whole) // 2])
            f.flush()
            s.start()
            for n in range(3):
                marker(s, "m%d.jpg" % n, n)
            assert "slow.jpg" in s.names() and "slow.jpg" not in s.page_names()
            f.write(whole[len(whole) // 2:])
        s.taken(4)
        assert "slow.jpg" in s.page_names()


def test_written_in_pieces_by_reopening():
    """A writer that closes between the pieces, faster than Settle=."""
    with Watched({"Settle": "500ms"}) as s:
        whole = small()
        for at in range(0, len(whole), 200):
            with open(s.inbox + "/pieces.jpg", "ab") as f:
                f.write(whole[at:at + 200])
        s.taken(1)
        assert s.names("done") == ["pieces.jpg"]
        with open(s.inbox + "/done/pieces.jpg", "rb") as f:
            assert f.read() == whole


def test_fifty_at_once_and_a_submitter_between():
    with Watched() as s:
        for n in range(50):
            s.move_in("%02d.jpg" % n, small(n % 10))
        ids = s.submit(sample("receipt-1"))  # is not kept waiting by the folder
        assert len(ids) == 1 and s.state()["taken"] < 50, s.state()
        s.taken(50)
        assert len(s.names("done")) == 50 and s.names() == []
        assert s.page_names() == ["%02d.jpg" % n for n in range(50)]


def test_more_files_than_are_looked_at_together():
    with Watched({"Then": "leave"}) as s:
        s.stop()
        for n in range(300):
            s.put("x%03d.jpg" % n, b"no image %d" % n)
        s.put("z.jpg", small())
        s.start()
        w = s.wait(lambda: (lambda w: w["rejected"] == 300 and w["taken"] == 1 and w)(s.state()), 120)
        assert w["waiting"] == 0 or s.wait(lambda: s.state()["waiting"] == 0)
        assert len(s.taken_rows()) == 301


def test_same_name_again():
    with Watched() as s:
        for n in range(3):
            s.move_in("scan.jpg", small(n))
            s.taken(n + 1)
        assert s.page_names() == ["scan.jpg"] * 3
        names = s.names("done")
        ids = {r["page"] for r in s.rows("SELECT page FROM pages")}
        assert len(names) == 3 and "scan.jpg" in names, names
        assert all(n.split(".")[1] in ids for n in names if n != "scan.jpg"), (names, ids)


def test_what_is_no_file_or_no_page_name():
    with Watched() as s:
        os.symlink(sample("receipt-1"), s.inbox + "/link.jpg")
        os.mkfifo(s.inbox + "/pipe.jpg")
        os.mkdir(s.inbox + "/folder.jpg")
        s.put("folder.jpg/inside.jpg", small())
        s.put("empty.jpg", b"")
        for name in (".hidden.jpg", "a.jpg.part", "a.jpg.tmp", "a.jpg.filepart", "a.jpg.crdownload", "a.jpg~", "notes.txt"):
            s.put(name, small())
        marker(s, "m.jpg", 0)
        s.stop()
        s.start()
        marker(s, "m2.jpg", 0)
        assert s.page_names() == ["m.jpg", "m2.jpg"]
        assert sorted(os.listdir(s.inbox)) == sorted([
            "link.jpg", "pipe.jpg", "folder.jpg", "empty.jpg", ".hidden.jpg", "a.jpg.part", "a.jpg.tmp", "a.jpg.filepart", "a.jpg.crdownload", "a.jpg~",
            "notes.txt", "done", "rejected"]), os.listdir(s.inbox)
        assert 1 <= s.read_log().count("no regular file") <= 2  # said once a run
        with open(s.inbox + "/empty.jpg", "wb") as f:  # now it is there
            f.write(small(3))
        s.taken(2)


def test_no_image_is_put_aside_with_its_reason():
    with Watched() as s:
        s.put("text.jpg", b"a letter, and no image\n" * 9)
        s.put("half.jpg", small()[:400])
        s.put("good.jpg", small())
        s.wait(lambda: s.state()["rejected"] == 2)
        s.taken(1)
        assert s.names() == [] and s.names("rejected") == ["half.jpg", "half.jpg.reason", "text.jpg", "text.jpg.reason"]
        with open(s.inbox + "/rejected/text.jpg.reason", encoding="utf-8") as f:
            assert f.read().startswith("not-an-image: "), s.names("rejected")
        s.put("text.jpg", b"another letter\n")
        s.wait(lambda: s.state()["rejected"] == 3)
        assert len(s.names("rejected")) == 6  # the first one is still there
        assert s.page_names() == ["good.jpg"]


def test_left_files_are_taken_once():
    with Watched({"Then": "leave"}) as s:
        for n in range(4):
            s.put("%d.jpg" % n, small(n))
        s.put("text.jpg", b"a letter")
        s.taken(4)
        s.wait(lambda: s.state()["rejected"] == 1)
        for run in range(2):
            s.stop()
            s.start()
            marker(s, "m%d.jpg" % run, 0)
        s.wait(lambda: s.state()["waiting"] == 0)
        assert s.page_names() == ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "m0.jpg", "m1.jpg"]
        assert s.state()["rejected"] == 0 and "text.jpg" in s.names()
        assert not os.path.exists(s.inbox + "/done")
        assert [r["page"] for r in s.taken_rows() if r["name"] == "text.jpg"] == [""]
        # new content under an old name is a new file; a new time too
        s.put("0.jpg", small(7))
        s.taken(2)
        assert s.page_names().count("0.jpg") == 2
        # the row of a file that is gone goes, after the next walk
        os.unlink(s.inbox + "/3.jpg")
        s.stop()
        s.start()
        s.wait(lambda: "3.jpg" not in [r["name"] for r in s.taken_rows()])
        assert len(s.taken_rows()) == 6


def test_empty_mount_point_forgets_nothing():
    """The folder of a stick that is not there: its files must not be new ones when it is back."""
    with Watched({"Then": "leave"}) as s:
        s.put("a.jpg", small())
        s.taken(1)
        s.stop()
        os.rename(s.inbox, s.inbox + ".away")
        os.mkdir(s.inbox)
        s.start()
        s.wait(lambda: s.state()["state"] == "watching")
        s.stop()
        os.rmdir(s.inbox)
        os.rename(s.inbox + ".away", s.inbox)
        s.start()
        marker(s, "m.jpg", 0)
        assert s.page_names() == ["a.jpg", "m.jpg"]


def test_another_folder_in_its_place_while_a_file_is_taken():
    """An empty mount point, or another folder: the file is not gone, and must not be a new one when it is back."""
    for then in "move", "leave":
        another_folder_in_its_place(then)


def another_folder_in_its_place(then):
    with Watched({"Then": then}) as s:
        s.stop()
        away = os.path.join(s.folder, "bin")
        os.mkdir(away)
        # The helper itself puts another folder there, the first time that it is asked for a page.
        with open(away + "/pageferry-capture", "w", encoding="ascii") as f:
            f.write("""#!/usr/bin/python3
import os, socket, sys
asked = socket.socket(fileno=os.dup(0)).recv(4096, socket.MSG_PEEK)
if b'"ingest"' in asked and not os.path.exists("%s/once"):
    open("%s/once", "w").close()
    os.rename("%s", "%s.away")
    os.mkdir("%s")
os.execv("%s/pageferry-capture", ["pageferry-capture"] + sys.argv[1:])
""" % (away, away, s.inbox, s.inbox, s.inbox, os.path.abspath(s.build)))
        os.chmod(away + "/pageferry-capture", 0o755)
        s.sections["Service"]["Helpers"] = away
        s.configure(s.sections)
        s.put("a.jpg", small())
        s.start()
        s.wait(lambda: s.state()["taken"] == 1, 60)
        os.rename(s.inbox, s.inbox + ".empty")
        os.rename(s.inbox + ".away", s.inbox)
        if then == "move":
            s.wait(lambda: s.names() == [], 60)
            assert s.names("done") == ["a.jpg"]
        marker(s, "m.jpg", 1)
        assert s.page_names() == ["a.jpg", "m.jpg"], s.page_names()
        s.wait(lambda: len(s.taken_rows()) == (0 if then == "move" else 2), 60)


def without_leases(s):
    """Files of others tell by events alone who writes them, as they do to the service's own user."""
    if os.geteuid() != 0:
        raise suite.Skip("needs root")
    s.stop()
    wrap = os.path.join(s.folder, "wrap")
    os.mkdir(wrap)
    with open(wrap + "/pageferryd", "w", encoding="ascii") as f:
        f.write("#!/bin/sh\nexec setpriv --inh-caps=-lease --bounding-set=-lease %s/pageferryd \"$@\"\n" % os.path.abspath(s.build))
    os.chmod(wrap + "/pageferryd", 0o755)
    s.sections["Service"]["Helpers"] = os.path.abspath(s.build)
    s.build = wrap
    s.configure(s.sections)
    s.start()


def test_linked_in_under_its_name():
    """A writer that is done and then makes the name by link(): nobody closes it under that name."""
    with Watched() as s:
        without_leases(s)
        path = s.folder + "/elsewhere.jpg"
        with open(path, "wb") as f:
            f.write(small())
        os.chown(path, 65534, 65534)
        os.link(path, s.inbox + "/a.jpg")
        os.unlink(path)
        s.taken(1)
        assert s.names("done") == ["a.jpg"]


def test_events_that_were_lost():
    """Too many of them: the one that told that the file was closed, too."""
    with Watched() as s:
        without_leases(s)
        with open(s.inbox + "/a.jpg", "wb") as f:
            os.chown(s.inbox + "/a.jpg", 65534, 65534)
            f.write(small()[:100])
            f.flush()
            marker(s, "m.jpg", 0)
            s.process.send_signal(signal.SIGSTOP)
            with open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii") as most:
                events = int(most.read()) + 100
            open(s.inbox + "/x", "wb").close()
            for _ in range(events // 4 + 1):
                os.rename(s.inbox + "/x", s.inbox + "/y")
                os.rename(s.inbox + "/y", s.inbox + "/x")
            f.write(small()[100:])
        s.process.send_signal(signal.SIGCONT)
        s.taken(2)
        assert s.names("done") == ["a.jpg", "m.jpg"]


def test_time_beyond_every_clock():
    with Watched() as s:
        s.put("a.jpg", small())
        s.stop()
        s.put("b.jpg", small(1))
        os.utime(s.inbox + "/b.jpg", (12000000000, 12000000000))
        s.start()
        s.wait(lambda: s.names() == [], 60)
        assert s.page_names() == ["a.jpg", "b.jpg"]


def test_folder_goes_and_comes():
    with Watched() as s:
        s.put("a.jpg", small())
        s.taken(1)
        shutil.rmtree(s.inbox)
        w = s.wait(lambda: (lambda w: w["state"] == "missing" and w)(s.state()), 30)
        assert s.inbox in w["message"], w
        os.mkdir(s.inbox)
        s.put("b.jpg", small(1))
        s.taken(2)
        assert s.state()["state"] == "watching"
        os.rename(s.inbox, s.inbox + ".old")  # the watch must not go with it
        os.mkdir(s.inbox)
        s.put("c.jpg", small(2))
        s.taken(3)
        assert s.page_names() == ["a.jpg", "b.jpg", "c.jpg"]
        assert s.read_log().count("watched folder scanner: missing") <= 2


def test_folder_that_is_missing_at_the_start():
    with Watched() as s:
        s.stop()
        os.rmdir(s.inbox)
        s.start()
        assert s.wait(lambda: s.state()["state"] == "missing")
        os.mkdir(s.inbox)
        s.put("a.jpg", small())
        s.taken(1)


def test_no_room_then_room():
    with Watched(sections={"Spool": {"FreeFloor": "1000T"}}) as s:
        s.put("a.jpg", small())
        w = s.wait(lambda: (lambda w: w["state"] == "no-room" and w)(s.state()), 30)
        assert w["waiting"] == 1 and s.names() == ["a.jpg"]
        s.stop()
        assert s.read_log().count("watched folder scanner: no-room") == 1
        s.sections["Spool"] = {"FreeFloor": "1M"}
        s.configure(s.sections)
        s.start()
        s.taken(1)
        assert s.state()["state"] == "watching"


def test_files_that_could_not_be_moved_are_not_taken():
    with Watched() as s:
        s.stop()
        s.put("done", b"a file where a folder should be")
        s.put("a.jpg", small())
        s.start()
        w = s.wait(lambda: (lambda w: w["state"] == "cannot-move" and w)(s.state()), 30)
        assert "/done" in w["message"], w
        assert s.pages() == {}
        os.unlink(s.inbox + "/done")
        s.taken(1)


def test_deleted_before_it_is_taken():
    with Watched({"Settle": "1h"}) as s:
        s.put("a.jpg", small())
        s.wait(lambda: s.state()["waiting"] == 1)
        os.unlink(s.inbox + "/a.jpg")
        s.wait(lambda: s.state()["waiting"] == 0)
        assert s.pages() == {} and s.state()["state"] == "watching"


def test_helper_that_fails_and_recovers():
    """No helper: the file waits and the service does not spin. A file that kills the helper does not stop the others, and is put aside."""
    with Watched(fault=True) as s:
        s.stop()
        away = os.path.join(s.folder, "bin")
        os.mkdir(away)
        s.sections["Service"]["Helpers"] = away
        s.configure(s.sections)
        s.start()
        s.put("a.jpg", small())
        w = s.wait(lambda: (lambda w: w["state"] == "waiting" and w)(s.state()), 30)
        assert "pageferry-capture" in w["message"] or "capture" in w["message"], w
        # one that dies over one file and works else
        with open(away + "/pageferry-capture", "w", encoding="ascii") as f:
            f.write("""#!/usr/bin/python3
import json, os, socket, sys
s = socket.socket(fileno=os.dup(0))
head = s.recv(65536, socket.MSG_PEEK)
if b'"poison.jpg"' in head:
    os.kill(os.getpid(), 9)
os.execv("%s/pageferry-capture", ["pageferry-capture"] + sys.argv[1:])
""" % os.path.abspath(s.build))
        os.chmod(away + "/pageferry-capture", 0o755)
        s.put("poison.jpg", small(1))
        seen = [0]

        def fed():
            n = s.state()["taken"]
            if n != seen[0]:  # others go well meanwhile
                seen[0] = n
                s.put("more%d.jpg" % n, small(2))
            return s.state()["rejected"] == 1
        s.wait(fed, 60)
        assert "poison.jpg" in s.names("rejected") and "a.jpg" in s.page_names()
        with open(s.inbox + "/rejected/poison.jpg.reason", encoding="utf-8") as f:
            assert "signal 9" in f.read()


def test_file_that_changes_while_it_is_read():
    """Written to without an event or a lease that would tell (its time is set back to hide it from a look): not accepted as it was."""
    with Watched(fault=True) as s:
        s.stop()
        away = os.path.join(s.folder, "bin")
        os.mkdir(away)
        # The helper itself appends to the file before it reads it, the first time.
        with open(away + "/pageferry-capture", "w", encoding="ascii") as f:
            f.write("""#!/usr/bin/python3
import os, socket, sys
path = "%s/a.jpg"
asked = socket.socket(fileno=os.dup(0)).recv(4096, socket.MSG_PEEK)
if b'"ingest"' in asked and not os.path.exists("%s/once"):
    open("%s/once", "w").close()
    with open(path, "ab") as f:
        f.write(b"more")
os.execv("%s/pageferry-capture", ["pageferry-capture"] + sys.argv[1:])
""" % (s.inbox, away, away, os.path.abspath(s.build)))
        os.chmod(away + "/pageferry-capture", 0o755)
        s.sections["Service"]["Helpers"] = away
        s.configure(s.sections)
        s.put("a.jpg", small())
        s.start()
        s.taken(1)
        assert "changed while it was read" in s.read_log()
        assert len(s.pages()) == 1 and s.names("done") == ["a.jpg"]
        assert os.path.getsize(s.inbox + "/done/a.jpg") == len(small()) + 4


def test_strange_names():
    names = [b"b\xff\xfe.jpg", "\u202egpj.exe.jpg".encode(), b"new\nline.jpg", b"-rf.jpg", b"x" * 251 + b".jpg"]
    with Watched() as s:
        for n, name in enumerate(names):
            with open(os.path.join(s.inbox.encode(), name), "wb") as f:
                f.write(small(n))
        s.taken(len(names))
        assert sorted(os.listdir(s.inbox.encode() + b"/done")) == sorted(names)
        assert all("\n" not in n and "\u202e" not in n for n in s.page_names())
        for n, name in enumerate(names):
            with open(os.path.join(s.inbox.encode(), name), "wb") as f:
                f.write(small(n + 5))
        s.taken(2 * len(names))
        assert len(os.listdir(s.inbox + "/done")) == 2 * len(names)


def test_folders_that_may_not_be_watched():
    def problem(sections):
        with open(s.config, "w", encoding="utf-8") as f:
            f.write(sections % {"in": s.inbox, "spool": s.spool})
        r = subprocess.run([s.build + "/pageferryd", "-c", s.config, "--check-config"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
                           timeout=20, check=False)
        assert r.returncode != 0, sections
        return r.stderr
    with Watched() as s:
        s.stop()
        # by another path: found when it is opened
        os.mkdir(s.spool + "/sub")
        os.symlink(s.spool + "/sub", s.folder + "/link")
        s.sections["Watch other"] = {"Folder": s.folder + "/link"}
        os.symlink(s.inbox, s.folder + "/twice")
        s.sections["Watch twice"] = {"Folder": s.folder + "/twice"}
        s.configure(s.sections)
        s.start()
        s.wait(lambda: [w["state"] for w in s.call("Status")["watches"]] == ["watching", "refused", "refused"])
        s.stop()
        assert "Folder= is missing" in problem("[Watch a]\nThen=leave\n")
        assert "in the spool's directory" in problem("[Spool]\nDirectory=%(spool)s\n[Watch a]\nFolder=%(spool)s//pages/\n")
        assert "[Watch a] has the same" in problem("[Watch a]\nFolder=%(in)s\n[Watch b]\nFolder=%(in)s/\n")
        assert "moves its files there" in problem("[Watch a]\nFolder=%(in)s\n[Watch b]\nFolder=%(in)s/done\n")
        assert "Then=leave moves no files" in problem("[Watch a]\nFolder=%(in)s\nThen=leave\nDone=x\n")
        assert "without a slash" in problem("[Watch a]\nFolder=%(in)s\nDone=../x\n")
        assert "the same as Done=" in problem("[Watch a]\nFolder=%(in)s\nDone=x\nRejected=x\n")


def test_status_shows_it():
    with Watched() as s:
        s.put("a.jpg", small())
        s.taken(1)
        r = subprocess.run([s.build + "/pageferryctl", "--socket", s.socket, "status"], stdout=subprocess.PIPE, encoding="utf-8", timeout=20, check=True)
        line = [x for x in r.stdout.splitlines() if x.endswith(s.inbox)]
        assert line and line[0].split() == ["scanner", "watching", "0", "1", "0", s.inbox], r.stdout


suite.main()
