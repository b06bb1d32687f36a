#!/usr/bin/python3
"""The source of scans: its state in the status, controls that it does not have, and a camera that stays on between scans."""
import json
import os
import signal
import threading

import suite
from service import Service, sample
from varlink import VarlinkError

# A capture helper that answers as a file says; "real" is the real one.
Service.poll = 0.2  # the scanner's state sends no event

SCRIPT = """#!/usr/bin/python3
import json, os, sys, time
folder = os.path.dirname(os.path.abspath(sys.argv[0]))
request = b""
while not request.endswith(b"\\n"):
    request += os.read(0, 1)
request = json.loads(request)
with open(folder + "/requests", "a") as f:
    f.write(json.dumps(request) + "\\n")
for line in open(folder + "/" + request["verb"]):
    if line.strip() == "hang":
        time.sleep(600)
    while line.strip() == "next" and os.read(0, 1) not in (b"\\n", b""):
        pass
    if line.strip() == "next":
        continue
    os.write(1, line.encode())
"""


def say(s, verb, *frames):
    """What the scripted helper answers from now on."""
    path = os.path.join(s.folder, "helpers", verb)
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write("".join((json.dumps(x) if isinstance(x, dict) else x) + "\n" for x in frames))
    os.replace(path + ".new", path)


def failed(reason, message="what it says"):
    return {"type": "end", "ok": False, "reason": reason, "message": message}


def rejected(reason):
    return {"type": "reject", "index": 1, "name": "camera", "reason": reason, "message": "no page: " + reason}


OK = {"type": "end", "ok": True}


def scripted(keys=None):
    s = Service()
    os.makedirs(os.path.join(s.folder, "helpers"))
    with open(os.path.join(s.folder, "helpers", "pageferry-capture"), "w", encoding="utf-8") as f:
        f.write(SCRIPT)
    os.chmod(os.path.join(s.folder, "helpers", "pageferry-capture"), 0o755)
    s.configure({"Service": {"Helpers": os.path.join(s.folder, "helpers")}, "Capture": dict({"Source": "v4l2:/dev/video0"}, **(keys or {}))})
    say(s, "probe", OK)
    say(s, "scan", OK)
    return s


def scanner(s):
    return s.call("Status")["scanner"]


def wait_state(s, state):
    return s.wait(lambda: scanner(s)["state"] == state and scanner(s))


def scan(s):
    """Pages, or the error's name."""
    try:
        return s.call("Scan").get("pages")
    except VarlinkError as e:
        return e.name


def test_the_state_is_known_at_start():
    with Service({"Capture": {"Source": "replay:" + sample("receipt-1")}}) as s:
        assert wait_state(s, "ok")["failures"] == 0
    with Service({"Capture": {"Source": "replay:/nonexistent"}}) as s:
        assert "/nonexistent" in wait_state(s, "no-device")["message"]
    with Service({"Capture": {"Source": "v4l2:/dev/null"}}) as s:
        state = wait_state(s, "no-device")
        assert "not a video device" in state["message"] and state["source"] == "v4l2:/dev/null", state


def test_one_line_a_change_and_a_counter():
    s = scripted()
    with s:
        wait_state(s, "ok")
        for n, (frames, state) in enumerate([([rejected("no-signal"), OK], "no-signal"), ([rejected("no-signal"), OK], "no-signal"),
                                             ([failed("busy")], "busy"), ([rejected("damaged"), OK], "failing"), ([failed("no-device")], "no-device")]):
            say(s, "scan", *frames)
            scan(s)
            now = scanner(s)
            assert now["state"] == state and now["failures"] == n + 1, (now, state)
        assert s.read_log().count("scanner: no-signal") == 1, s.read_log()
        say(s, "scan", failed("bad-request"))  # says nothing about the camera
        scan(s)
        assert scanner(s)["state"] == "no-device" and scanner(s)["failures"] == 5


def test_a_stuck_driver():
    s = scripted({"HelperTimeout": "1s"})
    with s:
        wait_state(s, "ok")
        say(s, "scan", "hang")
        scan(s)
        assert scanner(s)["state"] == "stuck", scanner(s)
        say(s, "scan", failed("busy"))  # it was ended, and the next scan begins anew
        scan(s)
        assert scanner(s)["state"] == "busy", scanner(s)


def test_controls_are_asked_for_and_what_fails_is_named():
    s = scripted({"Controls": "gain=3 focus=no"})
    say(s, "probe", {"type": "control", "name": "gain", "message": "the device has no such control"}, OK)
    with s:
        wait_state(s, "ok")
        scan(s)
        assert "[Capture] Controls=: gain: the device has no such control" in s.read_log()
        with open(os.path.join(s.folder, "helpers", "requests"), encoding="utf-8") as f:
            asked = [json.loads(line) for line in f]
        assert [(a["verb"], a["controls"]) for a in asked] == [("probe", "gain=3 focus=no"), ("scan", "gain=3 focus=no")], asked


def children(s):
    with open("/proc/%d/task/%d/children" % (s.process.pid, s.process.pid), encoding="ascii") as f:
        return [int(p) for p in f.read().split()]


def warm_service():
    s = Service({"Capture": {"Source": "replay:" + sample("receipt-1"), "KeepWarm": "10min"}, "Route": {"Backends": "ocr"}})
    s.start()
    wait_state(s, "ok")
    return s


