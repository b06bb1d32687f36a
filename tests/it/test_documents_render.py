#!/usr/bin/python3
"""Several pages of one document, when they are not what goes: evened out each, as their type wants it; made smaller where one is too large by itself;
divided where all of them are too much."""
import hashlib
import json

import models_setup
import suite
from largepages import Limited, noisy_page
from service import sample
from standin_documents import DocumentsStandin

HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
PAGES = ("statement-1", "statement-2", "statement-3")


class Standin(Limited, DocumentsStandin):
    pass


def Setup(route="sydney", image=None, **more):
    setup = models_setup.Setup(HAIKU, route, standin=Standin, **more)
    if image:
        setup.service.change_type("bank-statement", image=image)
    return setup


def bring(s, files):
    return [i for f in files for i in s.submit(f, "bank-statement", document="lease")]


def hashes(s, ids):
    return [s.rows("SELECT sha256 FROM pages WHERE page = ?", i)[0]["sha256"] for i in ids]


def check_one_backend(s, ids, name):
    assert {s.pages()[i]["backend"] for i in ids} == {name} and {s.pages()[i]["state"] for i in ids} == {"done"}


def check_renderings(s, ids, asked, rendered):
    """What is told of a request's pages is what the other side got; the pages that are kept stay as they were."""
    kept = hashes(s, ids)
    attempt = s.call("Show", page=ids[0])["attempts"][-1]["id"]
    told = [next(a for a in s.call("Show", page=i)["attempts"] if a["id"] == attempt).get("rendering") for i in ids]
    assert [r["sha256"] if r else k for r, k in zip(told, kept)] == asked and [bool(r) for r in told] == rendered, (told, asked)
    for r in s.rows("SELECT body FROM receipts WHERE attempt = ?", attempt):
        pages = json.loads(r["body"]).get("pages") or [json.loads(r["body"])]
        assert [(p["page"], p["content"], p.get("rendering", p["content"])) for p in pages] == list(zip(ids, kept, asked)), r
    for i, k in zip(ids, kept):
        with open("%s/pages/%s.jpg" % (s.spool, i), "rb") as f:
            assert hashlib.sha256(f.read()).hexdigest() == k
    return told


def test_each_page_is_evened_out():
    with Setup(route="sydney ocr", image={"flatten": True, "contrast": True}) as (aws, s):
        aws.default = "unavailable"
        ids = bring(s, map(sample, PAGES))
        s.call("EndDocument", name="lease")
        s.wait_states(ids, {"provisional", "held"})
        first = [s.call("Show", page=i)["attempts"][0]["rendering"]["sha256"] for i in ids]
        told = check_renderings(s, ids, first, [True] * 3)
        assert s.call("Show", page=ids[0])["attempts"][-1]["backend"] == "ocr" and all(r["step"] == 0 and "flatten" in r["sense"] for r in told), told
        aws.default = "ok"
        s.wait_states(ids, {"done", "held"})
        assert aws.asked[-1] == first, aws.asked
        check_one_backend(s, ids, "sydney")
        check_renderings(s, ids, first, [True] * 3)


def test_refused_by_their_size_they_are_halved_then_each_is_made_smaller():
    with Setup() as (aws, s):
        ids = bring(s, map(sample, PAGES))
        aws.most_bytes = min(r["bytes"] for r in s.rows("SELECT bytes FROM pages")) * 4 // 5
        s.call("EndDocument", name="lease")
        s.wait_states(ids, {"done", "held"})
        check_one_backend(s, ids, "sydney")
        assert [len(a) for a in aws.asked] == [1] * 3, aws.asked
        rows = s.rows("SELECT outcome, reason, charged FROM attempts WHERE outcome <> 'done'")
        assert {(r["outcome"], r["reason"], r["charged"]) for r in rows} == {("retry", "too-large", 0)}, rows
        for i in ids:
            check_renderings(s, [i], next(a for a in aws.asked if a == [s.call("Show", page=i)["attempts"][-1]["rendering"]["sha256"]]), [True])


def test_one_page_is_larger_than_the_model_takes():
    with Setup(capture={"Square": "no", "MaxSide": "8192", "Quality": "95"}) as (aws, s):
        large = s.folder + "/large.jpg"
        noisy_page(large, PAGES[1], 2500, 3600)
        ids = bring(s, [sample(PAGES[0]), large, sample(PAGES[2])])
        s.call("EndDocument", name="lease")
        s.wait_states(ids, {"done", "held"})
        check_one_backend(s, ids, "sydney")
        assert len(aws.asked) == 1, aws.asked
        told = check_renderings(s, ids, aws.asked[0], [False, True, False])
        assert told[1]["bytes"] <= 3_750_000 < s.rows("SELECT bytes FROM pages WHERE page = ?", ids[1])[0]["bytes"], told


suite.main()
