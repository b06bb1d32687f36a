#!/usr/bin/python3
"""kill -9 at every step of base/step.h that tests/crash/owners.h gives to this suite: after a restart every accepted page is in
exactly one state, none is missing, and nothing was sent that the ledger does not know. Then planted bugs: each must be caught
by the same invariants."""
import hashlib
import io
import json
import os
import re
import tempfile

from PIL import Image

import suite
from service import Service, sample
from standin_aws import BedrockStandin, write_keys
from steps import owners, steps_of
from varlink import VarlinkError

PAGES_A_RUN = 2


class World:
    """One stand-in and one small page for all runs: what is tested is the daemon, not how well it reads."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pageferry-crash-", dir="/tmp")
        self.aws = BedrockStandin(self.folder.name)
        self.aws.start()
        self.secrets = write_keys(self.folder.name, self.aws.credentials)
        self.page = os.path.join(self.folder.name, "page.jpg")
        Image.open(sample("receipt-1")).crop((500, 250, 1950, 1150)).save(self.page, quality=80)

    def service(self):
        return Service({"Service": {"Lab": "yes"}, "Route": {"Backends": "sydney"},
                        "Credentials aws": {"Source": "file", "File": self.secrets},
                        "Backend sydney": {"Kind": "bedrock", "ConnectTo": "127.0.0.1:%d" % self.aws.port, "CAFile": self.aws.ca_file,
                                           "Backoff": "50ms", "BackoffMax": "100ms"}}, fault=True)


def submit_all(s, page, acknowledged):
    """Submits pages until the daemon dies; remembers what it acknowledged."""
    for _ in range(PAGES_A_RUN):
        try:
            acknowledged += s.submit(page, "receipt")
        except (OSError, VarlinkError):
            return


def settle(s):
    """Waits until the daemon has died of the planted fault, or everything is done."""
    def quiet():
        return all(p["state"] in ("done", "held") for p in s.pages().values()) and s.call("Status")["counts"]["undelivered"] == 0
    try:
        s.wait(quiet, 60)
    except OSError:
        pass


def reconciled(s):
    """Reconciliation comes after READY: it has ended when nothing is left to set right."""
    rows = {r["page"] + ".jpg" for r in s.rows("SELECT page FROM pages")}
    return (not os.listdir(s.spool + "/tmp") and set(os.listdir(s.spool + "/pages")) <= rows
            and not s.rows("SELECT id FROM attempts WHERE closed_ms IS NULL"))


def broken_invariants(s, acknowledged, requests):
    """What is wrong on disk after a restart and a drain; an empty list when all is well."""
    wrong = []
    rows = {r["page"]: r for r in s.rows("SELECT * FROM pages")}
    for page in acknowledged:
        if page not in rows:
            wrong.append("acknowledged page %s is gone" % page)
    files = set(os.listdir(s.spool + "/pages"))
    for page, r in rows.items():
        if page + ".jpg" not in files:
            wrong.append("%s has a row and no file" % page)
            continue
        with open("%s/pages/%s.jpg" % (s.spool, page), "rb") as f:
            data = f.read()
        if hashlib.sha256(data).hexdigest() != r["sha256"] or len(data) != r["bytes"]:
            wrong.append("%s is not what was accepted" % page)
        Image.open(io.BytesIO(data)).load()
        if (r["state"] == "held") != (r["reason"] is not None):
            wrong.append("%s is held without a reason" % page)
        if r["state"] == "held" and page in acknowledged:
            wrong.append("acknowledged %s is held: %s" % (page, r["reason"]))
        results = s.rows("SELECT * FROM results WHERE page = ? ORDER BY version", r["seq"])
        if r["state"] == "done":
            if len(results) != 1 or r["version"] != 1:
                wrong.append("%s is done with %d results, version %d" % (page, len(results), r["version"]))
            else:
                exported = s.result(page)
                if exported != json.loads(results[0]["json"]):
                    wrong.append("%s: the export differs" % page)
        elif r["state"] != "held":
            wrong.append("%s did not drain: %s" % (page, r["state"]))
        elif results:
            wrong.append("%s is held with a result" % page)
    for name in files - {p + ".jpg" for p in rows}:
        wrong.append("page file %s has no row" % name)
    if os.listdir(s.spool + "/tmp"):
        wrong.append("tmp/ is not empty")
    attempts = s.rows("SELECT * FROM attempts")
    # By the page's content: a request of the run before, whose daemon was killed, may be noted only now.
    ours = {r["sha256"] for r in rows.values()}
    served = sum(1 for q in requests if q.get("page") in ours)
    if [a for a in attempts if a["closed_ms"] is None]:
        wrong.append("an attempt is still open")
    if [a for a in attempts if a["outcome"] == "crashed" and (a["billed"] != "possibly" or a["settled_pusd"] != a["reserved_pusd"])]:
        wrong.append("a crashed attempt does not count as spent")
    if served > len(attempts):
        wrong.append("%d requests were served and %d are in the ledger" % (served, len(attempts)))
    if s.rows("SELECT count(*) AS n FROM receipts WHERE kind = 'sent'")[0]["n"] != sum(1 for a in attempts if a["reason"] != "same-content"):
        wrong.append("attempts and receipts differ")
    previous = "0" * 64
    for r in s.rows("SELECT * FROM receipts ORDER BY seq"):
        previous = hashlib.sha256((previous + "\n" + r["body"]).encode()).hexdigest()
        if previous != r["hash"]:
            wrong.append("the chain of receipts is broken at %d" % r["seq"])
            break
    return wrong


def run(world, environment, rendered=False):
    """One life, one death, one more life; returns (was the fault reached, what is wrong)."""
    s = world.service()
    if rendered:
        s.change_type("receipt", image={"flatten": True})
    try:
        before = len(world.aws.requests)
        acknowledged = []
        reached = os.path.join(s.folder, "steps")
        if s.start(dict(environment, PAGEFERRY_STEP_LOG=reached)):
            submit_all(s, world.page, acknowledged)
            settle(s)
        if s.process.poll() is None:
            s.stop()
        else:
            s.kill()
        s.start()
        s.wait(lambda: reconciled(s) and all(p["state"] in ("done", "held") for p in s.pages().values())
               and s.call("Status")["counts"]["undelivered"] == 0, 60)
        s.stop()
        wrong = broken_invariants(s, acknowledged, world.aws.requests[before:])
        with open(reached, encoding="utf-8") as f:
            return set(f.read().split()), wrong
    finally:
        s.stop()
        s.clean()


WORLD = World()


def make_step_test(step, n):
    def test():
        reached, wrong = run(WORLD, {"PAGEFERRY_FAULT": "kill:%s:%d" % (step, n)}, rendered=step == "send.rendered")
        assert step in reached, "%s was never reached: %s" % (step, sorted(reached))
        assert not wrong, wrong
    return test


# A send or answer that is killed for the second page has a first one beside it; accept likewise.
for _step in steps_of("kill"):
    for _n in (1, 2) if _step.startswith("accept.") else (1,):
        _name = "test_kill_at_%s_%d" % (re.sub("[.-]", "_", _step), _n)
        globals()[_name] = make_step_test(_step, _n)

# A bug, and the step at which a kill makes it visible.
BUGS = [("accept-commit-before-rename", "accept.written"), ("accept-ack-before-commit", "accept.announced:2"),
        ("answer-two-commits", "answer.committed"), ("send-reserve-after", "send.started")]


def make_bug_test(bug, step):
    def test():
        _, wrong = run(WORLD, {"PAGEFERRY_FAULT": "kill:" + step, "PAGEFERRY_BUG": bug})
        assert wrong, "the planted bug %s was not caught" % bug
        print("# caught %s: %s" % (bug, wrong[0]))
    return test


for _bug, _step in BUGS:
    globals()["test_planted_bug_" + _bug.replace("-", "_")] = make_bug_test(_bug, _step)


def test_owners():
    """Every step has a suite that kills at it; and the count of the points, for the reader of the log."""
    assert not [step for step, suites in owners().items() if not suites], owners()
    kills = sum(1 for n in globals() if n.startswith("test_kill_at"))
    print("# %d steps, %d kills, %d planted bugs" % (len(steps_of("kill")), kills, len(BUGS)))
    assert len(steps_of("kill")) >= 20


suite.main()
