#!/usr/bin/python3
"""pageferryctl audit: the chain of receipts as the service tells it, checked here by the documented form alone; and what was changed is found."""
import base64
import csv
import hashlib
import io
import json
import os
import sqlite3
import subprocess
import tempfile

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key, load_pem_public_key

import suite
from service import Service, sample

BUILD = os.environ["PAGEFERRY_BUILD"]


def audit(s, *words, text=None, code=0):
    r = subprocess.run([os.path.join(BUILD, "pageferryctl"), "audit", *words, "--socket", s.socket], input=text, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, encoding="utf-8", timeout=60, check=False)
    assert r.returncode == code, (words, r.returncode, r.stdout, r.stderr)
    return r.stdout if code == 0 else r.stderr


def follow(text):
    """docs/architecture.md, "Receipts", in a few lines: the bodies of receipts and of heads, and the last hash."""
    previous, head, bodies, heads = "0" * 64, "0" * 64, [], []
    for line in text.splitlines():
        if line.startswith('{"head":'):
            body, signature = line[len('{"head":'):-2].split(',"sig":"')
            said = json.loads(body)
            heads.append(said)
            assert (said["head"], said["seq"], said["hash"], said["prev"]) == (len(heads), len(bodies), previous, head)
            head = hashlib.sha256((body + "\n" + signature).encode()).hexdigest()
            public = base64.b64decode(said["public"], validate=True)
            assert hashlib.sha256(public).hexdigest() == said["key"]
            load_der_public_key(public).verify(base64.b64decode(signature, validate=True), body.encode(), ec.ECDSA(hashes.SHA256()))
            continue
        assert line.startswith('{"receipt":') and line[-75:-66] == ',"hash":"', line
        body, digest = line[len('{"receipt":'):-75], line[-66:-2]
        bodies.append(json.loads(body))
        assert hashlib.sha256((previous + "\n" + body).encode()).hexdigest() == digest and bodies[-1]["seq"] == len(bodies), line
        previous = digest
    return bodies, heads, previous


def parts_of(text):
    """As daily files: each goes on from the head that the one before it ended with."""
    parts, part = [], []
    for line in text.splitlines(keepends=True):
        part.append(line)
        if line.startswith('{"head":'):
            parts.append("".join(part))
            part = [line]
    return parts


def make():
    s = Service()
    s.start()
    s.wait_states(s.submit(sample("receipt-1")) + s.submit(sample("receipt-2")), {"done"})
    s.stop()  # which signs
    s.start()
    return s


S = make()
COPY = audit(S, "export")


def test_the_chain_by_its_description():
    bodies, heads, last = follow(COPY)
    assert [b["kind"] for b in bodies].count("sent") == 2 and [b["kind"] for b in bodies].count("answered") == 2, bodies
    assert all(b["t"] > 0 and b["trust"] in ("untrusted", "plausible", "trusted") and len(b["content"]) == 64 for b in bodies)
    said = json.loads(audit(S, "verify", "--json"))
    assert len(heads) == 1 and said == {
        "holds": True, "chain": heads[0]["chain"], "receipts": len(bodies), "first": 1, "last": len(bodies), "hash": last, "signed": len(bodies), "heads": 1,
        "key": heads[0]["key"], "keyChanges": 0, "keysLost": [], "keyGiven": False, "headsKept": 0, "after": None, "afterHead": 0}, said
    told = audit(S, "verify")
    assert last in told and heads[0]["key"] in told and "not signed yet" not in told and "--key" in told and "--heads" in told, told


def test_a_copy_is_checked_without_the_service():
    assert json.loads(audit(S, "verify", "-", "--json", text=COPY))["receipts"] == len(follow(COPY)[0])
    lines = COPY.splitlines(keepends=True)
    for wrong in (lines[1:], lines[:1] + lines[2:], [lines[1], lines[0]] + lines[2:], lines[:2] + lines[1:],
                  [COPY.replace('"backend":"ocr"', '"backend":"ocs"', 1)], [COPY[:-1]], [COPY[:-40]], [COPY + "x"], [COPY + "\n"]):
        assert "receipt" in audit(S, "verify", "-", text="".join(wrong), code=1)
    # What the chain alone cannot show, as it says itself: whole receipts cut off the end.
    assert json.loads(audit(S, "verify", "-", "--json", text="".join(lines[:-2])))["signed"] == 0
    unsigned = audit(S, "verify", "-", text="".join(lines[:-1]))
    assert "Nothing is signed" in unsigned, unsigned


