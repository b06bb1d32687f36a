#!/usr/bin/python3
"""Pages through an endpoint that is called asynchronously, by a bucket of S3: the order of requests, where they go, and each that fails."""
import json
import tempfile

import suite
from service import Asking, Service, sample, truth
from standin_aws import write_keys
from standin_async import BUCKET, S3_HOST, AsyncStandin


class Setup(Asking):
    def __init__(self, standin=None, **backend):
        self.folder = tempfile.TemporaryDirectory(prefix="pageferry-async-", dir="/tmp")
        self.aws = AsyncStandin(self.folder.name, **(standin or {}))
        self.aws.start()
        secrets = write_keys(self.folder.name, self.aws.credentials)
        keys = {"Kind": "sagemaker", "EndpointName": "qwen", "Form": "openai", "PricePerRequest": "0.0125", "Bucket": BUCKET, "ConnectTo": "127.0.0.1:%d" % self.aws.port,
                "CAFile": self.aws.ca_file, "Backoff": "100ms", "BackoffMax": "400ms", "FallbackAfter": "0s", "Timeout": "30s", "ColdTimeout": "30s"}
        keys.update(backend)
        self.service = Service({"Service": {"Lab": "yes", "StopTimeout": "0"}, "Route": {"Backends": "own"}, "Credentials aws": {"Source": "file", "File": secrets}, "Backend own": keys})


def submit(s):
    return s.submit(sample("receipt-1"), "receipt")


def attempts(s):
    return s.rows("SELECT * FROM attempts ORDER BY id")


def own(s):
    return next(b for b in s.call("Status")["backends"] if b["name"] == "own")


def stages(aws):
    return [stage for stage, _ in aws.seen]


def swept(aws, s, deletes=3):
    """The input and both places of an answer are removed, and nothing is left."""
    aws.wait_seen("delete", deletes)
    s.wait(lambda: not aws.objects)


def test_both_forms_read_a_page():
    for form, endpoint, prefix in (("openai", "qwen", "pageferry/"), ("plain", "simple", "it's(a)*/b!/")):
        with Setup(standin={"looks": int(form == "openai"), "owner": "111122223333", "prefix": prefix}, Form=form, EndpointName=endpoint, Prefix=prefix, BucketOwner="111122223333", CustomAttributes="trace=1") as (aws, s):
            ids = submit(s)
            s.wait_states(ids, {"done"})
            looks = ["NoSuchKey", "NoSuchKey", 200] if form == "openai" else [200]
            assert stages(aws)[:3] == ["head", "put", "call"] and [w for n, w in aws.seen if n == "look"] == looks, aws.seen
            fields = s.call("Show", page=ids[0])["results"][0]["fields"]
            right = [f for f, v in truth("receipt-1")["fields"].items() if fields.get(f, {}).get("value") == v]
            assert len(right) >= 4, fields
            (row,) = attempts(s)
            assert (row["reserved_pusd"], row["settled_pusd"], row["host"], row["outcome"]) == (12_500_000_000, 12_500_000_000, S3_HOST, "done"), row
            assert aws.calls[0]["custom-attributes"] == "trace=1" and aws.calls[0]["inference-id"].startswith(ids[0]), aws.calls
            said = [json.loads(r["body"]) for r in s.rows("SELECT body FROM receipts ORDER BY seq")]
            assert [r["kind"] for r in said] == ["sent", "answered"], said
            leads = "arn:aws:s3:::%s https://%s/endpoints/%s/async-invocations" % (BUCKET, aws.host, endpoint)
            assert all((r["host"], r["resolved"]) == (S3_HOST, leads) for r in said), said
            swept(aws, s)
            (told,) = [f["what"] for f in s.call("Doctor", areas=["residency"])["findings"] if "backend own" in f["what"]]
            assert "AWS said that it leads to arn:aws:s3:::" in told, told


def test_nothing_before_the_bucket_is_proved():
    for region, reason, words in (("us-east-1", "residency", "us-east-1"), (None, "residency", "does not say")):
        with Setup() as (aws, s):
            aws.bucket_region = region
            ids = submit(s)
            s.wait(lambda s=s: own(s)["state"] == "down")
            assert own(s)["reason"] == reason and words in own(s)["message"], own(s)
            assert set(stages(aws)) == {"head"} and not attempts(s) and s.pages()[ids[0]]["state"] == "queued", aws.seen
    with Setup() as (aws, s):
        aws.faults["head"] = ["access-denied", "reset"]
        s.wait_states(submit(s), {"done"})
        assert stages(aws)[:4] == ["head"] * 3 + ["put"], aws.seen


