#!/usr/bin/python3
"""pageferryd spool: a stopped service's spool is looked at, saved and mended."""
import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile

import suite
from service import Service, sample

PAGES = ("receipt-1", "receipt-2", "invoice-1")


class Template:
    """A spool with three answered pages and one that waits; made once, copied for each test."""
    folder = None

    @classmethod
    def make(cls):
        s = Service()
        try:
            s.start()
            cls.ids = [s.submit(sample(n))[0] for n in PAGES]
            s.wait_states(cls.ids, {"done"})
            s.wait(lambda: s.call("Status")["counts"]["undelivered"] == 0)
            s.stop()
            cls.folder = tempfile.mkdtemp(prefix="pageferry-template-", dir="/tmp")
            cls.spool = os.path.join(cls.folder, "spool")
            shutil.copytree(s.spool, cls.spool)
        finally:
            s.stop()
            s.clean()

    @classmethod
    def copy(cls):
        if not cls.folder:
            cls.make()
        s = Service()
        shutil.rmtree(s.spool)
        shutil.copytree(cls.spool, s.spool)
        return s


@contextlib.contextmanager
def stopped_spool():
    s = Template.copy()
    try:
        yield s
    finally:
        s.stop()
        s.clean()


def tree(folder):
    """Every path below with its kind, mode and content."""
    out = {}
    for at, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(at, name)
            st = os.lstat(path)
            content = None
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as f:
                    content = hashlib.sha256(f.read()).hexdigest()
            out[os.path.relpath(path, folder)] = (st.st_mode, st.st_uid, content)
    return out


def edit(s, *statements):
    db = sqlite3.connect(s.spool + "/spool.db")
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute("PRAGMA ignore_check_constraints = ON")
    for sql in statements:
        db.execute(sql)
    db.commit()
    db.close()


def codes(s, *args):
    return sorted({f["finding"] for f in s.fsck(*args)})


# ---- fsck ---------------------------------------------------------------------------------------------------------------------

def test_fsck_of_a_sound_spool_finds_and_changes_nothing():
    with stopped_spool() as s:
        before = tree(s.spool)
        assert s.fsck() == [] and s.fsck("--deep") == []
        r = s.spool_verb("fsck")
        assert r.returncode == 0 and "3 pages, 3 page files" in r.stdout and "0 findings" in r.stdout, r
        assert tree(s.spool) == before


def test_fsck_reads_the_wal_and_leaves_it():
    """What a crash left in -wal counts; it is neither folded in nor is a -shm made."""
    with stopped_spool() as s:
        db = sqlite3.connect(s.spool + "/spool.db")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute("UPDATE pages SET reason = 'x' WHERE page = ?", (Template.ids[0],))
        db.commit()
        for n in ("spool.db", "spool.db-wal"):
            shutil.copy(s.spool + "/" + n, s.folder)
        db.close()
        for n in ("spool.db", "spool.db-wal"):
            shutil.copy(s.folder + "/" + n, s.spool)
        edited = tree(s.spool)
        assert edited["spool.db-wal"] and "spool.db-shm" not in edited, edited
        assert ("page-state", Template.ids[0]) in [(f["finding"], f["subject"]) for f in s.fsck()]
        assert tree(s.spool) == edited


