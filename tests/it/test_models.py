#!/usr/bin/python3
"""A page through each form in which Bedrock's models are asked, end to end: fields, tokens and cost; and what models stop with."""
import json
import os
from decimal import Decimal

import suite
from models_setup import HAIKU, NOVA, OWN, Setup
from service import ROOT, sample, truth


def one_page(model, path_end, **backend):
    with Setup(model, **backend) as (aws, s):
        ids = s.submit(sample("invoice-1"), "invoice")
        s.wait_states(ids, {"done", "held"})
        assert [r["status"] for r in aws.requests] == [200], aws.requests
        assert aws.requests[0]["model"] == model and aws.requests[0]["line"].split()[1].endswith(path_end), aws.requests
        row, usage = s.rows("SELECT * FROM attempts")[0], aws.requests[0]["usage"]
        assert (row["tokens_input"], row["tokens_output"]) == (usage["inputTokens"], usage["outputTokens"]), row
        usd = Decimal(usage["inputTokens"]) * Decimal("1.10") + Decimal(usage["outputTokens"]) * Decimal("5.50")
        assert row["settled_pusd"] == int(usd * 10**6) and row["reserved_pusd"] >= row["settled_pusd"], (row, usd)
        want, got = truth("invoice-1")["fields"], s.call("Show", page=ids[0])["results"][0]["fields"]
        assert len([f for f, v in want.items() if got.get(f, {}).get("value") == v]) >= 9, got


def test_claude_by_its_own_form():
    one_page(HAIKU, "/invoke")


def test_claude_3_has_a_smaller_answer():
    one_page("anthropic.claude-3-haiku-20240307-v1:0", "/invoke")


def test_claude_by_converse():
    one_page("au.anthropic.claude-sonnet-4-6", "/converse", Api="converse")


def test_nova_by_converse():
    one_page("amazon.nova-pro-v1:0", "/converse", Api="converse")


def test_a_model_of_ones_own_by_converse():
    one_page(OWN, "provisioned-model%2Fabcdefghijkl/converse")


def test_the_backlog_goes_by_the_flexible_tier():
    with Setup(OWN, BacklogTier="flex", Guardrail="gr1abc", GuardrailVersion="2") as (aws, s):
        for name, lane in (("receipt-1", "now"), ("receipt-2", "backlog")):
            ids = s.submit(sample(name), "receipt", lane=lane)
            s.wait_states(ids, {"done", "held"})
        assert aws.tiers == [None, "flex"], (aws.tiers, aws.requests)


def asked(model, api="auto", **members):
    """A page of a type of one's own, with these members; what was asked."""
    with open(os.path.join(ROOT, "configs/documents/receipt.json"), encoding="utf-8") as f:
        kind = dict(json.load(f), name="slip", **members)
    setup = Setup(model, Api=api, GuardrailVersion="DRAFT", Guardrail="gr1abc")
    local = os.path.join(setup.service.folder, "documents")
    os.mkdir(local)
    with open(os.path.join(local, "slip.json"), "w", encoding="utf-8") as f:
        json.dump(kind, f)
    with setup as (aws, s):
        ids = s.submit(sample("receipt-1"), "slip")
        s.wait_states(ids, {"done", "held"})
        assert [r["status"] for r in aws.requests] == [200], aws.requests
        want, got = truth("receipt-1")["fields"], s.call("Show", page=ids[0])["results"][0]["fields"]
        assert len([f for f, v in want.items() if got.get(f, {}).get("value") == v]) >= 4, got
        return aws.requests[0]


EXAMPLES = [{"page": "ACME\nTOTAL $3.00", "answer": {"merchant_name": "ACME", "total": "3.00"}}, {"page": "B\n\"2.00\"", "answer": {"total": "2.00"}}]


def test_a_type_says_how_it_is_asked():
    for model, api, members in ((NOVA, "auto", {"topP": 0.5, "topK": 40}), (HAIKU, "auto", {"temperature": 0.25, "topK": 128}), (OWN, "auto", {"topP": 1}),
                                (NOVA, "converse", {"temperature": 1}), (HAIKU, "converse", {"topP": 0.1, "topK": 1})):
        request = asked(model, api, system="Read \"exactly\".\n", examples=EXAMPLES, **members)
        if api == "auto" and model != OWN:
            assert request["asked"] == {"guardrailidentifier": "gr1abc", "guardrailversion": "DRAFT"}, request


def test_plain_answers_without_a_tool():
    for model, api in ((NOVA, "auto"), (HAIKU, "auto"), (OWN, "auto")):
        asked(model, api, form="plain", examples=EXAMPLES[:1])


def test_metadata_and_trace():
    for model in (NOVA, OWN):
        with Setup(model, route="sydney ocr", Guardrail="gr1abc", GuardrailVersion="2", GuardrailTrace="yes", RequestMetadata="site=perth page=%page") as (aws, s):
            aws.stops = ["guardrail_intervened"] if model == OWN else []
            ids = s.submit(sample("receipt-1"), "receipt")
            s.wait_states(ids, {"done"})
            want = {"site": "perth", "page": ids[0]}
            if model == NOVA:
                asked_for = aws.requests[0]["asked"]
                assert json.loads(asked_for["request-metadata"]) == want and asked_for["trace"] == "ENABLED", asked_for
            else:
                assert aws.metadata == [want], aws.metadata
                # OCR may have been first, while it was asked where the guardrail leads.
                message = next(t["message"] for t in s.call("Show", page=ids[0])["attempts"] if t["backend"] == "sydney")
                assert message.endswith(": topicPolicy tax BLOCKED, sensitiveInformationPolicy NAME ANONYMIZED"), message
                assert "Ann" not in s.read_log() + message


def stopped(model, stops, outcomes, reasons, **backend):
    """The model stops with these, then answers; outcome and reason of each attempt at it."""
    with Setup(model, route="sydney ocr", **backend) as (aws, s):
        aws.stops = list(stops)
        ids = s.submit(sample("receipt-1"), "receipt")
        s.wait_states(ids, {"done"})
        rows = s.rows("SELECT outcome, reason, settled_pusd FROM attempts WHERE backend = 'sydney' ORDER BY id")
        assert [r["outcome"] for r in rows] == outcomes and [r["reason"] for r in rows] == reasons, rows
        assert all(r["settled_pusd"] > 0 for r in rows), rows  # an answer of no use is paid for too


def test_truncated_once():
    stopped(HAIKU, ["max_tokens"], ["retry", "done"], ["truncated", "answered"])


def test_a_refusal_goes_down_the_route():
    stopped(HAIKU, ["refusal"], ["next"], ["refused"])


def test_a_guardrail_goes_down_the_route():
    stopped(OWN, ["guardrail_intervened"], ["next"], ["guardrail"])


suite.main()
