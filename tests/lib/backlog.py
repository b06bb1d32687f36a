"""Long queues at once: copies of pages that a real service took and answered, written straight into the spool of a stopped one. Every copy has
its own file with its own comment, its own document, and, where it was answered, its own attempt, receipts, result, delivery and export."""
import hashlib
import io
import os
import sqlite3
import time

from PIL import Image, ImageDraw

from service import Service
from standin_llama import LlamaStandin

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
FIRST_MS = 1767225600000  # 2026-01-01T00:00:00Z, and 7 s from page to page


def small_page():
    """A page of about a kilobyte."""
    image = Image.new("L", (96, 64), 255)
    ImageDraw.Draw(image).text((4, 20), "Total $12.00", fill=0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=50)
    return out.getvalue()


def page_id(n):
    suffix = hashlib.sha256(b"%d" % n).digest()
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime(FIRST_MS / 1000 + 7 * n)) + "-" + "".join(ALPHABET[b % 32] for b in suffix[:6])


def insert(db, table, rows):
    rows = list(rows)
    if rows:
        names = list(rows[0])
        db.executemany("INSERT INTO %s (%s) VALUES (%s)" % (table, ", ".join(names), ", ".join("?" * len(names))), [list(r.values()) for r in rows])


class Backlog:
    """`with Backlog() as b: b.fill(100000); b.service.start()`: a service of one route to a stand-in (`b.backend`), which is off until it is started."""

    def __init__(self, sections=None, build=None):
        self.backend = LlamaStandin()
        self.backend.start()
        base = {"Route": {"Backends": "jetson"},
                "Backend jetson": {"Kind": "openai", "URL": "http://127.0.0.1:%d" % self.backend.port, "Backoff": "100ms", "BackoffMax": "400ms"}}
        for name, keys in (sections or {}).items():
            base.setdefault(name, {}).update(keys)
        self.service = Service(base, build=build)
        self.page = os.path.join(self.service.folder, "small.jpg")
        self.receipts = None
        with open(self.page, "wb") as f:
            f.write(small_page())

    def __enter__(self):
        """Two jobs, a page answered of each: what the copies are made of."""
        self.service.start()
        ids = self.service.submit(self.page, "receipt") + self.service.submit(self.page, "invoice")
        self.service.wait_states(ids, {"done"})
        self.service.wait(lambda: self.service.call("Status")["counts"]["undelivered"] == 0)
        self.service.stop()
        self.backend.stop()
        self.of = [self._template(i) for i in ids]
        return self

    def __exit__(self, *_):
        self.service.stop()
        self.backend.stop()
        self.service.clean()

    def _template(self, page):
        rows, spool = self.service.rows, self.service.spool
        row = rows("SELECT * FROM pages WHERE page = ?", page)[0]
        with open(os.path.join(spool, "pages", page + ".jpg"), "rb") as f, open(os.path.join(spool, "results", page + ".json"), "rb") as e:
            return {"page": row, "jpeg": f.read(), "export": e.read(),
                    "document": rows("SELECT * FROM documents WHERE id = ?", row["document"])[0],
                    "attempt": rows("SELECT * FROM attempts WHERE page = ?", row["seq"])[0],
                    "result": rows("SELECT * FROM results WHERE page = ?", row["seq"])[0],
                    "delivery": rows("SELECT * FROM deliveries WHERE page = ?", row["seq"])[0],
                    "receipts": rows("SELECT * FROM receipts WHERE attempt IN (SELECT id FROM attempts WHERE page = ?) ORDER BY seq", row["seq"])}

    def fill(self, n, shape=None, exports=True):
        """n more pages. shape(i) gives columns of the i-th that differ from a queued page that nobody has tried, and `of` (0, 1: which job),
        `answered` (by whom: its rows and export are there) and `failed` (it has an attempt that came to nothing)."""
        db = sqlite3.connect(os.path.join(self.service.spool, "spool.db"), isolation_level=None)
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        last = {t: db.execute("SELECT coalesce(max(%s), 0) FROM %s" % (k, t)).fetchone()[0]
                for t, k in (("pages", "seq"), ("documents", "id"), ("attempts", "id"), ("receipts", "seq"))}
        self.receipts = db.execute("SELECT hash FROM receipts ORDER BY seq DESC LIMIT 1").fetchone()[0]
        for start in range(0, n, 5000):
            self._fill(db, range(start, min(n, start + 5000)), last, shape or (lambda i: {}), exports)
        db.execute("COMMIT")
        db.close()  # the last one to close writes the -wal back

    def _fill(self, db, numbers, last, shape, exports):
        tables = {t: [] for t in ("documents", "pages", "attempts", "receipts", "results", "deliveries")}
        for i in numbers:
            new = dict({"state": "queued", "reason": None, "rung": 0, "tries": 0, "tried_ms": 0, "tried_boot": None, "tried_boot_ms": None}, **shape(i))
            of = self.of[new.pop("of", 0)]
            answered, failed = new.pop("answered", None), new.pop("failed", False)
            self._add(tables, of, i, last, new, answered, failed, exports)
        for table, rows in tables.items():
            insert(db, table, rows)

    def _add(self, tables, of, i, last, new, answered, failed, exports):
        seq, document = last["pages"] + 1 + i, last["documents"] + 1 + i
        page, was = page_id(seq), of["page"]["page"]
        jpeg = of["jpeg"].replace(was.encode(), page.encode())
        with open(os.path.join(self.service.spool, "pages", page + ".jpg"), "wb") as f:
            f.write(jpeg)
        tables["documents"].append(dict(of["document"], id=document, document=page))
        tables["pages"].append(dict(of["page"], seq=seq, page=page, document=document, accepted_ms=FIRST_MS + 7000 * seq, bytes=len(jpeg),
                                    sha256=hashlib.sha256(jpeg).hexdigest(), **dict(new, version=1 if answered else 0, kept_ms=of["page"]["kept_ms"] if new["state"] == "done" else None)))
        if not answered and not failed:
            return
        last["attempts"] += 1
        attempt = dict(of["attempt"], id=last["attempts"], page=seq, backend=answered or "jetson")
        if failed:
            attempt.update(outcome="retry", reason="server", message="it failed", charged=1)
        tables["attempts"].append(attempt)
        for r in of["receipts"]:
            last["receipts"] += 1
            body = r["body"].replace('"seq":%d,' % r["seq"], '"seq":%d,' % last["receipts"]).replace(was, page)
            body = body.replace('"attempt":%d,' % r["attempt"], '"attempt":%d,' % attempt["id"])
            self.receipts = hashlib.sha256((self.receipts + "\n" + body).encode()).hexdigest()
            tables["receipts"].append(dict(r, seq=last["receipts"], attempt=attempt["id"], body=body, hash=self.receipts))
        if not answered:
            return
        tables["results"].append(dict(of["result"], page=seq, attempt=attempt["id"], json=of["result"]["json"].replace(was, page)))
        delivery = dict(of["delivery"], page=seq)
        delivery.pop("id")
        tables["deliveries"].append(delivery)
        if exports:
            with open(os.path.join(self.service.spool, "results", page + ".json"), "wb") as f:
                f.write(of["export"].replace(was.encode(), page.encode()))