def test_fsck_finds_each_thing():
    page = {}

    def path(s, folder, suffix):
        return "%s/%s/%s%s" % (s.spool, folder, Template.ids[0], suffix)

    def write(name, data):
        def do(s):
            with open(os.path.join(s.spool, name % page), "wb") as f:
                f.write(data)
        return do

    def newer(s):
        with open(path(s, "pages", ".jpg"), "r+b") as f:
            at = f.read().index(b"pageferry1 {")
            f.seek(at)
            f.write(b"pageferry9")

    cases = {
        "page-file-missing": lambda s: os.unlink(path(s, "pages", ".jpg")),
        "page-file-damaged": lambda s: os.truncate(path(s, "pages", ".jpg"), 1000),
        "page-file-foreign": lambda s: (os.unlink(path(s, "pages", ".jpg")), os.mkdir(path(s, "pages", ".jpg"))),
        "export-missing": lambda s: os.unlink(path(s, "results", ".json")),
        "export-damaged": lambda s: os.truncate(path(s, "results", ".json"), 100),
        "export-differs": write("results/%(id)s.json", b"{}"),
        "foreign-file": write("pages/notes.txt", b"x"),
        "tmp-file": write("tmp/x", b"x"),
        "types-damaged": lambda s: os.truncate(s.spool + "/types/" + os.listdir(s.spool + "/types")[0], 5),
        "types-missing": lambda s: os.unlink(s.spool + "/types/" + os.listdir(s.spool + "/types")[0]),
        "damaged-mark": write("damaged", b""),
        "database-missing": lambda s: os.unlink(s.spool + "/spool.db"),
        "database-damaged": write("spool.db", b"x" * 5000),
        "database-foreign": lambda s: edit(s, "PRAGMA application_id = 1"),
        "folder-missing": lambda s: shutil.rmtree(s.spool + "/quarantine"),
        "meta": lambda s: edit(s, "DELETE FROM meta WHERE key = 'spool_id'"),
        "rebuild-unfinished": lambda s: edit(s, "INSERT OR REPLACE INTO meta VALUES ('rebuilt', '1')"),
        "file-without-row": lambda s: edit(s, "DELETE FROM deliveries WHERE page = 1", "DELETE FROM results WHERE page = 1",
                                           "DELETE FROM attempts WHERE page = 1", "DELETE FROM pages WHERE seq = 1"),
        "file-newer": lambda s: (edit(s, "DELETE FROM deliveries WHERE page = 1", "DELETE FROM results WHERE page = 1",
                                      "DELETE FROM attempts WHERE page = 1", "DELETE FROM pages WHERE seq = 1"), newer(s)),
        "page-state": lambda s: edit(s, "UPDATE pages SET reason = 'x' WHERE seq = 1"),
        "page-version": lambda s: edit(s, "UPDATE pages SET version = 2 WHERE seq = 1"),
        "page-unanswered": lambda s: edit(s, "UPDATE pages SET version = 0 WHERE seq = 1"),
        "page-document": lambda s: edit(s, "DELETE FROM documents WHERE id = 1"),
        "page-gone": lambda s: edit(s, "INSERT INTO gone SELECT seq, page, sha256, accepted_ms, 0, 'x' FROM pages WHERE seq = 1"),
        "page-file-aged": lambda s: edit(s, "UPDATE pages SET file = 0 WHERE seq = 1"),
        "page-job": lambda s: edit(s, "UPDATE jobs SET json = '{}'", "UPDATE pages SET state = 'queued'"),
        "result": lambda s: edit(s, "UPDATE results SET json = json_remove(json, '$.trust') WHERE page = 1"),
        "delivery-missing": lambda s: edit(s, "DELETE FROM deliveries WHERE page = 1"),
        "attempt-open": lambda s: edit(s, "UPDATE attempts SET closed_ms = NULL, outcome = NULL WHERE id = 1"),
        "attempt-page": lambda s: edit(s, "UPDATE attempts SET page = 99 WHERE id = 1"),
        "attempt-unspent": lambda s: edit(s, "UPDATE attempts SET outcome = 'crashed', reserved_pusd = 5 WHERE id = 1"),
        "attempt-receipts": lambda s: edit(s, "DELETE FROM receipts WHERE seq = 6"),
        "receipts": lambda s: edit(s, "UPDATE receipts SET body = replace(body, 'ocr', 'ocs') WHERE seq = 2"),
        "foreign-key": lambda s: edit(s, "DELETE FROM typesets"),
    }
    for code, damage in cases.items():
        with stopped_spool() as s:
            page["id"] = Template.ids[0]
            damage(s)
            before = tree(s.spool)
            assert code in codes(s), (code, s.fsck())
            assert tree(s.spool) == before, code