def test_another_owner_is_refused():
    with Setup(standin={"owner": "111122223333"}, BucketOwner="999999999999") as (aws, s):
        submit(s)
        s.wait(lambda: "BucketOwner=" in (own(s).get("message") or ""))
        assert set(stages(aws)) == {"head"}, aws.seen


def test_what_s3_does_not_take_is_not_billed():
    with Setup(Tries="1") as (aws, s):
        aws.faults["put"] = ["slow-down", "internal", "reset"]
        s.wait_states(submit(s), {"done"})
        rows = attempts(s)
        assert [(r["outcome"], r["charged"], r["settled_pusd"]) for r in rows[:3]] == [("untouched", 0, 0)] * 3 and len(rows) == 4, rows
        assert stages(aws).count("call") == 1, aws.seen
    for fault, reason in (("access-denied", "policy"), ("redirect", "residency")):
        with Setup() as (aws, s):
            aws.faults["put"] = [fault] * 9
            ids = submit(s)
            s.wait(lambda s=s: own(s)["state"] == "down")
            assert own(s)["reason"] == reason, own(s)
            ended = [(r["outcome"], r["settled_pusd"]) for r in attempts(s) if r["closed_ms"]]  # another may be on its way already
            assert set(ended) == {("untouched", 0)} and s.pages()[ids[0]]["state"] == "queued", attempts(s)
            assert "call" not in stages(aws), aws.seen


def test_a_call_that_fails():
    with Setup() as (aws, s):
        aws.faults["call"] = ["throttle", "no-capacity"]
        ids = submit(s)
        s.wait(lambda: own(s).get("reason") == "model-loading")
        assert [(r["outcome"], r["charged"]) for r in attempts(s)] == [("untouched", 0)] * 2 and s.pages()[ids[0]]["tries"] == 0, attempts(s)
        swept(aws, s, 2)
    with Setup() as (aws, s):
        aws.faults["call"] = ["reset"]
        s.wait_states(submit(s), {"done"})
        assert attempts(s)[0]["settled_pusd"] == 12_500_000_000, "it may have been billed"


def test_looks_go_on_whatever_comes():
    with Setup() as (aws, s):
        aws.faults["look"] = ["access-denied", "internal", "reset"]
        s.wait_states(submit(s), {"done"})
        assert len(attempts(s)) == 1 and [w for n, w in aws.seen if n == "look"] == ["AccessDenied", "InternalError", "reset", 200], aws.seen


def test_the_container_fails():
    with Setup() as (aws, s):
        aws.outcome = "failure"
        ids = submit(s)
        s.wait_states(ids, {"held"})
        rows = attempts(s)
        assert [(r["outcome"], r["reason"], r["charged"], r["settled_pusd"]) for r in rows] == [("retry", "model-error", 1, 12_500_000_000)] * 2, rows
        assert "out of memory" in s.pages()[ids[0]]["reason"], s.pages()
        swept(aws, s, 6)


def test_no_answer_in_time():
    with Setup(Timeout="1s", ColdTimeout="1s") as (aws, s):
        aws.outcome = "never"
        submit(s)
        s.wait(lambda: [r for r in attempts(s) if r["outcome"]])
        row = attempts(s)[0]
        assert (row["reason"], row["settled_pusd"]) == ("timeout", 12_500_000_000), row
        aws.wait_seen("delete", 3)


def test_answers_elsewhere_stop_it():
    with Setup() as (aws, s):
        aws.outcome = "elsewhere"
        submit(s)
        s.wait(lambda: own(s)["state"] == "down")
        assert own(s)["reason"] == "residency" and "S3OutputPath" in own(s)["message"], own(s)
        assert "look" not in stages(aws) and attempts(s)[0]["settled_pusd"] == 12_500_000_000, attempts(s)


def test_a_stop_in_between_is_possibly_billed():
    with Setup() as (aws, s):
        aws.outcome = "never"
        ids = submit(s)
        aws.wait_seen("look")
        s.stop()
        (row,) = attempts(s)
        assert (row["reason"], row["outcome"], row["settled_pusd"]) == ("stopped", "untouched", 12_500_000_000), row
        aws.outcome = "ok"
        s.start()
        s.wait_states(ids, {"done"})
        assert len(attempts(s)) == 2 and stages(aws).count("head") == 2, aws.seen


suite.main()
