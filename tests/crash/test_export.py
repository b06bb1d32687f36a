#!/usr/bin/python3
"""pageferryd spool export, killed at each of its steps: a folder with a manifest is whole, and the spool is as it was."""
import hashlib
import json
import os
import shutil
import tempfile

import suite
from service import Service, sample
from steps import steps_of


def make_spool():
    """Two pages, kept by a service without a backend that could answer."""
    s = Service(fault=True)
    s.start()
    s.wait_states(s.submit(sample("receipt-1")) + s.submit(sample("receipt-2")), {"done"})
    s.stop()
    return s


def digest(folder):
    out = {}
    for at, _, files in os.walk(folder):
        for name in files:
            with open(os.path.join(at, name), "rb") as f:
                out[os.path.relpath(os.path.join(at, name), folder)] = hashlib.sha256(f.read()).hexdigest()
    return out


def broken(dest):
    """What is wrong with an export that says that it is whole."""
    if not os.path.exists(dest + "/manifest.json"):
        return []
    try:
        with open(dest + "/manifest.json", encoding="utf-8") as f:
            pages = json.load(f)["pages"]
    except ValueError as e:
        return ["the manifest is cut off: %s" % e]
    have = digest(dest)
    return (["%d pages" % len(pages)] if len(pages) != 2 else []) + [
        p["page"] for p in pages if have.get("pages/%s.jpg" % p["page"]) != p["sha256"] or any("results/" + r not in have for r in p["results"])]


SPOOL = make_spool()


def run(step, bug=""):
    folder = tempfile.mkdtemp(prefix="pageferry-export-", dir="/tmp")
    try:
        before = digest(SPOOL.spool)
        environment = dict(os.environ, PAGEFERRY_FAULT="kill:" + step, PAGEFERRY_BUG=bug)
        r = SPOOL.spool_verb("export", folder + "/copy", env=environment)
        assert r.returncode == -9, (step, r)
        assert digest(SPOOL.spool) == before
        wrong = broken(folder + "/copy")
        r = SPOOL.spool_verb("export", folder + "/again")
        assert r.returncode == 0 and os.path.exists(folder + "/again/manifest.json") and not broken(folder + "/again"), r
        return wrong
    finally:
        shutil.rmtree(folder)


def test_kill_at_each_step():
    steps = steps_of("export")
    assert len(steps) >= 4
    for step in steps:
        assert run(step) == [], step
    print("# %d kills" % len(steps))


def test_planted_bug():
    wrong = run("export.page-copied", "export-manifest-first")
    assert wrong, "a manifest that is there from the start was not caught"
    print("# caught export-manifest-first: %s" % wrong[0])


try:
    suite.main()
finally:
    SPOOL.clean()
