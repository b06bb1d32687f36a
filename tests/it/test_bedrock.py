#!/usr/bin/python3
"""Pages through the strict stand-in for AWS: signatures, fields, tokens and cost; outages, fallbacks and the queue that drains by itself."""
import tempfile
from decimal import Decimal

import suite
from service import Asking, Service, sample, truth
from standin_aws import BedrockStandin, write_keys
from standin_llama import LlamaStandin


class Setup(Asking):
    """A stand-in and a service whose route begins at it."""

    def __init__(self, route="sydney", aws=None, more=None, **backend):
        self.folder = tempfile.TemporaryDirectory(prefix="pageferry-aws-", dir="/tmp")
        self.aws = aws or BedrockStandin(self.folder.name)
        self.aws.start()
        secrets = write_keys(self.folder.name, self.aws.credentials)
        sections = {
            "Service": {"Lab": "yes"}, "Route": {"Backends": route}, "Credentials aws": {"Source": "file", "File": secrets},
            "Backend sydney": dict({"Kind": "bedrock", "Model": "amazon.nova-pro-v1:0", "ConnectTo": "127.0.0.1:%d" % self.aws.port,
                                    "CAFile": self.aws.ca_file, "Backoff": "100ms", "BackoffMax": "400ms",
                                    "FallbackAfter": "0s", "Timeout": "20s"}, **backend),
        }
        for name, keys in (more or {}).items():
            sections.setdefault(name, {}).update(keys)
        self.service = Service(sections)


def right_fields(result, name):
    want = truth(name)["fields"]
    return [f for f, v in want.items() if result["fields"].get(f, {}).get("value") == v]


def one_page_each(s):
    """Nothing recorded twice: one result version an attempt, versions in step, one receipt pair an attempt."""
    assert s.rows("SELECT page, version FROM results GROUP BY page, version HAVING count(*) > 1") == []
    assert s.rows("SELECT attempt FROM receipts GROUP BY attempt, kind HAVING count(*) > 1") == []
    assert s.rows("SELECT id FROM attempts WHERE closed_ms IS NULL") == []


def test_signed_page_comes_back_with_cost():
    with Setup() as (aws, s):
        ids = s.submit(sample("invoice-1"), "invoice")
        s.wait_states(ids, {"done"})
        assert [r["status"] for r in aws.requests] == [200], aws.requests
        assert aws.requests[0]["model"] == "amazon.nova-pro-v1:0"
        row = s.rows("SELECT * FROM attempts")[0]
        usage = aws.requests[0]["usage"]
        assert (row["tokens_input"], row["tokens_output"]) == (usage["inputTokens"], usage["outputTokens"]), row
        usd = Decimal(usage["inputTokens"]) * Decimal("0.84") + Decimal(usage["outputTokens"]) * Decimal("3.36")
        assert row["settled_pusd"] == int(usd * 10**6), (row["settled_pusd"], usd)
        assert row["reserved_pusd"] >= row["settled_pusd"] and row["billed"] == "yes" and row["region"] == "ap-southeast-2"
        page = s.rows("SELECT sha256 FROM pages")[0]
        assert page["sha256"] == aws.requests[0]["page"]
        result = s.call("Show", page=ids[0])["results"][0]
        assert len(right_fields(result, "invoice-1")) >= 9, result["fields"]
        kinds = s.rows("SELECT kind, body FROM receipts ORDER BY seq")
        assert [k["kind"] for k in kinds] == ["sent", "answered"] and '"lab":true' in kinds[0]["body"], kinds
        assert s.call("Status")["lab"] is True


def test_session_token_and_lite():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        with Setup(aws=BedrockStandin(folder, token="TOKEN//+=" * 20), Model="amazon.nova-lite-v1:0") as (aws, s):
            s.wait_states(s.submit(sample("receipt-2"), "receipt"), {"done"})
            assert aws.requests[0]["model"] == "amazon.nova-lite-v1:0" and aws.requests[0]["status"] == 200


def test_all_samples():
    with Setup(Concurrency="2") as (aws, s):
        names = ["invoice-2", "receipt-1", "statement-1", "invoice-4"]
        ids = [s.submit(sample(n), truth(n)["type"])[0] for n in names]
        s.wait_states(ids, {"done"})
        for i, n in zip(ids, names):
            result = s.call("Show", page=i)["results"][-1]
            assert len(right_fields(result, n)) >= len(truth(n)["fields"]) - 3, (n, result["fields"])
        assert not [r for r in aws.requests if r.get("refused")], aws.requests
        one_page_each(s)


def failing_first(behaviours, kind="receipt", expect_tries=None, **more):
    """The first requests go wrong as scripted, then the page is answered; the attempts."""
    with Setup(**more) as (aws, s):
        aws.script = list(behaviours)
        ids = s.submit(sample("receipt-1"), kind)
        s.wait_states(ids, {"done"})
        assert aws.requests[-1]["status"] == 200
        one_page_each(s)
        attempts = s.rows("SELECT * FROM attempts ORDER BY id")
        if expect_tries is not None:
            assert sum(a["charged"] for a in attempts[:-1]) == expect_tries, attempts
        return attempts


def test_throttled_charges_no_try():
    failing_first(["throttle", "throttle-hint"], expect_tries=0)


