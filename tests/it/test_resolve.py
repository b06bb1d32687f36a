#!/usr/bin/python3
"""Application inference profiles and guardrails: nothing is sent before AWS has said that they stay in Australia, and what it said is in
the receipts. The control plane is a strict stand-in, as the runtime is."""
import json
import os
import subprocess
import tempfile
import threading

import suite
from service import Asking, Service, sample
from standin_aws import BedrockStandin, write_keys
from standin_control import ControlPlane, Words

LITE = "amazon.nova-lite-v1:0"
SYDNEY, TOKYO = "ap-southeast-2", "ap-northeast-1"
LITE_ARN = "arn:aws:bedrock:ap-southeast-2::foundation-model/" + LITE


class Setup(Asking):
    def __init__(self, model=None, regions=(SYDNEY,), status=None, more=None, **backend):
        self.folder = tempfile.TemporaryDirectory(prefix="pageferry-resolve-", dir="/tmp")
        self.aws = BedrockStandin(self.folder.name)
        self.control = self.aws.control = ControlPlane()
        self.control.status = status
        model = model or self.control.add_profile("abc123def456", LITE, regions)
        self.aws.start()
        keys = write_keys(self.folder.name, self.aws.credentials)
        self.service = Service(dict({"Service": {"Lab": "yes"}, "Route": {"Backends": "sydney"}, "Credentials aws": {"Source": "file", "File": keys},
                                "Backend sydney": dict({"Kind": "bedrock", "Model": model, "Api": "nova", "ConnectTo": "127.0.0.1:%d" % self.aws.port,
                                                        "CAFile": self.aws.ca_file, "Backoff": "100ms", "BackoffMax": "400ms", "Timeout": "20s"}, **backend)},
                                **(more or {})))

    def __enter__(self):
        self.service.start()
        return self.aws, self.control, self.service


def sydney(s):
    return next(b for b in s.call("Status")["backends"] if b["name"] == "sydney")


def submit(s):
    return s.submit(sample("receipt-1"), "receipt")


def receipts(s):
    return [json.loads(r["body"]) for r in s.rows("SELECT body FROM receipts ORDER BY seq")]


def told(s, *args):
    r = subprocess.run([os.path.join(s.build, "pageferryctl"), "--socket", s.socket, "doctor", *args], stdin=subprocess.DEVNULL, capture_output=True,
                       encoding="utf-8", timeout=60, check=False)
    assert r.stdout or r.returncode in (2, 3), r
    return r.returncode, r.stdout


def test_a_profile_that_stays():
    with Setup() as (aws, control, s):
        s.wait_states(submit(s), {"done"})
        assert len(control.asked) == 1 and control.asked[0].startswith("/inference-profiles/arn%3Aaws%3Abedrock%3A"), control.asked
        assert [r["status"] for r in aws.requests] == [200], aws.requests
        said = receipts(s)
        assert [r["kind"] for r in said] == ["sent", "answered"] and all(r["resolved"] == LITE_ARN for r in said), said
        assert s.rows("SELECT settled_pusd FROM attempts")[0]["settled_pusd"] > 0, "priced as the model that it leads to"
        code, text = told(s, "residency")
        assert code == 0 and "AWS said that it leads to " + LITE_ARN in text, text
        s.stop()
        s.start()
        s.wait_states(submit(s), {"done"})
        assert len(control.asked) == 2, "a service that starts asks anew"


def waits(s, aws, reason, words):
    """The page waits untouched, nothing has gone out, and the backend says why."""
    s.wait(lambda: sydney(s)["state"] == "down", timeout=60)
    b = sydney(s)
    assert b["reason"] == reason and words in b["message"], b
    assert not aws.requests and not s.rows("SELECT id FROM attempts") and s.call("Status")["counts"]["queued"] == 1
    code, text = told(s, "residency")
    assert code == 1 and words in text, text


def test_a_profile_that_leads_abroad():
    with Setup(regions=(SYDNEY, TOKYO)) as (aws, control, s):
        submit(s)
        waits(s, aws, "residency", TOKYO)
        assert len(control.asked) == 1, control.asked
        code, text = told(s, "--residency")
        assert code == 1 and "AWS says that" in text and len(control.asked) == 2, text


def test_what_cannot_be_asked_waits():
    for status, words in ((403, "allow bedrock:GetInferenceProfile"), (404, "AWS knows no"), (500, "answers 500")):
        with Setup(status=status) as (aws, control, s):
            submit(s)
            waits(s, aws, "unresolved", words)
            control.status = None
            s.wait(lambda: s.call("Status")["counts"]["done"] == 1, timeout=60)
            assert [r["status"] for r in aws.requests] == [200], aws.requests


def test_a_guardrail_is_asked_about():
    for crossing in (None, "apac.guardrail.v1:0"):
        setup = Setup(model="amazon.nova-pro-v1:0", Guardrail="gr1abc", GuardrailVersion="2")
        setup.control.add_guardrail("gr1abc", "2", crossing)
        with setup as (aws, control, s):
            ids = submit(s)
            if crossing:
                waits(s, aws, "residency", crossing)
            else:
                s.wait_states(ids, {"done"})
                assert receipts(s)[0]["resolved"] == "arn:aws:bedrock:ap-southeast-2:123456789012:guardrail/gr1abc", receipts(s)
            assert control.asked == ["/guardrails/gr1abc?guardrailVersion=2"], control.asked