def add_attempt(s, body):
    """A request that has ended, with one receipt, which goes on with the chain."""
    db = sqlite3.connect(s.spool + "/spool.db")
    db.execute("INSERT INTO attempts (page, backend, opened_ms, opened_trust, reserved_pusd, closed_ms, outcome, reason, billed, settled_pusd, day)"
               " SELECT seq, 'ocr', 1, 'trusted', 0, 1, 'untouched', 'residency', 'no', 0, 0 FROM pages LIMIT 1")
    attempt, = db.execute("SELECT max(id) FROM attempts").fetchone()
    db.execute("INSERT INTO usage SELECT 0, 'ocr', '', '', 1, 0, 0, 0, 0, 0, 0, 0" + ", 0" * (len(db.execute("PRAGMA table_info(usage)").fetchall()) - 12)
               + " WHERE true ON CONFLICT DO UPDATE SET attempts = attempts + 1")
    seq, previous = db.execute("SELECT seq, hash FROM receipts ORDER BY seq DESC LIMIT 1").fetchone()
    body = json.dumps(dict({"v": 1, "seq": seq + 1, "kind": "answered", "attempt": attempt}, **body), separators=(",", ":"))
    db.execute("INSERT INTO receipts VALUES (?, ?, 'answered', ?, ?)",
               (seq + 1, attempt, body, hashlib.sha256((previous + "\n" + body).encode()).hexdigest()))
    db.commit()
    db.close()


def test_fsck_and_a_request_that_was_never_sent():
    with stopped_spool() as s:
        add_attempt(s, {})
        assert s.fsck() == []
        add_attempt(s, {"body": "0" * 64})  # that was made, and so should have been told of before it went
        assert codes(s) == ["attempt-receipts"]


def test_fsck_follows_the_signed_heads():
    with stopped_spool() as s:
        db = sqlite3.connect(s.spool + "/spool.db")
        body, = db.execute("SELECT body FROM heads").fetchone()
        db.close()
        assert codes(s) == []
        edit(s, "UPDATE heads SET sig = substr(sig, 1, 20) || CASE substr(sig, 21, 1) WHEN 'A' THEN 'B' ELSE 'A' END || substr(sig, 22)")
        assert codes(s) == ["receipts"]
        edit(s, "UPDATE heads SET body = '%s'" % body.replace('"seq":', '"seq":1'))
        assert codes(s) == ["receipts"]
        edit(s, "DELETE FROM heads")  # it says so itself: nothing is signed
        assert codes(s) == []


def test_fsck_knows_what_lies_beside_no_page():
    name = "20300102T030405-zzzzzz.thumbnail.jpg"
    with stopped_spool() as s:
        edit(s, "UPDATE pages SET file = 0 WHERE seq = 1")
        for n in os.listdir(s.spool + "/beside"):
            os.unlink(os.path.join(s.spool, "beside", n))
        for n in (name, Template.ids[0] + ".original.jpg", Template.ids[1] + ".original.jpg"):
            with open(os.path.join(s.spool, "beside", n), "wb"):
                pass
        found = {f["subject"]: f["next"] for f in s.fsck() if f["subject"].startswith("beside/")}
        assert sorted(found) == sorted("beside/" + n for n in (name, Template.ids[0] + ".original.jpg")), found
        assert "sets it aside" in found["beside/" + name] and "removes it" in found["beside/%s.original.jpg" % Template.ids[0]], found
        s.start()
        s.wait(lambda: os.listdir(s.spool + "/beside") == [Template.ids[1] + ".original.jpg"])
        s.stop()
        assert name in os.listdir(s.spool + "/quarantine")
        assert not [f for f in s.fsck() if f["subject"].startswith("beside/")]