def kept(text):
    f = tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".jsonl")
    f.write(text)
    f.flush()
    return f


def test_the_key():
    pem = audit(S, "key")
    assert hashlib.sha256(base64.b64decode("".join(pem.splitlines()[1:-1]))).hexdigest() == follow(COPY)[1][0]["key"]
    load_pem_public_key(pem.encode())
    assert os.stat(S.spool + "/receipts.key").st_mode & 0o7777 == 0o600
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    with kept(pem) as right, kept(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()) as wrong:
        assert json.loads(audit(S, "verify", "--key", right.name, "--json"))["keyGiven"]
        assert "that key" not in audit(S, "verify", "--key", right.name).lower().replace("by the key", "")
        assert "another key" in audit(S, "verify", "--key", wrong.name, code=1)
    with kept("no key") as f:
        audit(S, "verify", "--key", f.name, code=2)


def test_heads_that_were_kept_elsewhere():
    lines = COPY.splitlines(keepends=True)
    journal = "Nov 21 14:00:00 box pageferryd[7]: receipts are signed: " + lines[-1]
    with kept(journal) as f:
        assert json.loads(audit(S, "verify", "--heads", f.name, "--json"))["headsKept"] == 1
        assert "--heads" not in audit(S, "verify", "--heads", f.name)
        # Cut off behind: the chain alone holds, with the head that is known it does not.
        assert "head 1" in audit(S, "verify", "-", "--heads", f.name, text="".join(lines[:-1]), code=1)
        assert "head 1" in audit(S, "verify", "-", "--heads", f.name, text="", code=1)
    with kept(lines[-1].replace('"sig":"M', '"sig":"N')) as f:
        assert "head 1" in audit(S, "verify", "--heads", f.name, code=1)
    with kept("".join(lines[:-1])) as f:
        audit(S, "verify", "--heads", f.name, code=2)
    with kept(COPY) as f:
        audit(S, "verify", "--heads", f.name)


def test_report():
    rows = [json.loads(line) for line in audit(S, "report", "--json").splitlines()]
    summary = rows.pop()
    assert summary["summary"] and summary["receipts"] == 4 and 0 <= summary["timeNotTrusted"] <= 4, summary
    assert rows[0]["first"] == summary["first"] <= summary["last"] == rows[0]["last"]
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
    assert rows.pop() == {"summary": True, "receipts": 5, "timeNotTrusted": 5, "first": "1970-01-01T00:00:00Z", "last": "1970-01-01T00:00:00Z"}
    assert [(r["backend"], r["australia"], r["lab"]) for r in rows] == [("z", False, False), ("a", True, True), ("a", True, False)], rows
    assert rows[0]["refused"] == 1 and (rows[2]["tokensInput"], rows[2]["tokensOutput"], rows[2]["costPicoUsd"]) == (5, 6, "7")
    assert audit(S, "report", "-", text=text).splitlines()[1].startswith("NOT KNOWN TO BE IN AUSTRALIA")
    assert "the time of 5 was not known" in audit(S, "report", "-", text=text)
    assert ",=m," not in audit(S, "report", "-", "--csv", text=text)


PROFILE = {"backend": "au", "host": "bedrock-runtime.ap-southeast-2.amazonaws.com", "region": "ap-southeast-2", "model": "au.m"}


def test_where_a_profile_leads():
    def arns(*regions):
        return " ".join("arn:aws:bedrock:%s::foundation-model/m" % r for r in regions)
    home, abroad = ("ap-southeast-2", "ap-southeast-4", "ap-southeast-2"), ("ap-southeast-2", "us-east-1")
    text = chain(dict(PROFILE, kind="sent", page="P", trust="trusted", resolved=arns(*home), tier="flex"),
                 dict(PROFILE, kind="sent", page="P", trust="trusted", resolved=arns(*abroad)),
                 dict(PROFILE, kind="sent", page="P", trust="trusted", resolved="arn:aws"))
    rows = [json.loads(line) for line in audit(S, "report", "-", "--json", text=text).splitlines()]
    assert rows.pop()["timeNotTrusted"] == 0
    assert sorted((r["resolved"], r["australia"], r["tier"] or "") for r in rows) == [
        ("?", False, ""), ("ap-southeast-2 ap-southeast-4", True, "flex"), ("ap-southeast-2 us-east-1", False, "")], rows
    told = audit(S, "report", "-", text=text)
    assert "ap-southeast-2 to ap-southeast-2 ap-southeast-4" in told and "au.m (flex)" in told and told.count("NOT KNOWN TO BE") == 2, told
    table = list(csv.DictReader(io.StringIO(audit(S, "report", "-", "--csv", text=text))))
    assert {r["resolved"] for r in table} == {r["resolved"] for r in rows} and all(r["first"] == "1970-01-01T00:00:00Z" for r in table)