def program(pid):
    try:
        return os.readlink("/proc/%d/exe" % pid)
    except FileNotFoundError:  # it is gone, or about to be reaped
        return ""


def capture_children(s):
    return [p for p in children(s) if program(p).endswith("pageferry-capture")]


def test_a_helper_that_stays_takes_the_next_scan():
    s = warm_service()
    try:
        pids = set()
        for _ in range(3):
            assert len(scan(s)) == 1
            pids.update(capture_children(s))
        assert len(pids) == 1, pids
        assert len(s.pages()) == 3
    finally:
        s.stop()
        s.clean()


def test_a_helper_that_is_gone_is_started_again():
    s = warm_service()
    try:
        assert len(scan(s)) == 1
        old, = capture_children(s)
        os.kill(old, signal.SIGKILL)
        s.wait(lambda: not capture_children(s))
        assert len(scan(s)) == 1
        new, = capture_children(s)
        # And if it ends just when it is asked: it is stopped here, so that the request is on its way when it goes.
        os.kill(new, signal.SIGSTOP)
        got = []
        t = threading.Thread(target=lambda: got.append(scan(s)))
        t.start()
        s.wait(lambda: s.call("Status")["lights"]["captured"] == "blink")
        os.kill(new, signal.SIGKILL)
        t.join(60)
        assert len(got[0]) == 1, got
        assert len(s.pages()) == 3
    finally:
        s.stop()
        s.clean()


# ---- pages that are taken by themselves ---------------------------------------------------------------------------------

def frame(what, shift=0):
    """320x240 in grey: a desk, a page with one of two writings on it, or a page on its way."""
    rows = []
    for y in range(240):
        row = bytearray(b"\x5a" * 320)
        if what != "desk" and 20 <= y < 220:
            row[60 + shift:260 + shift] = b"\xd8" * 200
            if y % 12 < 6:
                for x in range(70, 240 if what == "a" else 150 + y % 60, 4):
                    row[x + shift:x + shift + 2] = b"\x30\x30"
        rows.append(bytes(row))
    return b"".join(rows)


def recording(s):
    """A page is laid down, rests and is taken away; another one comes in its place. As frames of a tenth of a second."""
    folder = os.path.join(s.folder, "frames")
    os.makedirs(folder)
    film = ["desk"] * 10 + [("a", 30), ("a", 20), ("a", 10)] + ["a"] * 15 + ["desk"] * 10 + [("b", 40), ("b", 20)] + ["b"] * 30
    for n, what in enumerate(film):
        with open("%s/%03d-320x240.grey" % (folder, n), "wb") as f:
            f.write(frame(*(what if isinstance(what, tuple) else (what,))))
    return folder


def automatic(**spool):
    s = Service()
    s.configure({"Capture": {"Source": "replay:" + recording(s), "Auto": "yes", "BlankPages": "ignore"}, "Route": {"Backends": "ocr"}, "Spool": spool})
    return s


def test_each_page_that_rests_is_taken_once():
    s = automatic()
    with s:
        s.wait(lambda: len(s.pages()) == 2)
        s.wait(lambda: not capture_children(s))  # the recording is over
        names = [r["name"] for r in s.rows("SELECT name FROM pages ORDER BY seq")]
        assert len(names) == 2 and 13 < int(names[0][:3]) < 28 and 39 < int(names[1][:3]) < 60, names
        assert scanner(s)["state"] == "ok"


def test_without_room_a_page_waits_on_the_glass():
    s = automatic(Cap=str((4 << 20) + 2000))  # room is for 4 MiB: none, once there is a page
    with s:
        s.wait(lambda: "refused before the shutter" in s.read_log())
        first, = s.wait_states(s.pages(), {"done"})
        s.wait(lambda: s.call("Status")["counts"]["undelivered"] == 0)
        s.call("Drop", pages=[first], reason="makes room")
        s.wait(lambda: [p for p in s.pages() if p != first])  # it is asked for again while it rests
        assert s.read_log().count("refused before the shutter") == 1, s.read_log()
        assert [r["name"][:3] > "040" for r in s.rows("SELECT name FROM pages")] == [True]


def test_a_watch_that_fails_begins_again():
    s = scripted({"Auto": "yes"})
    say(s, "watch", failed("no-device"))
    with s:
        def watches():
            with open(os.path.join(s.folder, "helpers", "requests"), encoding="utf-8") as f:
                return sum(json.loads(line)["verb"] == "watch" for line in f)
        wait_state(s, "no-device")
        s.wait(lambda: watches() >= 3)
        assert s.read_log().count("scanner: no-device") == 1, s.read_log()
        assert scanner(s)["failures"] == 0  # no scan was tried
        say(s, "watch", {"type": "idle"}, "hang")
        wait_state(s, "ok")
        assert s.stop() == 0  # nothing holds it up


def test_a_word_of_the_watch_does_not_end_the_scan_it_crosses():
    s = scripted({"Auto": "yes"})
    idle = {"type": "idle"}
    say(s, "watch", idle, "next", idle, rejected("no-signal"), idle, "hang")
    with s:
        wait_state(s, "ok")
        with s.client() as c:
            events = [r["event"] for r in c.more("io.pageferry.Scan")]
        assert [e["kind"] for e in events] == ["scan-started", "page-rejected", "scan-ended"], events
        assert scanner(s)["failures"] == 1


suite.main()