def test_the_model_itself_is_asked_for_money():
    """doctor --residency --ask: reserved and in the receipts before the first byte, settled after; never without the option, nor over the budget."""
    setup = Setup(model="amazon.nova-pro-v1:0")
    setup.control.models["amazon.nova-pro-v1:0"] = {"modelDetails": {"modelId": "amazon.nova-pro-v1:0", "inferenceTypesSupported": ["ON_DEMAND"],
                                                                     "inputModalities": ["TEXT", "IMAGE"], "modelLifecycle": {"status": "ACTIVE"}}}
    with setup as (aws, control, s):
        aws.words = words = Words({"amazon.nova-pro-v1:0"})
        assert told(s, "--ask")[0] == 2, "not by itself"
        code, text = told(s, "--residency")
        assert code == 0 and not words.questions and not s.rows("SELECT id FROM attempts"), text
        code, text = told(s, "--residency", "--ask")
        assert code == 0 and "has answered in ap-southeast-2 (12 and 3 tokens" in text and len(words.questions) == 1, text
        row = s.rows("SELECT * FROM attempts")[0]
        assert row["page"] == 0 and row["settled_pusd"] == 12 * 840_000 + 3 * 3_360_000 < row["reserved_pusd"] and row["billed"] == "yes", row
        said = receipts(s)
        assert [r["kind"] for r in said] == ["sent", "answered"] and "page" not in said[0] and said[1]["status"] == 200, said
        usage = s.rows("SELECT * FROM usage")
        assert len(usage) == 1 and usage[0]["pages"] == 0 and usage[0]["settled_pusd"] == row["settled_pusd"], usage
        words.served = set()
        code, text = told(s, "--residency", "--ask")
        assert code == 1 and "is not served on demand" in text, text
        assert s.rows("SELECT settled_pusd FROM attempts WHERE id = 2")[0]["settled_pusd"] == 0
        # A crash while the question is out: counted as spent at the next start.
        aws.words = Held(words)
        asking = threading.Thread(target=told, args=(s, "--residency", "--ask"))
        asking.start()
        assert aws.words.came.wait(60)
        s.kill()
        aws.words.go.set()
        asking.join()
        aws.words = words
        s.start()
        s.wait(lambda: not s.rows("SELECT id FROM attempts WHERE closed_ms IS NULL"), timeout=60)
        last = s.rows("SELECT * FROM attempts WHERE id = 3")[0]
        assert last["outcome"] == "crashed" and last["settled_pusd"] == last["reserved_pusd"] > 0 and last["billed"] == "possibly", last
        verified = subprocess.run([os.path.join(s.build, "pageferryctl"), "--socket", s.socket, "audit", "verify"], capture_output=True, encoding="utf-8", check=False)
        assert verified.returncode == 0, verified
        s.stop()
        assert s.fsck() == []


def test_the_minute_holds_for_questions_too():
    """One a minute: the second question is not asked, and the doctor says when it may be; nothing of it is in the ledger."""
    setup = Setup(model="amazon.nova-pro-v1:0", RequestsPerMinute="1")
    setup.control.models["amazon.nova-pro-v1:0"] = {"modelDetails": {"modelId": "amazon.nova-pro-v1:0", "inferenceTypesSupported": ["ON_DEMAND"],
                                                                     "inputModalities": ["TEXT", "IMAGE"], "modelLifecycle": {"status": "ACTIVE"}}}
    with setup as (aws, control, s):
        aws.words = words = Words({"amazon.nova-pro-v1:0"})
        code, text = told(s, "--residency", "--ask")
        assert code == 0 and len(words.questions) == 1, text
        code, text = told(s, "--residency", "--ask")
        assert code == 1 and "what may be sent in a minute is used up" in text and "ask again in " in text, text
        assert len(words.questions) == 1 and len(s.rows("SELECT id FROM attempts")) == 1 and len(receipts(s)) == 2
        # Nor does a start forget it.
        s.stop()
        s.start()
        code, text = told(s, "--residency", "--ask")
        assert code == 1 and "used up" in text and len(words.questions) == 1, text


class Held:
    """Words that come when they are let go."""

    def __init__(self, words):
        self.words, self.came, self.go = words, threading.Event(), threading.Event()

    def reply(self, *args):
        self.came.set()
        self.go.wait(60)
        return self.words.reply(*args)


def test_the_budget_holds_for_questions_too():
    with tempfile.NamedTemporaryFile("w", encoding="ascii") as prices, \
            Setup(model="amazon.nova-pro-v1:0", more={"Budget": {"Day": "0.01"}, "Service": {"Lab": "yes", "Prices": prices.name}}) as (aws, control, s):
        aws.words = words = Words({"amazon.nova-pro-v1:0"})
        s.stop()
        prices.write("[Model amazon.nova-pro-v1:0]\nRegion=ap-southeast-2\nInput=1000\nOutput=1000\nDate=2026-11-01\n")
        prices.flush()
        s.start()
        code, text = told(s, "--residency", "--ask")
        assert code == 1 and "the budget has no room" in text and not words.questions and not s.rows("SELECT id FROM attempts"), text


suite.main()
