#!/usr/bin/python3
"""Budgets with the real service and the stand-in for Bedrock: never is more billed than may be spent; at the limit pages wait or go down their
route, the status says so, and on the next day they go on."""
import os
import sqlite3
import subprocess
import tempfile

from PIL import Image

import suite
from service import Service
from standin_aws import BedrockStandin, write_keys

DAY_MS = 86400000
FORGOTTEN = "a page was sent beside one that is out, and together they may cost too much"
# Dollars a million tokens, a hundred times Nova Pro's: a request may cost some dollars, and budgets have cents.
PRICES = "[Model amazon.nova-pro-v1:0]\nRegion=ap-southeast-2\nInput=84\nOutput=336\nCached=21\nDate=2026-07-01\n"


class Budgeted:
    def __init__(self, fault=False):
        self.dir = tempfile.TemporaryDirectory(prefix="pageferry-budget-", dir="/tmp")
        self.folder = self.dir.name
        self.aws = BedrockStandin(self.folder)
        self.s = self.keys = None
        self.fault = fault
        self.n = 0

    def __enter__(self):
        self.aws.__enter__()
        with open(self.folder + "/prices", "w", encoding="ascii") as f:
            f.write(PRICES)
        self.keys = write_keys(self.folder, self.aws.credentials)
        self.s = Service(self.sections({}), fault=self.fault)
        self.s.poll = 0.2
        return self

    def __exit__(self, *more):
        if self.s.process:
            self.s.stop()
        self.s.clean()
        self.aws.__exit__(*more)
        self.dir.cleanup()

    def sections(self, budget, route="sydney"):
        return {"Service": {"Lab": "yes", "Prices": self.folder + "/prices"}, "Route": {"Backends": route}, "Budget": budget,
                "Credentials aws": {"Source": "file", "File": self.keys},
                "Backend sydney": {"Kind": "bedrock", "Model": "amazon.nova-pro-v1:0", "ConnectTo": "127.0.0.1:%d" % self.aws.port,
                                   "CAFile": self.aws.ca_file, "Concurrency": "4", "Backoff": "100ms", "BackoffMax": "400ms", "Timeout": "60s"}}

    def page(self):
        """Another one each time; its id."""
        self.n += 1
        path = os.path.join(self.folder, "page-%d.png" % self.n)
        image = Image.new("L", (300, 200), 240)
        image.putpixel((self.n, 5), 0)
        image.save(path)
        return self.s.submit(path, "receipt")[0]

    def attempts(self):
        return self.s.rows("SELECT reserved_pusd AS reserved, settled_pusd AS settled, outcome, billed FROM attempts ORDER BY id")

    def one(self):
        """A page is paid for without a limit: (what is reserved, what it costs). All of the suite's cost the same."""
        self.s.start()
        page = self.page()
        self.s.wait_states([page], {"done"})
        a = self.attempts()[0]
        assert self.s.stop() == 0
        return a["reserved"], a["settled"]

    def limit(self, pusd, key="Day", route="sydney", **more):
        self.s.configure(self.sections(dict({key: "%d.%012d" % divmod(pusd, 10**12)}, **more), route))

    def budget(self):
        return self.s.call("Status")["budget"]

    def status(self):
        return subprocess.run([os.path.join(self.s.build, "pageferryctl"), "--socket", self.s.socket], capture_output=True, encoding="utf-8",
                              timeout=60, check=True).stdout

    def next_day(self):
        """What the ledger has is of the day before, and that day ends in a moment, as the last start of the machine knew it."""
        db = sqlite3.connect(self.s.spool + "/spool.db")
        with db:
            today = db.execute("SELECT max(day) FROM usage").fetchone()[0]
            db.execute("UPDATE usage SET day = day - 1")
            db.execute("UPDATE attempts SET day = day - 1")
            db.execute("UPDATE meta SET value = ? WHERE key = 'budget_ms'", (str(today * DAY_MS - 2000),))
            db.execute("UPDATE meta SET value = 'another' WHERE key = 'budget_boot'")
        db.close()


