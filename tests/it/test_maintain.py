#!/usr/bin/python3
"""pageferryd spool: a stopped service's spool is looked at, saved and mended."""
import contextlib
import hashlib
import os
import shutil
import sqlite3
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


def test_wrong_use():
    with stopped_spool() as s:
        for args in ((), ("fsc",), ("fsck", "x"), ("fsck", "--nonsense")):
            r = s.spool_verb(*args)
            assert r.returncode == 2 and r.stderr and not r.stdout, (args, r)


def main():
    try:
        suite.main()
    finally:
        if Template.folder:
            shutil.rmtree(Template.folder)


main()