def test_server_errors_charge_no_try():
    failing_first(["server-error", "unavailable", "not-json-error"], expect_tries=0)


def test_cut_and_garbage_replies():
    attempts = failing_first(["cut", "garbage", "early-cut", "empty"])
    assert all(a["billed"] in ("possibly", "yes") for a in attempts if a["reason"] != "done"), attempts


def test_truncated_answer_is_no_answer():
    for behaviour in ("truncated", "malformed-tool"):
        attempts = failing_first([behaviour])
        assert [a["outcome"] for a in attempts] == ["retry", "done"], attempts
        assert attempts[0]["billed"] == "yes" and attempts[0]["settled_pusd"] > 0, attempts


def test_page_that_never_fits_is_held_with_reason_and_cost():
    with Setup() as (aws, s):
        aws.default = "truncated"
        ids = s.submit(sample("receipt-1"), "receipt")
        page = s.wait_states(ids, {"held"})[ids[0]]
        assert page["reason"] and int(page["costPicoUsd"]) > 0 and 1 <= page["tries"] <= 5, page
        assert len(aws.requests) <= 5
        aws.default = "ok"
        assert s.call("Retry", pages=ids)["pages"] == ids
        s.wait_states(ids, {"done"})


def test_huge_reply_is_cut_short():
    failing_first(["huge"])


def test_slow_reply_times_out():
    failing_first(["slow"], Timeout="2s")


def test_redirect_is_not_followed():
    with Setup(route="sydney ocr") as (aws, s):
        aws.default = "redirect"
        ids = s.submit(sample("receipt-1"), "receipt")
        s.wait_states(ids, {"provisional"})
        assert all(r["status"] == 307 for r in aws.requests)
        assert "us-east-1" not in "".join(str(r["host"]) for r in s.rows("SELECT host FROM attempts"))


def test_wrong_clock_is_learned():
    with Setup() as (aws, s):
        aws.clock_offset_s = 3 * 3600
        ids = s.submit(sample("receipt-1"), "receipt")
        s.wait_states(ids, {"done"})
        assert [r.get("refused") for r in aws.requests] == ["InvalidSignatureException", None], aws.requests


def test_expired_credentials_wait_for_new_ones():
    with Setup() as (aws, s):
        aws.default = "expired-token"
        ids = s.submit(sample("receipt-1"), "receipt")
        s.wait(lambda: aws.requests)
        assert s.pages()[ids[0]]["state"] == "queued" and s.pages()[ids[0]]["tries"] == 0
        aws.default = "ok"
        s.wait_states(ids, {"done"})


def test_access_denied_pauses_with_advice():
    with Setup() as (aws, s):
        aws.default = "access-denied"
        ids = s.submit(sample("receipt-1"), "receipt")
        backend = s.wait(lambda: next((b for b in s.call("Status")["backends"] if b["name"] == "sydney" and b["state"] == "down"), None))
        assert backend["message"], backend
        assert s.pages()[ids[0]]["state"] == "queued" and s.pages()[ids[0]]["tries"] == 0


def test_outage_falls_back_and_drains_by_itself():
    """Off mid-run: pages go to the Jetson stand-in, and below it to OCR; on again: every page gets its authoritative answer."""
    with LlamaStandin() as jetson:
        more = {"Backend jetson": {"Kind": "openai", "URL": "http://127.0.0.1:%d" % jetson.port, "Backoff": "100ms", "BackoffMax": "400ms",
                                   "FallbackAfter": "0s"}}
        with Setup(route="sydney jetson ocr", more=more) as (aws, s):
            first = s.submit(sample("receipt-1"), "receipt")
            s.wait_states(first, {"done"})
            aws.stop()
            second = s.submit(sample("receipt-2"), "receipt") + s.submit(sample("invoice-1"), "invoice")
            s.wait_states(second, {"provisional"})
            jetson.stop()
            third = s.submit(sample("receipt-3"), "receipt")
            s.wait_states(third, {"provisional"})
            backends = {r["backend"] for r in s.rows("SELECT backend FROM results JOIN attempts ON attempts.id = attempt")}
            assert backends == {"sydney", "jetson", "ocr"}, backends
            aws.start()
            s.wait_states(first + second + third, {"done"})
            assert all(r["n"] == 2 for r in s.rows("SELECT count(*) AS n FROM results WHERE page > 1 GROUP BY page")), s.rows("SELECT * FROM results")
            last = s.rows("SELECT page, authoritative FROM results r WHERE version = (SELECT max(version) FROM results WHERE page = r.page)")
            assert len(last) == 4 and all(r["authoritative"] for r in last), last
            one_page_each(s)
            s.wait(lambda: s.call("Status")["counts"]["undelivered"] == 0)
            for i in first + second + third:
                assert s.result(i)["authoritative"] is True


def test_restart_while_away_loses_nothing():
    with Setup(route="sydney") as (aws, s):
        aws.stop()
        ids = s.submit(sample("receipt-1"), "receipt") + s.submit(sample("receipt-2"), "receipt")
        s.wait(lambda: next((b for b in s.call("Status")["backends"] if b["state"] == "down"), None))
        s.kill()
        s.start()
        aws.start()
        s.wait_states(ids, {"done"})
        one_page_each(s)


suite.main()
