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


def test_planted_bug():
    wrong = run("head.key-half", "head-key-in-place")
    assert wrong, "half a key in its place was not caught"
    print("# caught head-key-in-place: %s" % wrong)


suite.main()