def test_at_the_limit_pages_wait():
    """Three of five fit into the day. Over a restart too; the next day has the other two."""
    with Budgeted() as b:
        reserved, cost = b.one()
        limit = 3 * cost + reserved
        b.limit(limit)
        b.s.start()
        pages = [b.page() for _ in range(5)]
        b.s.wait(lambda: b.s.call("Status")["counts"]["done"] == 4 and b.budget()["over"])
        said, told = b.budget(), b.status()
        assert int(said["daySpentPicoUsd"]) == 4 * cost <= limit and said["reservedPicoUsd"] == "0" and said["whenOver"] == "wait", said
        assert "no room: pages wait" in told and "US$" in told, told
        assert len(b.aws.requests) == 4
        assert b.s.call("Show", page=pages[0])["attempts"][0]["priced"] == "2026-07-01"
        assert b.s.call("Status")["spentPicoUsd"] == said["daySpentPicoUsd"]
        b.s.stop()
        b.s.start()
        b.s.wait(lambda: b.budget()["over"])
        assert len(b.aws.requests) == 4 and b.s.call("Status")["counts"]["queued"] == 2
        b.s.stop()
        b.next_day()
        b.s.start()
        b.s.wait_states(pages, {"done"})
        assert len(b.aws.requests) == 6 and int(b.budget()["daySpentPicoUsd"]) == 2 * cost, b.budget()
        assert not b.budget()["over"]
        assert b.s.stop() == 0
        assert b.s.fsck() == []


def test_a_month():
    """The day's end does not help."""
    with Budgeted() as b:
        reserved, cost = b.one()
        b.limit(cost + reserved, "Month")
        b.s.start()
        pages = [b.page() for _ in range(2)]
        b.s.wait(lambda: b.s.call("Status")["counts"]["done"] == 2 and b.budget()["over"])
        assert int(b.budget()["monthSpentPicoUsd"]) == 2 * cost and "this month" in b.status()
        assert b.s.call("Status")["counts"]["queued"] == 1, pages


def test_down_the_route():
    """OCR answers in the meantime; the next day sydney does."""
    with Budgeted() as b:
        reserved, cost = b.one()
        b.limit(reserved, route="sydney ocr", Over="next")
        b.s.start()
        page = b.page()
        b.s.wait(lambda: b.s.call("Show", page=page)["page"]["tries"] > 0 or b.budget()["over"])
        told = b.status()
        assert "no room: pages go down their route" in told, told
        b.s.wait(lambda: b.s.rows("SELECT 1 FROM attempts WHERE backend = 'ocr' AND closed_ms IS NOT NULL"))
        assert len(b.aws.requests) == 1 and int(b.budget()["daySpentPicoUsd"]) == cost
        b.s.stop()
        b.next_day()
        b.s.start()
        b.s.wait_states([page], {"done"})
        assert len(b.aws.requests) == 2 and b.s.call("Show", page=page)["page"]["backend"] == "sydney"


def open_counts(b):
    """One is out: for the next there is room only when it has come back cheaper than it might have been."""
    reserved, cost = b.one()
    limit = 2 * cost + reserved + (reserved - 1)
    b.limit(limit)
    b.aws.script = ["ok", "delay"]
    b.s.start()
    b.s.wait_states([b.page()], {"done"})  # from now on two may be out at once
    first = b.page()
    assert b.aws.delayed.wait(60)
    second = b.page()
    b.s.wait(lambda: b.budget()["over"] or len(b.attempts()) > 3)
    said = b.budget()
    assert len(b.attempts()) == 3, FORGOTTEN
    assert int(said["reservedPicoUsd"]) == reserved and said["over"], said
    b.aws.release.set()
    b.s.wait_states([first, second], {"done"})
    assert int(b.budget()["daySpentPicoUsd"]) == 4 * cost <= limit


def test_what_is_open_counts_as_spent():
    with Budgeted() as b:
        open_counts(b)


def test_what_may_have_been_billed_counts_for_good():
    """The service is killed while a page is out: its whole reservation is spent."""
    with Budgeted() as b:
        reserved, cost = b.one()
        b.limit(cost + reserved + (reserved - 1))
        b.aws.script = ["delay"]
        b.s.start()
        page = b.page()
        assert b.aws.delayed.wait(60)
        b.s.kill()
        b.aws.release.set()
        b.s.start()
        b.s.wait(lambda: b.budget()["over"])
        status = b.s.call("Status")
        assert int(status["spentPicoUsd"]) == cost + reserved and int(status["possiblyBilledPicoUsd"]) == reserved, status
        assert [a["billed"] for a in b.attempts()] == ["yes", "possibly"]
        assert b.s.call("Show", page=page)["page"]["state"] == "queued" and "possibly billed" in b.status()


def test_a_service_that_forgets_what_is_open_is_caught():
    os.environ["PAGEFERRY_BUG"] = "budget-forgets-open"
    try:
        with Budgeted(fault=True) as b:
            open_counts(b)
    except AssertionError as e:
        assert str(e) == FORGOTTEN, e
        return
    finally:
        del os.environ["PAGEFERRY_BUG"]
    raise AssertionError("it is not caught")


suite.main()
