#!/usr/bin/python3
"""Several pages of one document, from the command line to the answer: one request with all of them, in their order, within what the model
takes; a restart in between; a fallback that reads them one by one."""
import json
import os
import subprocess

import models_setup
import suite
from service import build_folder, sample
from standin_documents import DocumentsStandin
from varlink import VarlinkError

HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
PAGES = ("statement-1", "statement-2", "statement-3")


def Setup(route="sydney", most=20, **backend):
    return models_setup.Setup(HAIKU, route, standin=lambda folder: DocumentsStandin(folder, most), **backend)


def ctl(s, *words):
    r = subprocess.run([os.path.join(build_folder(), "pageferryctl"), "--socket", s.socket] + list(words), capture_output=True, text=True, timeout=100,
                       check=False)
    return r.returncode, r.stdout, r.stderr


def bring(s, names=PAGES, document="lease", kind="bank-statement"):
    return [i for n in names for i in s.submit(sample(n), kind, document=document)]


def hashes(s, ids):
    return [s.rows("SELECT sha256 FROM pages WHERE page = ?", i)[0]["sha256"] for i in ids]


def check_one_answer(s, ids):
    """All of them are done by one attempt and one result, which each of them shows."""
    shown = [s.call("Show", page=i) for i in ids]
    assert all(p["page"]["state"] == "done" for p in shown), shown
    assert [p["page"].get("leader") for p in shown] == [None] + ids[:1] * (len(ids) - 1), shown
    assert all(p["results"] == shown[0]["results"] and len(p["results"]) == 1 for p in shown)
    assert all([a["id"] for a in p["attempts"]] == [a["id"] for a in shown[0]["attempts"]] for p in shown)
    result = shown[0]["results"][0]
    assert [p["page"] for p in result["pages"]] == ids and [p["content_sha256"] for p in result["pages"]] == hashes(s, ids), result
    assert len({p["page"]["backend"] for p in shown}) == 1, shown
    return result


def test_one_request_for_all_pages():
    with Setup() as (aws, s):
        ids = bring(s)
        assert {p["state"] for p in s.pages().values()} == {"queued"} and not aws.asked, "asked before the document's end"
        d = s.call("Documents")["documents"]
        assert d == [{"name": "lease", "document": ids[0], "type": "bank-statement", "pages": 3}], d
        assert s.call("EndDocument", name="lease") == {"document": ids[0], "pages": ids}
        s.wait_states(ids, {"done", "held"})
        check_one_answer(s, ids)
        assert aws.asked == [hashes(s, ids)], aws.asked
        receipts = [json.loads(r["body"]) for r in s.rows("SELECT body FROM receipts ORDER BY seq")]
        assert [[p["page"] for p in r["pages"]] for r in receipts] == [ids, ids], receipts
        costs = [int(p["costPicoUsd"]) for p in s.pages().values()]
        assert sorted(costs)[:2] == [0, 0] and max(costs) > 0, costs
        s.wait(lambda: os.path.exists(os.path.join(s.spool, "results", ids[0] + ".json")))


def test_by_the_command_line():
    with Setup() as (aws, s):
        code, out, err = ctl(s, "extract", "--type", "bank-statement", "--document", "lease", sample(PAGES[0]))
        assert code == 0 and not aws.asked, (out, err)
        code, out, err = ctl(s, "document", "list")
        assert code == 0 and out.startswith("lease  1 page  bank-statement"), (out, err)
        code, out, err = ctl(s, "extract", "--document", "lease", "--end", sample(PAGES[1]), sample(PAGES[2]))
        assert code == 0 and "2 pages: 2 answered" in out, (out, err)
        # The leader was handed in before: its answer is printed once, at the first of these.
        lines = out.splitlines()
        told = [i for i, line in enumerate(lines) if "is of one document with" in line]
        assert len(told) == 2 and ": bank-statement, " in lines[told[0]] and lines[told[0] + 1].startswith("  "), out
        assert lines[told[0]].split(": ")[0].split()[-1] == lines[told[1]].split()[-1], out
        check_one_answer(s, sorted(s.pages(), key=lambda i: s.pages()[i]["position"]))
        assert [len(a) for a in aws.asked] == [3]
        assert json.loads(ctl(s, "usage", "--json")[1])["pages"] == 3
        assert json.loads(ctl(s, "audit", "report", "--json")[1].splitlines()[0])["pages"] == 3
        code, out, err = ctl(s, "document", "end", "lease")
        assert code == 1 and "no open document" in err, (out, err)
        assert ctl(s, "scan", "--end")[0] == 2
        # What cannot be taken leaves the document open.
        code, out, err = ctl(s, "extract", "--document", "b", "--end", sample("invoice-1"), "/dev/null")
        assert code == 1 and "stays open" in err, (out, err)
        assert [d["name"] for d in s.call("Documents")["documents"]] == ["b"]


def test_what_is_wrong_with_a_name():
    with Setup() as (_, s):
        bring(s, PAGES[:1])
        for parameters, error in (({"document": "x" * 65}, "org.varlink.service.InvalidParameter"), ({"document": "a\nb"}, "org.varlink.service.InvalidParameter"),
                                  ({"document": "lease", "kind": "invoice"}, "io.pageferry.NotNow")):
            try:
                s.submit(sample("invoice-1"), **parameters)
                raise AssertionError("taken: %r" % parameters)
            except VarlinkError as e:
                assert e.name == error, (parameters, e.name)
        assert len(s.pages()) == 1