def test_what_never_went():
    text = chain(dict(PROFILE, kind="answered", page="P", reason="residency", pusd=0), dict(PROFILE, kind="answered", page="P", model="big", reason="too-large", pusd=0))
    rows = [json.loads(line) for line in audit(S, "report", "-", "--json", text=text).splitlines()][:-1]
    assert sorted((r["requests"], r["refused"], r["notSent"]) for r in rows) == [(0, 0, 1), (0, 1, 1)], rows
    told = audit(S, "report", "-", text=text)
    assert "refused, nothing went" in told and told.count("nothing went") == 2, told


def test_wrong_use():
    for words in (["verify", "--csv"], ["look"], ["report", "--csv", "--json"], ["report", "--since", "soon"], ["verify", "--since", "2026-11-21"]):
        audit(S, *words, "-", text="", code=2)
    audit(S, "verify", "/no/such/file", code=2)


def test_days_and_keys_and_a_stopped_spool():
    s = make()
    try:
        audit(s, "rotate")  # which is signed, so that the next part begins there
        for name in ("receipt-3", "receipt-4"):
            s.stop()
            s.start()
            s.wait_states(s.submit(sample(name)), {"done"})
        s.stop()
        text = audit(s, "export", "--directory", s.spool)
        parts = parts_of(text)
        said = json.loads(audit(s, "verify", "--directory", s.spool, "--json"))
        assert (said["heads"], said["keyChanges"], said["signed"]) == (4, 1, said["receipts"]) and len(parts) == 4, said
        check_parts(s, text, parts)
        check_keys(s, text)
        s.start()
        assert audit(s, "export") == text
        assert "service is running" in audit(s, "verify", "--directory", s.spool, code=1)
    finally:
        s.stop()
        s.clean()


def check_parts(s, text, parts):
    parts = [parts[0] + "".join(parts[1].splitlines(keepends=True)[1:])] + parts[2:]
    with kept(parts[0]) as one, kept(parts[1]) as two, kept(parts[2]) as three:
        assert audit(s, "export", three.name, one.name, two.name) == text
        assert json.loads(audit(s, "verify", two.name, three.name, "--json"))["first"] == parts[0].count('{"receipt"') + 1
        assert "It goes on from head 3" in audit(s, "verify", three.name)
        assert "or a file of them, are missing" in audit(s, "verify", one.name, three.name, code=1)
        assert "was there before" in audit(s, "verify", one.name, one.name, two.name, code=1)
    with kept(parts[2].replace('"backend":"ocr"', '"backend":"ocs"', 1)) as wrong:
        audit(s, "verify", wrong.name, code=1)


def check_keys(s, text):
    """Who knows the key before the change, or the one after it, can follow; nobody else's is enough."""
    heads = [json.loads(line[len('{"head":'):].split(',"sig":"')[0]) for line in text.splitlines() if line.startswith('{"head":')]
    assert "next" in heads[1] and heads[1]["key"] == heads[0]["key"] != heads[2]["key"] == heads[3]["key"]
    for public in (heads[0]["public"], heads[2]["public"]):
        with kept("-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n" % public) as f:
            assert json.loads(audit(s, "verify", "-", "--key", f.name, "--json", text=text))["keyGiven"]
    only_first = "".join(parts_of(text)[0])
    with kept("-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n" % heads[2]["public"]) as f:
        assert "another key" in audit(s, "verify", "-", "--key", f.name, text=only_first, code=1)


def lose_key(s):
    """Receipts that the key has signed, then without it some that none signs; the public key."""
    s.stop()
    public = subprocess.run([os.path.join(BUILD, "pageferryctl"), "audit", "key", "--directory", s.spool], stdout=subprocess.PIPE, check=True,
                            encoding="utf-8", timeout=60).stdout
    os.rename(s.spool + "/receipts.key", s.spool + "/../kept.key")
    s.start()
    s.wait_states(s.submit(sample("receipt-3")), {"done"})
    return public


