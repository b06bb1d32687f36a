#!/usr/bin/python3
"""The service killed at each step of signing the receipts: the key is whole or not there, no head is half, and the next start signs on."""
import json
import os
import subprocess

import suite
from service import Service, build_folder, sample
from steps import steps_of


COMMITTED = ("head.committed", "head.key-changed")
CHANGES = ("head.key-changed",)


def audit(s, *words):
    r = subprocess.run([os.path.join(build_folder(), "pageferryctl"), "audit", *words, "--socket", s.socket], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, encoding="utf-8", timeout=60, check=False)
    assert r.returncode == 0, (words, r.stdout, r.stderr)
    return r.stdout


def run(step, bug=""):
    """What is wrong after a kill there, when the service is stopped and has something to sign."""
    s = Service(fault=True)
    try:
        s.start(env={"PAGEFERRY_FAULT": "kill:" + step, "PAGEFERRY_BUG": bug})
        s.wait_states(s.submit(sample("receipt-1")), {"done"})
        if step in CHANGES:
            audit(s, "rotate")
        assert s.stop() == -9, step
        s.start()
        before = json.loads(audit(s, "verify", "--json"))
        s.stop()
        s.start()
        after = json.loads(audit(s, "verify", "--json"))
        if after["signed"] != after["receipts"] or after["heads"] != 1 or before["heads"] != (step in COMMITTED) or \
                after["keyChanges"] != (step in CHANGES):
            return "%s, then %s" % (before, after)
        return None
    finally:
        s.stop()
        s.clean()


def test_kill_at_each_step():
    steps = steps_of("heads")
    assert len(steps) >= 6
    for step in steps:
        wrong = run(step)
        assert wrong is None, (step, wrong)
    print("# %d kills" % len(steps))


LOST = ("head.key-half", "head.key-written", "head.key-renamed", "head.signed", "head.committed")


def run_lost(step):
    """Killed while a lost key is replaced: it is done, or can be asked for again; and is told of once."""
    s = Service(fault=True)
    try:
        s.start()
        s.wait_states(s.submit(sample("receipt-1")), {"done"})
        s.stop()
        os.unlink(os.path.join(s.spool, "receipts.key"))
        s.start(env={"PAGEFERRY_FAULT": "kill:" + step})
        try:
            audit(s, "replace", "--why", "a test", "--yes")
        except AssertionError:
            assert step.startswith("head.key-"), step  # killed before the answer
        assert s.process.wait(60) == -9, step
        s.stop()
        s.start()
        if not json.loads(audit(s, "verify", "--json"))["keysLost"]:
            assert step != "head.committed"
            audit(s, "replace", "--why", "a test", "--yes")
            s.wait(lambda: json.loads(audit(s, "verify", "--json"))["keysLost"])
        said = json.loads(audit(s, "verify", "--json"))
        assert len(said["keysLost"]) == 1 and said["heads"] == 2 and said["signed"] == said["receipts"], said
        assert not os.listdir(os.path.join(s.spool, "tmp")) and s.stop() == 0
    finally:
        s.stop()
        s.clean()


def test_kill_while_a_lost_key_is_replaced():
    for step in LOST:
        run_lost(step)


def test_planted_bug():
    wrong = run("head.key-half", "head-key-in-place")
    assert wrong, "half a key in its place was not caught"
    print("# caught head-key-in-place: %s" % wrong)


suite.main()
