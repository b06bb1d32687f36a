#!/usr/bin/python3
"""pageferryctl audit: the chain of receipts as the service tells it, checked here by the documented form alone; and what was changed is found."""
import csv
import hashlib
import io
import json
import os
import sqlite3
import subprocess

import suite
from service import Service, sample

BUILD = os.environ["PAGEFERRY_BUILD"]


def audit(s, *words, text=None, code=0):
    r = subprocess.run([os.path.join(BUILD, "pageferryctl"), "audit", *words, "--socket", s.socket], input=text, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, encoding="utf-8", timeout=60, check=False)
    assert r.returncode == code, (words, r.returncode, r.stdout, r.stderr)
    return r.stdout if code == 0 else r.stderr


def follow(text):
    """docs/architecture.md, "Receipts", in a few lines: the bodies."""
    previous, bodies = "0" * 64, []
    for number, line in enumerate(text.splitlines(), 1):
        assert line.startswith('{"receipt":') and line[-75:-66] == ',"hash":"', line
        body, digest = line[len('{"receipt":'):-75], line[-66:-2]
        assert hashlib.sha256((previous + "\n" + body).encode()).hexdigest() == digest, number
        bodies.append(json.loads(body))
        assert bodies[-1]["seq"] == number and json.loads(line) == {"receipt": bodies[-1], "hash": digest}
        previous = digest
    return bodies, previous


def make():
    s = Service()
    s.start()
    s.wait_states(s.submit(sample("receipt-1")) + s.submit(sample("receipt-2")), {"done"})
    return s


S = make()
COPY = audit(S, "export")


def test_the_chain_by_its_description():
    bodies, last = follow(COPY)
    assert [b["kind"] for b in bodies].count("sent") == 2 and [b["kind"] for b in bodies].count("answered") == 2, bodies
    assert all(b["t"] > 0 and b["trust"] in ("untrusted", "plausible", "trusted") and len(b["content"]) == 64 for b in bodies)
    said = json.loads(audit(S, "verify", "--json"))
    assert said == {"holds": True, "receipts": len(bodies), "hash": last, "signed": False}, said
    assert last in audit(S, "verify") and "not signed" in audit(S, "verify")


def test_a_copy_is_checked_without_the_service():
    assert json.loads(audit(S, "verify", "-", "--json", text=COPY))["receipts"] == len(COPY.splitlines())
    lines = COPY.splitlines(keepends=True)
    for wrong in (lines[1:], lines[:1] + lines[2:], [lines[1], lines[0]] + lines[2:], lines[:2] + lines[1:],
                  [COPY.replace('"backend":"ocr"', '"backend":"ocs"', 1)], [COPY[:-1]], [COPY[:-40]], [COPY + "x"], [COPY + "\n"]):
        assert "receipt" in audit(S, "verify", "-", text="".join(wrong), code=1)
    # What the chain alone cannot show, as it says itself: whole receipts cut off the end.
    assert json.loads(audit(S, "verify", "-", "--json", text="".join(lines[:-1])))["hash"] != follow(COPY)[1]


def test_report():
    rows = [json.loads(line) for line in audit(S, "report", "--json").splitlines()]
    assert len(rows) == 1 and rows[0]["backend"] == "ocr" and rows[0]["australia"] and not rows[0]["lab"], rows
    assert (rows[0]["pages"], rows[0]["requests"], rows[0]["costPicoUsd"]) == (2, 2, "0"), rows
    assert rows[0]["bytes"] == sum(b.get("bytes", 0) for b in follow(COPY)[0] if b["kind"] == "sent") > 0
    table = list(csv.DictReader(io.StringIO(audit(S, "report", "--csv"))))
    assert len(table) == 1 and table[0]["backend"] == "ocr" and table[0]["pages"] == "2", table
    assert "no receipts" in audit(S, "report", "--since", "2200-01-01") and "no receipts" in audit(S, "report", "--until", "1969-01-01")
    assert "ocr" in audit(S, "report", "--since", "1970-01-01")


def chain(*bodies):
    previous, out = "0" * 64, ""
    for seq, body in enumerate(bodies, 1):
        body = json.dumps(dict({"v": 1, "seq": seq, "t": seq}, **body), separators=(",", ":"))
        previous = hashlib.sha256((previous + "\n" + body).encode()).hexdigest()
        out += '{"receipt":%s,"hash":"%s"}\n' % (body, previous)
    return out


def test_what_left_australia_stands_first():
    text = chain({"kind": "sent", "page": "P", "backend": "a", "host": "bedrock-runtime.ap-southeast-2.amazonaws.com", "region": "ap-southeast-2",
                  "model": "=m", "bytes": 10},
                 {"kind": "answered", "page": "P", "backend": "a", "host": "bedrock-runtime.ap-southeast-2.amazonaws.com", "region": "ap-southeast-2",
                  "model": "=m", "in": 5, "out": 6, "pusd": 7},
                 {"kind": "sent", "page": "P", "backend": "a", "host": "10.0.0.1", "lab": True, "bytes": 10},
                 {"kind": "sent", "page": "P", "backend": "z", "host": "bedrock-runtime.us-east-1.amazonaws.com", "region": "us-east-1", "bytes": 10},
                 {"kind": "answered", "page": "P", "backend": "z", "host": "bedrock-runtime.us-east-1.amazonaws.com", "region": "us-east-1",
                  "reason": "residency", "pusd": 0})
    rows = [json.loads(line) for line in audit(S, "report", "-", "--json", text=text).splitlines()]
    assert [(r["backend"], r["australia"], r["lab"]) for r in rows] == [("z", False, False), ("a", True, True), ("a", True, False)], rows
    assert rows[0]["refused"] == 1 and (rows[2]["tokensInput"], rows[2]["tokensOutput"], rows[2]["costPicoUsd"]) == (5, 6, "7")
    assert audit(S, "report", "-", text=text).splitlines()[1].startswith("NOT KNOWN TO BE IN AUSTRALIA")
    assert ",=m," not in audit(S, "report", "-", "--csv", text=text)


def test_wrong_use():
    for words in (["verify", "--csv"], ["look"], ["report", "--csv", "--json"], ["report", "--since", "soon"], ["verify", "--since", "2026-11-21"]):
        audit(S, *words, "-", text="", code=2)
    audit(S, "verify", "/no/such/file", code=2)


def test_an_edit_in_the_database():
    """Last: the spool is damaged by it."""
    db = sqlite3.connect(S.spool + "/spool.db", timeout=30)
    db.execute("UPDATE receipts SET body = replace(body, 'ocr', 'ocs') WHERE seq = 2")
    db.commit()
    db.close()
    assert "after receipt 1 " in audit(S, "verify", code=1)
    assert "after receipt 1 " in audit(S, "report", code=1)


try:
    suite.main()
finally:
    S.stop()
    S.clean()