def test_a_key_that_is_lost_for_good():
    s = make()
    try:
        assert "is there" in audit(s, "replace", "--why", "x", "--yes", code=1)
        old = lose_key(s)
        audit(s, "replace", code=2)
        audit(s, "replace", "--why", "the card broke", code=2)  # standard input is no terminal
        assert "the old one is lost" in audit(s, "replace", "--why", "the card broke", "--yes")
        s.wait(lambda: json.loads(audit(s, "verify", "--json"))["keysLost"])
        new = audit(s, "key")
        s.wait_states(s.submit(sample("receipt-4")), {"done"})
        s.stop()
        text = audit(s, "export", "--directory", s.spool)
        assert s.fsck() == []
        check_loss(s, text, old, new)
        check_loss_parts(s, text, old)
    finally:
        s.stop()
        s.clean()


def check_loss(s, text, old, new):
    said = json.loads(audit(s, "verify", "--directory", s.spool, "--json"))
    lost, = said["keysLost"]
    heads = [json.loads(line[len('{"head":'):].split(',"sig":"')[0]) for line in text.splitlines() if line.startswith('{"head":')]
    assert (lost["head"], lost["why"], lost["by"], lost["signed"]) == (2, "the card broke", "uid %d" % os.getuid(), heads[0]["seq"]), lost
    assert lost["trust"] == heads[1]["trust"] and lost["lost"] == heads[0]["key"] and lost["key"] == heads[1]["key"] != lost["lost"], (lost, heads)
    assert base64.b64decode(heads[1]["lost"]) == base64.b64decode(heads[0]["public"]) and "next" not in heads[1]
    told = audit(s, "verify", "-", text=text)
    for words in ("who said: the card broke", "Up to receipt %d (head 1) the old key proves it" % lost["signed"], "nobody vouches but that person", lost["lost"]):
        assert words in told, (words, told)
    follow(text)
    with kept(old) as one, kept(new) as two, kept(old + new) as both:
        assert json.loads(audit(s, "verify", "-", "--key", both.name, "--json", text=text))["keyGiven"]
        assert "nobody but who said so" in audit(s, "verify", "-", "--key", one.name, text=text, code=1)
        assert lost["lost"] in audit(s, "verify", "-", "--key", two.name, text=text, code=1)
    lines = text.splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if '"lost":' in line)
    for wrong in (lines[:at] + lines[at + 1:], lines[:at] + [lines[at].replace("the card broke", "the card brake")] + lines[at + 1:],
                  lines[:at] + [lines[at].replace('"lost"', '"next"')] + lines[at + 1:]):
        assert "head" in audit(s, "verify", "-", text="".join(wrong), code=1)


def check_loss_parts(s, text, old):
    """Files of days: the one that begins with the loss says so, and is joined like any other."""
    parts = parts_of(text)
    with kept(parts[0]) as one, kept(parts[1]) as two, kept(parts[2]) as three, kept(old) as key:
        assert audit(s, "export", three.name, one.name, two.name) == text
        assert len(json.loads(audit(s, "verify", one.name, two.name, "--json"))["keysLost"]) == 1
        assert "is not here: it is before this part" in audit(s, "verify", three.name)
        audit(s, "verify", one.name, "--key", key.name)
        assert "are missing" in audit(s, "verify", one.name, three.name, code=1)


def test_a_chain_after_a_lost_database():
    s = make()
    try:
        s.stop()
        old = audit(s, "export", "--directory", s.spool)
        for name in ("spool.db", "spool.db-wal", "spool.db-shm"):
            if os.path.exists(os.path.join(s.spool, name)):
                os.unlink(os.path.join(s.spool, name))
        s.start()
        s.wait_states(s.submit(sample("receipt-3")), {"done"})
        s.stop()
        new = audit(s, "export", "--directory", s.spool)
        ids = [json.loads(audit(s, "verify", "-", "--json", text=text))["chain"] for text in (old, new)]
        assert "that chain is not here" in audit(s, "verify", "-", text=new)
        with kept(old) as one, kept(new) as two:
            rows = {row["chain"]: row for row in map(json.loads, audit(s, "verify", two.name, one.name, "--json").splitlines())}
            assert set(rows) == set(ids) and rows[ids[1]]["after"] == ids[0] and rows[ids[1]]["afterHead"] == 1, rows
            assert "goes on after head 1 of chain %s" % ids[0][:8] in audit(s, "verify", one.name, two.name)
        # The old one without its end, which the new one knows.
        s.start()
        s.stop()
        with kept("".join(old.splitlines(keepends=True)[:-1])) as one, kept(new) as two:
            unsigned = audit(s, "verify", one.name, two.name)
            assert "Nothing is signed" in unsigned
    finally:
        s.stop()
        s.clean()


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