def test_fsck_says_what_the_next_start_does():
    with stopped_spool() as s:
        types = s.spool + "/types/" + os.listdir(s.spool + "/types")[0]
        with open(types, "rb") as f:
            whole = f.read()
        for damage in (lambda: os.truncate(types, 5), lambda: os.unlink(types), lambda: (os.unlink(types), os.mkdir(types))):
            damage()
            found = s.fsck()
            assert found and all(f["remedy"] == "start" and "writes it from the database" in f["next"] for f in found), found
            s.start()
            s.wait(lambda: os.path.isfile(types) and os.path.getsize(types) == len(whole))
            s.stop()
            with open(types, "rb") as f:
                assert f.read() == whole
            assert s.fsck() == []
        with open(s.spool + "/damaged", "wb"):
            pass
        assert ["keeps it if it is sound" in f["next"] for f in s.fsck()] == [True]
        s.start()
        s.stop()
        assert s.fsck() == [] and not [n for n in os.listdir(s.spool + "/quarantine") if n.startswith("spool.db")]
        with open(s.spool + "/damaged", "wb") as f:
            f.write(b"asked for")
        assert ["sets it aside" in f["next"] for f in s.fsck()] == [True]
    with stopped_spool() as s:
        name = "/types/" + "0" * 64 + ".json"
        with open(s.spool + name, "wb") as f:
            f.write(b"x")
        assert [(f["finding"], f["remedy"]) for f in s.fsck()] == [("types-damaged", "person")]


def test_fsck_survives_every_damaged_page_of_the_database():
    with stopped_spool() as s:
        with open(s.spool + "/spool.db", "rb") as f:
            whole = f.read()
        silent = []
        for at in range(0, len(whole), 4096):
            with open(s.spool + "/spool.db", "wb") as f:
                f.write(whole[:at] + b"\xa5" * 4096 + whole[at + 4096:])
            r = s.spool_verb("fsck", "--json", "--deep")
            assert r.returncode in (0, 1), (at, r)
            silent += [at] if r.returncode == 0 else []
        # Pages of the free list hold nothing.
        assert len(silent) <= 2, silent


def test_fsck_refuses_a_running_service():
    with Service() as s:
        r = s.spool_verb("fsck")
        assert r.returncode == 2 and "the service is running" in r.stderr and not r.stdout, r


# ---- ls, export ---------------------------------------------------------------------------------------------------------------

def test_ls():
    with stopped_spool() as s:
        edit(s, "UPDATE pages SET state = 'held', reason = 'so' WHERE seq = 2")
        before = tree(s.spool)
        rows = [json.loads(line) for line in s.spool_verb("ls", "--json").stdout.splitlines()]
        assert [r["page"] for r in rows] == Template.ids
        assert [(r["state"], r["reason"]) for r in rows] == [("done", None), ("held", "so"), ("done", None)], rows
        r = s.spool_verb("ls", "--state", "held")
        assert r.returncode == 0 and Template.ids[1] in r.stdout and "receipt-2.jpg; so" in r.stdout and len(r.stdout.splitlines()) == 1, r
        assert tree(s.spool) == before


def check_export(s, dest, database=True, results_only=False):
    with open(dest + "/manifest.json", encoding="utf-8") as f:
        m = json.load(f)
    assert m["pageferry_export"] == 1 and m["count"] == len(m["pages"]) == 3 and m["database"] == database, m
    assert sorted(p["page"] for p in m["pages"]) == sorted(Template.ids)
    for p in m["pages"]:
        name = dest + "/pages/%s.jpg" % p["page"]
        assert os.path.exists(name) != results_only
        if not results_only and not p["problem"]:
            with open(name, "rb") as f:
                assert hashlib.sha256(f.read()).hexdigest() == p["sha256"]
        assert len(p["results"]) == 1, p
        with open(dest + "/results/" + p["results"][0], encoding="utf-8") as f:
            assert json.load(f)["page"] == p["page"]
    return m


def test_export():
    with stopped_spool() as s:
        before, dest = tree(s.spool), s.folder + "/copy"
        r = s.spool_verb("export", dest)
        assert r.returncode == 0 and "3 pages, 0 not whole" in r.stdout, r
        check_export(s, dest)
        r = s.spool_verb("export", dest)
        assert r.returncode == 2 and "empty folder" in r.stderr, r
        os.mkdir(s.folder + "/results")
        assert s.spool_verb("export", s.folder + "/results", "--results-only").returncode == 0
        check_export(s, s.folder + "/results", results_only=True)
        assert s.spool_verb("export", s.folder + "/held", "--state", "held").stdout.startswith("0 pages")
        assert tree(s.spool) == before


