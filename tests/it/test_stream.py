#!/usr/bin/python3
"""Answers that come as streams, of each form: to their end, while they arrive, and everything that can go wrong on the way."""
import json
import os
from decimal import Decimal

import botocore.eventstream
import suite
from models_setup import HAIKU, NOVA, OWN, Setup
from service import ROOT, sample, truth
from standin_stream import ORDER, StreamStandin, events, exception

FORMS = ((NOVA, "auto", "/invoke-with-response-stream"), (HAIKU, "auto", "/invoke-with-response-stream"), (OWN, "auto", "/converse-stream"))


def setup(model, api="auto", **backend):
    return Setup(model, standin=StreamStandin, Stream="yes", Api=api, **backend)


def test_frames_are_what_botocore_reads():
    payload = {"output": {"message": {"content": [{"toolUse": {"toolUseId": "t", "name": "n", "input": {"total": "1.00"}}}]}}, "stopReason": "tool_use",
               "usage": {"inputTokens": 1, "outputTokens": 2}}
    buffer = botocore.eventstream.EventStreamBuffer()
    buffer.add_data(b"".join(f for part in ORDER for f in events("converse-stream", payload)[part]) + exception("throttlingException", "x"))
    read = [(e.headers.get(":event-type") or e.headers[":exception-type"], json.loads(e.payload)) for e in buffer]
    assert [k for k, _ in read][-4:] == ["contentBlockStop", "messageStop", "metadata", "throttlingException"], read
    assert "".join(v["delta"]["toolUse"]["input"] for k, v in read if k == "contentBlockDelta") == '{"total": "1.00"}', read


def one_page(model, api, path_end):
    with setup(model, api) as (aws, s):
        ids = s.submit(sample("invoice-1"), "invoice")
        s.wait_states(ids, {"done", "held"})
        assert [r["status"] for r in aws.requests] == [200], aws.requests
        assert aws.requests[0]["line"].split()[1].endswith(path_end), aws.requests
        row, usage = s.rows("SELECT * FROM attempts")[0], aws.requests[0]["usage"]
        assert (row["tokens_input"], row["tokens_output"]) == (usage["inputTokens"], usage["outputTokens"]), row
        usd = Decimal(usage["inputTokens"]) * Decimal("1.10") + Decimal(usage["outputTokens"]) * Decimal("5.50")
        assert row["settled_pusd"] == int(usd * 10**6) and row["billed"] == "yes", (row, usd)
        want, got = truth("invoice-1")["fields"], s.call("Show", page=ids[0])["results"][0]["fields"]
        assert len([f for f, v in want.items() if got.get(f, {}).get("value") == v]) >= 9, got


def test_to_the_end():
    for form in FORMS:
        one_page(*form)
    one_page(NOVA, "converse", "/converse-stream")


def test_what_arrives_is_told():
    with setup(HAIKU) as (aws, s):
        aws.script = ["stream-pause"]
        with s.client() as client:
            client.send("io.pageferry.Monitor", more=True)
            ids = s.submit(sample("receipt-1"), "receipt")
            kinds, page = [], None
            while "answering" not in kinds:
                event = client.receive()[0]["event"]
                if event.get("page"):
                    kinds.append(event["kind"])
                    page = event["page"]
            assert kinds[-2:] == ["attempt-started", "answering"], kinds
            assert page["id"] == ids[0] and page["answering"] > 0, page
            shown = s.call("Show", page=ids[0])["page"]
            assert shown["answering"] > 0 and shown["state"] == "queued", shown
            aws.release.set()
            s.wait_states(ids, {"done"})
            assert "answering" not in s.call("Show", page=ids[0])["page"]


def wrong(behaviours, model=OWN, **backend):
    """These streams, then one that is right; the attempts, and what the stand-in saw."""
    with setup(model, **backend) as (aws, s):
        aws.script = ["stream-" + b for b in behaviours]
        ids = s.submit(sample("receipt-1"), "receipt")
        s.wait_states(ids, {"done"})
        attempts = s.rows("SELECT * FROM attempts ORDER BY id")
        assert attempts[-1]["outcome"] == "done", attempts
        assert s.rows("SELECT page FROM results GROUP BY page HAVING count(*) > 1") == []
        return attempts, aws


