#!/usr/bin/python3
"""pageferryctl doctor: what the service finds of itself, in words and as JSON, and the exit status."""
import json
import os
import subprocess

import suite
from service import Service


def doctor(s, *args):
    return subprocess.run([os.path.join(s.build, "pageferryctl"), "--socket", s.socket, "doctor", *args], stdin=subprocess.DEVNULL,
                          capture_output=True, encoding="utf-8", timeout=60, check=False)


def findings(s, *args):
    r = doctor(s, "--json", *args)
    assert r.returncode in (0, 1), r
    found = json.loads(r.stdout)["findings"]
    assert (r.returncode == 1) == any(f["level"] == "problem" for f in found), (r.returncode, found)
    return found


def test_areas():
    with Service() as s:
        areas = [f["area"] for f in findings(s)]
        for area in ("clock", "spool", "configuration", "prices", "helpers", "backends", "residency"):
            assert area in areas, areas
        assert {f["area"] for f in findings(s, "residency", "spool")} == {"residency", "spool"}
        r = doctor(s, "spool")
        assert r.returncode == 0 and "has room" in r.stdout, r
        r = doctor(s, "liver")
        assert r.returncode == 2, r


def test_problems_and_what_to_do():
    with Service({"Service": {"Helpers": "/nowhere"}, "Route": {"Backends": "sydney"}, "Backend sydney": {"Kind": "bedrock"}}) as s:
        r = doctor(s, "helpers")
        assert r.returncode == 1 and "/nowhere/pageferry-capture is not there" in r.stdout and "-> set Helpers=" in r.stdout, r
        told = [f["what"] for f in findings(s, "residency")]
        assert "backend sydney: amazon.nova-pro-v1:0 runs in ap-southeast-2 (Sydney)" in told, told


suite.main()
