#!/usr/bin/python3
"""Every row of docs/errors.md is played to the real service, and what it makes of it is what the row says: what becomes of the page and of the backend,
how long it waits, what may have been billed, and what the operator is told. A page goes down a route of seven backends, each of which plays a row."""
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from PIL import Image

import suite
from service import ROOT, Service, sample
from standin_aws import write_keys
from standin_errors import ErrorStandin, Play, Row, play_of, rows

BACKENDS = 7       # of one service, beside its own OCR
SERVICES = 4       # at once: they mostly wait
LONG_MS = 3_600_000 # a backoff that no test waits for
TRIES = 3
# Names that are not there are played in a network of its own (test_hostile.py). No exchange of this program ends in the other two ways: the guard is
# asked before one begins, and one that is cancelled is not judged.
NOT_HERE = {"no name", "denied by the guard", "cancelled"}

FOLDER = tempfile.TemporaryDirectory(prefix="pageferry-errors-", dir="/tmp")
AWS = ErrorStandin(FOLDER.name)
KEYS = write_keys(FOLDER.name, AWS.credentials)
LARGE, LARGE_TOO = (os.path.join(FOLDER.name, n) for n in ("large.jpg", "large-too.jpg"))
# More than fits in any buffer on the way.
for seed, path in ((1, LARGE), (2, LARGE_TOO)):
    Image.frombytes("L", (1400, 2000), random.Random(seed).randbytes(1400 * 2000)).save(path, quality=80)


def original(status):
    return Play(status=424, kind="ModelErrorException", message="The model failed.", more={"originalStatusCode": status, "resourceName": "model"})


# What docs/errors.md says above its table: the status of the model's own server; and a server's hint, which makes a wait longer.
MORE = [
    ("| 424 | `ModelErrorException` | 413 | next | ok | backoff | perhaps | `too-large`, smaller | the page is too large for the model |", original(413)),
    ("| 424 | `ModelErrorException` | 429 | untouched | busy | throttled | perhaps | `throttled` | the model's server asks to slow down |", original(429)),
    ("| 424 | `ModelErrorException` | 422 | next | ok | backoff | perhaps | `model-error` | the model refuses this page |", original(422)),
    ("| 424 | `ModelErrorException` | 500 | retry | ok | backoff | perhaps | `model-error`, once | the model failed on this page |", original(500)),
    ("| 429 | `ThrottlingException` | | untouched | busy | throttled, 4 s | no | `throttled` | AWS asks to slow down |",
     Play(status=429, kind="ThrottlingException", message="Too many requests", headers={"x-amz-retry-after": "4000"})),
    ("| 429 | | | untouched | busy | throttled, 3 s | no | `throttled` | AWS asks to slow down |", Play(status=429, headers={"Retry-After": "3"})),
]


class Part:
    """A row, the backend that plays it, and what may be seen of it."""

    def __init__(self, row, play):
        self.row, self.play = row, play

    def quick(self):
        return self.row.wait in ("transient", "throttled") and not self.row.least_ms

    def is_ambiguous(self):
        """May be the page's fault: the backend is down when a second page fails."""
        return self.play.status >= 500 or self.play.how in ("silent", "silent-upload", "cut", "cut-upload")

    def is_sent(self):
        return self.play.how not in ("no-connection", "other-name")

    def section(self, i):
        """Of the configuration. What is charged to the page is asked again soon; a backend in trouble by its own backoff is not."""
        backoff = ("10ms", "20ms") if self.row.backend == "ok" or self.row.wait in ("pause", "loading") else ("%dms" % LONG_MS, "%dms" % LONG_MS)
        connect = "127.0.0.1:%d" % AWS.open(self.play)
        return {"Kind": "bedrock", "Model": "amazon.nova-pro-v1:0", "Credentials": "keys%d" % i, "ConnectTo": connect, "CAFile": AWS.ca_file,
                "Backoff": backoff[0], "BackoffMax": backoff[1], "FallbackAfter": "0s", "Timeout": "1s" if "silent" in self.play.how else "20s",
                "Tries": str(TRIES)}

    def gets_smaller(self):
        return self.row.smaller and self.row.page == "next"

    def least_attempts(self):
        if self.gets_smaller():
            return 2
        if self.row.wait == "again" or (self.row.page == "retry" and self.row.once):
            return 2
        if self.row.page == "retry" and self.row.backend == "ok":
            return TRIES
        if self.is_ambiguous() and self.row.backend == "down":
            return 2
        return 3 if self.quick() else 1

    def most_attempts(self):
        """None: quick tries of each page; a wait of seconds may be over before it is looked at. By chance a long backoff is short, too, but hardly twice."""
        if self.quick() or self.is_ambiguous() or self.row.backend == "busy" or self.gets_smaller():
            return None
        return self.least_attempts() + (self.row.backend == "down" and self.row.wait != "pause")


OK = Part(rows()[-1], Play("ok"))
OK.row.backend = "ok"