def test_cut_and_damaged():
    """Also frames that say they are too large: those are not waited for."""
    for model, behaviour, reason in ((OWN, "bad-crc", "not-an-answer"), (NOVA, "bad-crc", "not-an-answer"), (HAIKU, "no-end", "answered"),
                                     (NOVA, "no-end", "answered"), (HAIKU, "cut-payload", "connection-lost")):
        attempts, _ = wrong([behaviour], model)
        assert attempts[0]["reason"] == reason and attempts[0]["settled_pusd"] == attempts[0]["reserved_pusd"], (behaviour, attempts)
        assert attempts[0]["billed"] == "possibly", (behaviour, attempts)
    attempts, _ = wrong(["cut-prelude", "huge-frame", "cut-header", "huge-headers", "cut-answer", "html", "bad-prelude"], OWN, Tries="9")
    assert [a["reason"] for a in attempts] == ["connection-lost", "not-an-answer"] * 3 + ["not-an-answer", "answered"], attempts


def test_exceptions():
    for model, behaviour, reason, billed, charged in (
            (OWN, "exception-first", "throttled", "no", 0), (NOVA, "exception", "throttled", "possibly", 0),
            (HAIKU, "exception:modelStreamErrorException", "model-error", "possibly", 1), (OWN, "exception:serviceUnavailableException", "unavailable", "possibly", 0)):
        attempts, _ = wrong([behaviour], model)
        assert [a["reason"] for a in attempts] == [reason, "answered"], (behaviour, attempts)
        assert attempts[0]["billed"] == billed and attempts[0]["charged"] == charged, (behaviour, attempts)


def test_an_exception_that_no_other_try_helps_goes_down_the_route():
    with setup(OWN, route="sydney ocr") as (aws, s):
        aws.script = ["stream-exception:validationException"]
        ids = s.submit(sample("receipt-1"), "receipt")
        s.wait_states(ids, {"done"})
        assert [(r["backend"], r["outcome"]) for r in s.rows("SELECT * FROM attempts ORDER BY id")] == [("sydney", "next"), ("ocr", "done")]


def test_without_the_cost_the_worst_is_counted():
    for model in (OWN, NOVA, HAIKU):
        attempts, _ = wrong(["no-metadata"], model)
        assert len(attempts) == 1, attempts
        if model == HAIKU:  # which tells its tokens with the reason why it stopped
            assert 0 < attempts[0]["settled_pusd"] < attempts[0]["reserved_pusd"], attempts
        else:
            assert attempts[0]["settled_pusd"] == attempts[0]["reserved_pusd"] and attempts[0]["billed"] == "possibly", attempts


def test_counts_that_differ_are_told_once():
    with setup(HAIKU) as (aws, s):
        aws.script = ["ok", "stream-counts-differ", "stream-counts-differ"]
        for name in ("receipt-1", "receipt-2", "receipt-3"):
            ids = s.submit(sample(name), "receipt")
            s.wait_states(ids, {"done"})
        rows = s.rows("SELECT tokens_output FROM attempts ORDER BY id")
        assert [r["tokens_output"] - q["usage"]["outputTokens"] for r, q in zip(rows, aws.requests)] == [0, 5, 5], (rows, aws.requests)
        assert s.read_log().count("tells the tokens of a reply twice, and not the same") == 1, s.read_log()


def test_what_is_hopeless_is_left():
    for model, behaviour in ((OWN, "blanks"), (HAIKU, "not-json")):
        attempts, aws = wrong([behaviour], model)
        assert [a["reason"] for a in attempts] == ["malformed", "answered"] and attempts[0]["charged"] == 1, (behaviour, attempts)
        assert len(aws.left) == 1 and attempts[0]["settled_pusd"] == attempts[0]["reserved_pusd"], (aws.left, attempts)


def test_chatter_behind_the_answer_is_left():
    with open(os.path.join(ROOT, "configs/documents/receipt.json"), encoding="utf-8") as f:
        kind = dict(json.load(f), name="slip", form="plain")
    chat = setup(HAIKU)
    local = os.path.join(chat.service.folder, "documents")
    os.mkdir(local)
    with open(os.path.join(local, "slip.json"), "w", encoding="utf-8") as f:
        json.dump(kind, f)
    with chat as (aws, s):
        aws.script = ["stream-chatter"]
        ids = s.submit(sample("receipt-1"), "slip")
        s.wait_states(ids, {"done"})
        row = s.rows("SELECT * FROM attempts")[0]
        assert (row["outcome"], row["billed"]) == ("done", "possibly") and row["settled_pusd"] == row["reserved_pusd"], row
        with aws.changed:
            assert aws.changed.wait_for(lambda: aws.left, 30)


suite.main()