def test_a_restart_in_between():
    with Setup() as (aws, s):
        ids = bring(s, PAGES[:2])
        s.kill()
        s.start()
        ids += bring(s, PAGES[2:])
        assert not aws.asked
        s.call("EndDocument", name="lease")
        s.wait_states(ids, {"done", "held"})
        check_one_answer(s, ids)


def test_killed_while_it_is_asked():
    with Setup() as (aws, s):
        aws.script = ["delay"]
        ids = bring(s)
        s.call("EndDocument", name="lease")
        assert aws.delayed.wait(60)
        s.kill()
        aws.release.set()
        s.start()
        s.wait_states(ids, {"done", "held"})
        check = [json.loads(r["body"]) for r in s.rows("SELECT body FROM receipts WHERE kind = 'crashed'")]
        assert [[p["page"] for p in r["pages"]] for r in check] == [ids], check
        assert [p["state"] for p in s.pages().values()] == ["done"] * 3
        assert s.rows("SELECT count(*) AS n FROM results")[0]["n"] == 1


def test_more_than_the_model_takes():
    """The service refuses them all at once: half of them, then."""
    with Setup(most=2) as (aws, s):
        ids = bring(s)
        s.call("EndDocument", name="lease")
        s.wait_states(ids, {"done", "held"})
        assert sorted(len(a) for a in aws.asked) in ([1, 2, 3], [1, 1, 1, 2, 3]), aws.asked
        assert {p["state"] for p in s.pages().values()} == {"done"}, s.pages()
        done = [h for a in aws.asked if len(a) <= 2 for h in a]
        assert sorted(done) == sorted(hashes(s, ids)), "a page was asked twice, or not at all"


def test_as_many_as_are_configured():
    with Setup(PagesPerRequest="2") as (aws, s):
        ids = bring(s)
        s.call("EndDocument", name="lease")
        s.wait_states(ids, {"done", "held"})
        h = hashes(s, ids)
        assert sorted(aws.asked, key=len) == [h[2:], h[:2]], aws.asked


def test_ocr_reads_page_by_page():
    """A fallback, and then the one that counts."""
    with Setup(route="sydney ocr") as (aws, s):
        aws.default = "unavailable"
        ids = bring(s)
        s.call("EndDocument", name="lease")
        s.wait_states(ids, {"provisional", "held"})
        r = s.call("Show", page=ids[1])["results"]
        assert len(r) == 1 and r[0]["backend"] == "ocr" and [p["page"] for p in r[0]["pages"]] == ids, r
        pages = {f.get("page") for f in r[0]["fields"].values()}
        assert 1 in pages, r[0]["fields"]
        assert s.rows("SELECT count(*) AS n FROM attempts WHERE backend = 'ocr'")[0]["n"] == 1
        aws.default = "ok"
        s.wait_states(ids, {"done", "held"})
        assert {p["backend"] for p in s.pages().values()} == {"sydney"} and {p["state"] for p in s.pages().values()} == {"done"}


def test_the_same_document_is_paid_once():
    with Setup() as (aws, s):
        bring(s)
        s.call("EndDocument", name="lease")
        s.wait(lambda: {p["state"] for p in s.pages().values()} == {"done"})
        ids = bring(s, document="copy")
        s.call("EndDocument", name="copy")
        s.wait_states(ids, {"done", "held"})
        check_one_answer(s, ids)
        assert len(aws.asked) == 1, aws.asked
        # Its first page by itself is something else.
        ids = bring(s, PAGES[:1], "first")
        s.call("EndDocument", name="first")
        s.wait_states(ids, {"done", "held"})
        assert [len(a) for a in aws.asked] == [3, 1]


def test_a_lost_page_holds_the_others():
    with Setup() as (aws, s):
        ids = bring(s)
        os.unlink(os.path.join(s.spool, "pages", ids[1] + ".jpg"))
        s.call("EndDocument", name="lease")
        s.wait_states(ids, {"held"})
        reasons = [s.pages()[i]["reason"] for i in ids]
        assert reasons[1].startswith("lost:") and ids[1] in reasons[0] and reasons[0] == reasons[2], reasons
        assert not aws.asked
        s.call("Retry", pages=[ids[2]])
        s.wait(lambda: s.pages()[ids[0]]["state"] == s.pages()[ids[2]]["state"] == "done")
        assert [len(a) for a in aws.asked] == [2]


def test_hold_release_and_drop_act_on_all():
    with Setup() as (aws, s):
        ids = bring(s)
        s.call("Hold", pages=[ids[1]], reason="wait")
        assert {p["state"] for p in s.pages().values()} == {"held"}
        s.call("EndDocument", name="lease")
        assert s.call("Release", filter={})["unchangedCount"] == 0
        s.wait_states(ids, {"done"})
        assert len(aws.asked) == 1
        s.call("Drop", pages=[ids[2]], reason="a test")
        assert s.pages() == {} and not os.listdir(os.path.join(s.spool, "pages"))


suite.main()