def parts():
    out = []
    for i, row in enumerate(rows()):
        play = play_of(row, i)
        assert play or row.status in NOT_HERE, row.name
        if play:
            out.append(Part(row, play))
    return out + [Part(Row(line), play) for line, play in MORE]


def test_each_row_is_met():
    """Nothing before a row takes what is made for it: the rows are in order, and what is played is what is meant."""
    table = rows()
    assert len(table) > 100, len(table)
    for i, row in enumerate(table):
        play = play_of(row, i)
        if not row.is_transport():
            first = next(r for r in table if r.takes(play.status, play.kind, play.message))
            assert first is row or first.name == row.name, "%s is taken by %s" % (row.name, first.name)


def test_each_reason_is_explained():
    with open(os.path.join(ROOT, "docs/operating.md"), encoding="utf-8") as f:
        section = f.read().split("## Why a backend waits")[1].split("\n## ")[0]
    explained = {r for line in section.splitlines() if line.startswith("| `") for r in re.findall(r"`([^`]+)`", line.split("|")[1])}
    missing = {r.reason for r in rows() if r.backend != "ok"} - explained
    assert not missing, missing


class Chain:
    """A service whose route is these parts."""

    def __init__(self, chain):
        self.chain = chain
        sections = {"Service": {"Lab": "yes"}, "Route": {"Backends": " ".join(self.name(i) for i in range(len(chain)))}}
        for i, part in enumerate(chain):
            sections["Backend " + self.name(i)] = part.section(i)
            sections["Credentials keys%d" % i] = {"Source": "file", "File": KEYS}
        self.service = Service(sections)

    @staticmethod
    def name(i):
        return "row%d" % i

    def __enter__(self):
        assert self.service.start(), self.service.read_log()
        return self

    def __exit__(self, *_):
        self.service.kill()
        self.service.clean()

    def attempts(self, i):
        return self.service.rows("SELECT * FROM attempts WHERE backend = ? AND closed_ms IS NOT NULL ORDER BY id", self.name(i))

    def backends(self):
        return {b["name"]: b for b in self.service.call("Status")["backends"]}

    def settled(self):
        """All have played, and those that are in trouble say so."""
        said = self.backends()
        return all(len(self.attempts(i)) >= p.least_attempts() and said[self.name(i)]["state"] == p.row.backend for i, p in enumerate(self.chain)) and said

    def ctl(self, *args):
        r = subprocess.run([os.path.join(self.service.build, "pageferryctl"), "--socket", self.service.socket, *args], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", timeout=60, check=False)
        assert r.returncode == 0, r
        return r.stdout


def check_attempts(part, attempts):
    row = part.row
    if part.gets_smaller():
        for a in attempts[:-1]:
            assert (a["outcome"], a["charged"]) == ("retry", 0), a  # it is made smaller, and asked again
    for n, a in enumerate(attempts):
        assert a["reason"] == row.reason, a
        assert a["message"].startswith(row.advice), a
        assert a["billed"] == ("possibly" if row.billed == "perhaps" or (row.billed == "if sent" and part.is_sent()) else "no"), a
        assert a["reserved_pusd"] > 0 and a["settled_pusd"] == (a["reserved_pusd"] if a["billed"] == "possibly" else 0), a
        assert a["http_status"] == (part.play.status or None) or part.play.how in ("cut", "huge", "redirect"), a
        if row.backend == "down":
            # a page that fails alone is charged; a second one shows that it was the backend
            assert (a["outcome"], a["charged"]) == ("untouched", 0) or (n == 0 and (a["outcome"], a["charged"]) == (row.page, 1)), (n, a)
        elif not part.gets_smaller() or n == len(attempts) - 1:
            assert (a["outcome"], a["charged"]) == (row.page, int(row.page != "untouched")), a
    assert len(attempts) >= part.least_attempts(), attempts
    assert part.most_attempts() is None or len(attempts) <= part.most_attempts(), attempts


def check_least(part, attempts, wait_ms):
    """Between two requests at least so long, and for that much longer at least until the next, however slow this test is."""
    ends = [a["opened_ms"] for a in attempts[1:]] + [time.time() * 1000 + wait_ms]
    for n, a in enumerate(attempts):
        if part.row.wait != "again" or n > 0:
            assert ends[n] - a["closed_ms"] > part.row.least_ms - 100, (n, attempts, wait_ms)


def check_backend(part, said, attempts):
    row = part.row
    assert said["state"] == row.backend, said
    if row.backend == "ok":
        return
    assert said["reason"] == row.reason and said["message"].startswith(row.advice), said
    wait_ms = said.get("retryInMs", 0)  # none while it is asked again
    check_least(part, attempts, wait_ms)
    assert wait_ms <= (row.least_ms * 1.25 if row.wait == "pause" else LONG_MS + 5000), said


def play(chain):
    with Chain(chain) as c:
        s = c.service
        large = any(p.play.how.endswith("-upload") for p in chain)
        pages = (LARGE, LARGE_TOO) if large else (sample("receipt-1"), sample("receipt-2"))
        ids = s.submit(pages[0], "receipt")
        if any(p.is_ambiguous() and p.row.backend == "down" for p in chain):
            ids += s.submit(pages[1], "receipt")
        said = s.wait(c.settled, timeout=60)
        for i, part in enumerate(chain):
            try:
                attempts = c.attempts(i)
                if part is not OK:
                    check_backend(part, said[c.name(i)], attempts)
                    check_attempts(part, attempts)
            except Exception as e:
                raise AssertionError("%s: %s" % (part.row.name, e)) from e
        check_told(c, ids)


def check_told(c, pages):
    """In words, by pageferryctl: what each backend in trouble wants done, and in `show` what each said of the page."""
    def words(text):
        return " ".join(text.split())
    status, show = words(c.ctl("status")), words(" ".join(c.ctl("show", page) for page in pages))
    for part in c.chain:
        if part is OK:
            continue
        assert part.row.backend == "ok" or words(part.row.advice) in status, (part.row.name, status)
        assert words(part.row.advice) in show, (part.row.name, show)


def chains():
    """Rows of backends that are down, six and one that is busy (at which the page waits); and rows that are the page's own, to the one that answers. What
    charges a page before it is known that the backend is down comes late, since the page would wait for the long backoff of those behind."""
    left = [p for p in parts() if p.play.how != "shrink"]
    charged = [p for p in left if p.row.backend == "down" and p.row.page == "retry"]
    down, busy, ok = ([p for p in left if p.row.backend == state and p not in charged] for state in ("down", "busy", "ok"))
    out = []
    for p in charged:
        out.append(down[:BACKENDS - 2] + [p, OK])
        down = down[BACKENDS - 2:]
    while down or busy:
        out.append(down[:BACKENDS - 1] + (busy[:1] or [OK]))
        down, busy = down[BACKENDS - 1:], busy[1:]
    while ok:
        out.append(ok[:BACKENDS - 1] + [OK])
        ok = ok[BACKENDS - 1:]
    return out


def play_all(every):
    failures, left, lock = [], list(every), threading.Lock()

    def worker():
        while True:
            with lock:
                if not left:
                    return
                chain = left.pop(0)
            try:
                play(chain)
            except Exception as e:
                failures.append("%s: %s: %s" % (chain[0].row.name, type(e).__name__, e))
                traceback.print_exc(file=sys.stdout)
    workers = [threading.Thread(target=worker) for _ in range(SERVICES)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not failures, "%d of %d routes: %s" % (len(failures), len(every), "\n".join(failures))


def test_every_row_of_the_table():
    with AWS:
        play_all(chains())


def test_a_page_file_that_ends_while_it_is_sent():
    """The row "local": charged, for it is this page's alone; and then the page is found to be damaged."""
    part = next(p for p in parts() if p.play.how == "shrink")
    with AWS, Chain([part, OK]) as c:
        s = c.service
        ids = s.submit(LARGE, "receipt")
        assert AWS.stalled.wait(60)
        path = os.path.join(s.spool, "pages", ids[0] + ".jpg")
        os.chmod(path, 0o600)
        os.truncate(path, 1000)
        AWS.shrunk.set()
        page = s.wait_states(ids, {"held"})[ids[0]]
        assert page["reason"].startswith("damaged:") and page["tries"] == 1, page
        assert len(c.attempts(0)) == 1 and not c.attempts(1)
        part.row.once = True  # there is no second try of it
        part.least_attempts = lambda: 1
        check_attempts(part, c.attempts(0))
        assert c.backends()["row0"]["state"] == "ok"


def test_what_was_out_in_a_crash_is_possibly_billed():
    """The service is killed while a request is out: at its next start that counts as spent at its reservation, and people are told so."""
    with AWS, Chain([OK]) as c:
        s = c.service
        AWS.plays[next(reversed(AWS.plays))] = Play("delay")
        ids = s.submit(sample("receipt-1"), "receipt")
        assert AWS.delayed.wait(60)
        reserved = s.rows("SELECT reserved_pusd FROM attempts WHERE closed_ms IS NULL")[0]["reserved_pusd"]
        s.kill()
        assert s.start()
        s.wait(lambda: AWS.wait_requests(0) and c.attempts(0))
        a = c.attempts(0)[0]
        assert (a["outcome"], a["billed"], a["charged"], a["settled_pusd"]) == ("crashed", "possibly", 0, reserved) and reserved > 0, a
        status = s.call("Status")
        assert int(status["possiblyBilledPicoUsd"]) >= reserved and int(status["spentPicoUsd"]) >= reserved, status
        shown = next(t for t in s.call("Show", page=ids[0])["attempts"] if t["id"] == a["id"])
        assert shown["billed"] == "possibly" and int(shown["settledPicoUsd"]) == reserved, shown
        assert "of it possibly billed US$" in c.ctl("status"), c.ctl("status")
        line = next(x for x in c.ctl("show", ids[0]).splitlines() if " crashed " in x)
        assert " possibly " in line, line
        AWS.release.set()
        s.wait_states(ids, {"done"})


suite.main()
