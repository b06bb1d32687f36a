#!/usr/bin/python3
"""kill -9 while the files of a watched folder are taken, at every step of theirs and of the accept sequence: after a restart each file was
taken once, no file is lost, and what gave no page lies aside with its reason. Then the planted bug, which must be caught."""
import io
import os
import re

from PIL import Image

import suite
from service import Service
from steps import steps_of

GOOD = ["a.jpg", "b.jpg", "c.jpg"]


def picture(n):
    out = io.BytesIO()
    image = Image.new("L", (200, 100), 250)
    image.putpixel((n, 3), 0)
    image.save(out, "JPEG")
    return out.getvalue()


FILES = dict({name: picture(n) for n, name in enumerate(GOOD)}, **{"bad.jpg": b"no image, but a letter\n"})


def service(then):
    s = Service(fault=True)
    s.poll = 0.05
    s.inbox = os.path.join(s.folder, "in")
    os.mkdir(s.inbox)
    s.configure({"Service": {"Lab": "yes"}, "Route": {"Backends": "nobody"}, "Backend nobody": {"Kind": "openai", "URL": "http://127.0.0.1:9"},
                 "Watch in": {"Folder": s.inbox, "Then": then, "Settle": "10ms"}})
    for name, data in FILES.items():
        with open(os.path.join(s.inbox, name), "wb") as f:
            f.write(data)
    return s


def names(folder):
    return sorted(n for n in os.listdir(folder) if os.path.isfile(os.path.join(folder, n))) if os.path.isdir(folder) else []


def drained(s, then):
    """Nothing of what was put in is still to be taken."""
    if s.call("Status")["watches"][0]["waiting"]:
        return False
    if then == "move":
        return not names(s.inbox)
    return sorted(r["name"] for r in s.rows("SELECT name FROM taken")) == sorted(FILES)


def until_it_dies(s, then):
    try:
        s.wait(lambda: drained(s, then), 60)
    except OSError:
        pass


def broken_invariants(s, then):
    wrong = []
    pages = s.rows("SELECT name, state, reason, sha256 FROM pages")
    for name in GOOD:
        n = sum(p["name"] == name and p["state"] == "queued" for p in pages)
        if n != 1:
            wrong.append("%s was taken %d times" % (name, n))
    for p in pages:
        if p["name"] not in GOOD and p["name"] != "last.jpg" and not (p["state"] == "held" and p["reason"].startswith("not acknowledged")):
            wrong.append("a page of nothing: %s" % p)
    where = {"move": {"done": GOOD, "rejected": ["bad.jpg"]}, "leave": {".": sorted(FILES)}}[then]
    for folder, expected in where.items():
        found = [n for n in names(os.path.join(s.inbox, folder)) if not n.startswith("last") and not n.endswith(".reason")]
        if found != expected:
            wrong.append("%s holds %s" % (folder, found))
            continue
        for name in found:
            with open(os.path.join(s.inbox, folder, name), "rb") as f:
                if f.read() != FILES[name]:
                    wrong.append("%s is another file" % name)
    if then == "move":
        if names(s.inbox + "/rejected") != ["bad.jpg", "bad.jpg.reason"]:
            wrong.append("no reason beside bad.jpg: %s" % names(s.inbox + "/rejected"))
        elif not open(s.inbox + "/rejected/bad.jpg.reason", encoding="utf-8").read().startswith("not-an-image: "):
            wrong.append("another reason")
    return wrong


def run(then, environment):
    s = service(then)
    try:
        reached = os.path.join(s.folder, "steps")
        if s.start(dict(environment, PAGEFERRY_STEP_LOG=reached)):
            until_it_dies(s, then)
        if s.process.poll() is None:
            s.stop()
        else:
            s.kill()
        s.start()
        s.wait(lambda: drained(s, then), 60)
        # The folder works on, and rows of files that were moved are gone by then.
        with open(s.inbox + "/last.jpg", "wb") as f:
            f.write(picture(50))
        rows = 0 if then == "move" else len(FILES) + 1
        s.wait(lambda: "last.jpg" in [r["name"] for r in s.rows("SELECT name FROM pages")] and len(s.rows("SELECT * FROM taken")) == rows, 60)
        s.stop()
        with open(reached, encoding="utf-8") as f:
            return set(f.read().split()), broken_invariants(s, then)
    finally:
        s.stop()
        s.clean()


def make_step_test(then, step, n):
    def test():
        reached, wrong = run(then, {"PAGEFERRY_FAULT": "kill:%s:%d" % (step, n)})
        assert step in reached, "%s was never reached: %s" % (step, sorted(reached))
        assert not wrong, wrong
    return test


def points():
    for step in steps_of("watch"):
        then = "leave" if step == "watch.refused-noted" else "move"
        yield then, step, 1
        if step in ("watch.started", "watch.moved", "watch.row-removed"):
            yield then, step, 2
    for step in steps_of("kill"):
        if step.startswith("accept."):
            yield "move", step, 2
            yield "leave", step, 1


for _then, _step, _n in points():
    globals()["test_%s_kill_at_%s_%d" % (_then, re.sub("[.-]", "_", _step), _n)] = make_step_test(_then, _step, _n)


def planted(then):
    _, wrong = run(then, {"PAGEFERRY_FAULT": "kill:accept.committed:2", "PAGEFERRY_BUG": "watch-forget-taken"})
    assert any("was taken 2 times" in w for w in wrong), "the planted bug watch-forget-taken was not caught: %s" % wrong
    print("# caught watch-forget-taken: %s" % wrong[0])


def test_planted_bug_watch_forget_taken():
    planted("move")


def test_planted_bug_watch_forget_taken_leave():
    planted("leave")


suite.main()