def test_export_of_damage():
    with stopped_spool() as s:
        os.truncate(s.spool + "/pages/%s.jpg" % Template.ids[1], 2000)
        r = s.spool_verb("export", s.folder + "/one")
        assert r.returncode == 1 and "3 pages, 1 not whole" in r.stdout, r
        problems = {p["page"]: p["problem"] for p in check_export(s, s.folder + "/one")["pages"]}
        assert problems == {Template.ids[0]: None, Template.ids[1]: "its file is not what was accepted", Template.ids[2]: None}, problems
    with stopped_spool() as s:
        with open(s.spool + "/spool.db", "wb") as f:
            f.write(b"x" * 9000)
        before = tree(s.spool)
        r = s.spool_verb("export", s.folder + "/two")
        assert r.returncode == 1 and "the database cannot be read" in r.stderr, r
        check_export(s, s.folder + "/two", database=False)
        assert tree(s.spool) == before
    # Damage below the header, which is met on the way.
    with stopped_spool() as s:
        size = os.path.getsize(s.spool + "/spool.db")
        with open(s.spool + "/spool.db", "r+b") as f:
            f.seek(4096)
            f.write(b"\0" * (size - 4096))
        r = s.spool_verb("export", s.folder + "/three")
        assert r.returncode == 1, r
        check_export(s, s.folder + "/three", database=False)


def test_export_lists_each_page_once():
    """Damage may be met between any two pages."""
    with stopped_spool() as s:
        for i in range(1, len(Template.ids)):
            # Of this page's result the text is where nothing else is, and cannot be read.
            edit(s, "UPDATE results SET raw = '%s' WHERE page = %d" % ("x" * 9000, i + 1))
        with open(s.spool + "/spool.db", "rb") as f:
            whole = f.read()
        halfway = 0
        for at in range(4096, len(whole), 4096):
            with open(s.spool + "/spool.db", "wb") as f:
                f.write(whole[:at] + b"\xa5" * 4096 + whole[at + 4096:])
            for args in ((), ("--results-only",)):
                dest = s.folder + "/%d-%d" % (at, len(args))
                r = s.spool_verb("export", dest, *args)
                if not os.path.exists(dest + "/manifest.json"):
                    assert r.returncode == 2, (at, r)
                    continue
                with open(dest + "/manifest.json", encoding="utf-8") as f:
                    m = json.load(f)
                assert sorted(p["page"] for p in m["pages"]) == sorted(Template.ids), (at, args, m)
                halfway += not m["database"] and any(p.get("state") for p in m["pages"])
        assert halfway, "damage was always met at once"


# ---- rebuild, quarantine ------------------------------------------------------------------------------------------------------

def test_rebuild():
    with stopped_spool() as s:
        os.unlink(s.spool + "/results/%s.json" % Template.ids[1])
        before = tree(s.spool)
        r = s.spool_verb("rebuild")
        assert r.returncode == 2 and "--yes" in r.stderr and tree(s.spool) == before, r
        r = s.spool_verb("rebuild", "--yes")
        assert r.returncode == 0 and "3 pages found" in r.stdout and "pageferryctl confirm" in r.stdout, r
        assert s.fsck() == []
        assert [p["page"] for p in s.rows("SELECT page FROM pages ORDER BY seq")] == Template.ids
        states = {p["page"]: p["state"] for p in s.rows("SELECT page, state FROM pages")}
        assert states == {Template.ids[0]: "held", Template.ids[1]: "queued", Template.ids[2]: "held"}, states
        aside = [n for n in os.listdir(s.spool + "/quarantine") if n.startswith("spool.db")]
        assert len(aside) == 2, aside
        r = s.spool_verb("quarantine")
        assert r.returncode == 0 and "asked for with pageferryd spool rebuild" in r.stdout, r
        s.start()
        s.wait_states([Template.ids[1]], {"done"})


def test_rebuild_refuses_a_newer_database():
    with stopped_spool() as s:
        edit(s, "PRAGMA user_version = 99")
        before = tree(s.spool)
        for args in (("rebuild", "--yes"), ("ls",), ("fsck",), ("export", s.folder + "/x")):
            r = s.spool_verb(*args)
            assert r.returncode == 2 and "newer" in r.stderr, r
        assert not s.start() and "newer" in s.read_log()
        s.kill()
        assert tree(s.spool) == before


def test_quarantine():
    with stopped_spool() as s:
        page = Template.ids[0]
        edit(s, "DELETE FROM deliveries WHERE page = 1", "DELETE FROM results WHERE page = 1", "DELETE FROM receipts WHERE attempt = 1",
             "DELETE FROM attempts WHERE page = 1", "DELETE FROM pages WHERE seq = 1")
        os.rename(s.spool + "/pages/%s.jpg" % page, s.spool + "/quarantine/%s.jpg.3" % page)
        for name, text in ((page + ".jpg.3.reason", "a whim\nwas: x\n"), ("notes.txt", "x"), ("notes.txt.reason", "found\x1b[31m\n")):
            with open(s.spool + "/quarantine/" + name, "w", encoding="utf-8") as f:
                f.write(text)
        r = s.spool_verb("quarantine", "ls")
        assert r.returncode == 0 and len(r.stdout.splitlines()) == 2 and "a whim" in r.stdout and "\x1b" not in r.stdout, r
        r = s.spool_verb("quarantine", "show", page + ".jpg.3")
        assert r.returncode == 0 and "was: x" in r.stdout, r
        for args in (("restore", "notes.txt"), ("show", "../spool.db"), ("drop", "../spool.db", "--yes"), ("drop", "notes.txt"), ("show", "none"), ("eat", "x")):
            assert s.spool_verb("quarantine", *args).returncode == (0 if args == ("show", "none") else 2), args
        r = s.spool_verb("quarantine", "restore", page + ".jpg.3")
        assert r.returncode == 0 and "held again" in r.stdout, r
        assert s.rows("SELECT state, reason FROM pages WHERE page = ?", page)[0]["reason"].startswith("restored: ")
        assert s.spool_verb("quarantine", "drop", "notes.txt", "--yes").returncode == 0
        gone = Template.ids[1]
        edit(s, "UPDATE pages SET file = 0 WHERE page = '%s'" % gone)
        shutil.move(s.spool + "/pages/%s.jpg" % gone, s.spool + "/quarantine/%s.jpg" % gone)
        r = s.spool_verb("quarantine", "restore", gone + ".jpg")
        assert r.returncode == 2 and "aged out" in r.stderr, r
        os.remove(s.spool + "/quarantine/%s.jpg" % gone) # raises if it went
        assert os.listdir(s.spool + "/quarantine") == []
        s.start()
        s.call("Retry", pages=[page])
        s.wait_states([page], {"done"})


def test_root_works_as_the_owner_of_the_folder():
    if os.geteuid() != 0:
        raise suite.Skip("needs root")
    with stopped_spool() as s:
        os.chmod(s.folder, 0o755)
        for at, folders, files in os.walk(s.spool):
            for path in [at] + [os.path.join(at, n) for n in folders + files]:
                os.lchown(path, 65534, 65534)
        assert s.spool_verb("rebuild", "--yes").returncode == 0
        assert {owner for _, owner, _ in tree(s.spool).values()} == {65534}, tree(s.spool)


def test_ctl_hands_on():
    with stopped_spool() as s:
        r = subprocess.run([s.build + "/pageferryctl", "spool", "fsck", "-c", s.config], stdout=subprocess.PIPE, encoding="utf-8", check=False)
        assert r.returncode == 0 and "0 findings" in r.stdout, r
        r = subprocess.run([s.build + "/pageferryctl", "spool", "help"], stdout=subprocess.PIPE, encoding="utf-8", check=False)
        assert r.returncode == 0 and "quarantine restore NAME" in r.stdout, r


def test_wrong_use():
    with stopped_spool() as s:
        for args in ((), ("fsc",), ("fsck", "x"), ("fsck", "--nonsense"), ("ls", "--state", "lost"), ("export",)):
            r = s.spool_verb(*args)
            assert r.returncode == 2 and r.stderr and not r.stdout, (args, r)


def main():
    try:
        suite.main()
    finally:
        if Template.folder:
            shutil.rmtree(Template.folder)


main()
