#!/usr/bin/python3
"""Pages through the strict stand-in for SageMaker: both forms of container, headers, cost by request and by token, cold starts, errors."""
import subprocess
import tempfile

import suite
from service import ROOT, Asking, Service, build_folder, sample, truth
from standin_aws import write_keys
from standin_sagemaker import SagemakerStandin


class Setup(Asking):
    def __init__(self, route="own", components=None, service=None, **backend):
        self.folder = tempfile.TemporaryDirectory(prefix="pageferry-sm-", dir="/tmp")
        self.aws = SagemakerStandin(self.folder.name, components=components)
        self.aws.start()
        secrets = write_keys(self.folder.name, self.aws.credentials)
        keys = {"Kind": "sagemaker", "EndpointName": "qwen", "Form": "openai", "PricePerRequest": "0", "ConnectTo": "127.0.0.1:%d" % self.aws.port,
                "CAFile": self.aws.ca_file, "Backoff": "100ms", "BackoffMax": "400ms", "FallbackAfter": "0s", "Timeout": "20s"}
        keys.update(backend)
        self.service = Service({"Service": dict({"Lab": "yes"}, **(service or {})), "Route": {"Backends": route}, "Credentials aws": {"Source": "file", "File": secrets},
                                "Backend own": {k: v for k, v in keys.items() if v is not None}})


def right_fields(result, name):
    return [f for f, v in truth(name)["fields"].items() if result["fields"].get(f, {}).get("value") == v]


def test_both_forms_read_a_page():
    for endpoint, form in (("qwen", "openai"), ("simple", "plain")):
        with Setup(EndpointName=endpoint, Form=form, PricePerRequest="0.0125", CustomAttributes="trace=1") as (aws, s):
            ids = s.submit(sample("invoice-1"), "invoice")
            s.wait_states(ids, {"done"})
            assert [r["status"] for r in aws.requests] == [200], aws.requests
            assert aws.seen_headers[0]["x-amzn-sagemaker-custom-attributes"] == "trace=1"
            result = s.call("Show", page=ids[0])["results"][0]
            assert len(right_fields(result, "invoice-1")) >= 9, result["fields"]
            row = s.rows("SELECT * FROM attempts")[0]
            assert (row["reserved_pusd"], row["settled_pusd"]) == (12_500_000_000, 12_500_000_000), row
            assert (row["model"], row["region"], row["host"]) == (endpoint, "ap-southeast-2", aws.host), row
            usage = aws.requests[0]["usage"]
            assert (row["tokens_input"], row["tokens_output"]) == ((usage["prompt_tokens"], usage["completion_tokens"]) if usage else (None, None)), row
            backend = next(b for b in s.call("Status")["backends"] if b["name"] == "own")
            assert (backend["kind"], backend["model"], backend["region"]) == ("sagemaker", endpoint, "ap-southeast-2"), backend


def test_price_by_token_or_none_at_all():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        with open(folder + "/prices.conf", "w", encoding="ascii") as f:
            f.write("[Model vision]\nRegion=ap-southeast-2\nInput=1\nOutput=2\n")
        with Setup(Model="vision", PricePerRequest=None, service={"Prices": folder + "/prices.conf"}) as (aws, s):
            s.wait_states(s.submit(sample("receipt-1"), "receipt"), {"done"})
            usage, row = aws.requests[0]["usage"], s.rows("SELECT * FROM attempts")[0]
            assert row["settled_pusd"] == (usage["prompt_tokens"] + 2 * usage["completion_tokens"]) * 10**6 <= row["reserved_pusd"], row
    with Setup(PricePerRequest=None) as (aws, s):
        ids = s.submit(sample("receipt-1"), "receipt")
        s.wait(lambda: next((b for b in s.call("Status")["backends"] if b.get("reason") == "no-price"), None))
        assert s.pages()[ids[0]]["state"] == "queued" and not aws.requests


def test_component_is_named():
    with Setup(components={"qwen": "qwen-1"}, InferenceComponent="qwen-1") as (aws, s):
        s.wait_states(s.submit(sample("receipt-1"), "receipt"), {"done"})
        assert [r.get("refused") for r in aws.requests] == [None], aws.requests


def attempts_after(behaviours, **more):
    with Setup(**more) as (aws, s):
        aws.script = list(behaviours)
        s.wait_states(s.submit(sample("receipt-1"), "receipt"), {"done"})
        return s.rows("SELECT * FROM attempts ORDER BY id")


def test_service_errors_charge_no_try():
    attempts = attempts_after(["throttle", "failure", "dependency", "unavailable"])
    assert [a["charged"] for a in attempts] == [0] * 5, attempts
    assert [a["outcome"] for a in attempts] == ["untouched"] * 4 + ["done"], attempts


def test_a_model_error_is_tried_once_more():
    attempts = attempts_after(["model-500"])
    assert [a["outcome"] for a in attempts] == ["retry", "done"] and attempts[0]["charged"] == 1, attempts
    for behaviour, outcomes in (("model-500", ["retry", "retry"]), ("model-413", ["retry", "retry", "next"]), ("model-400", ["next"])):
        with Setup(route="own ocr") as (aws, s):
            aws.default = behaviour
            s.wait_states(s.submit(sample("receipt-1"), "receipt"), {"done", "provisional"})
            rows = s.rows("SELECT * FROM attempts WHERE backend = 'own' ORDER BY id")
            assert [a["outcome"] for a in rows] == outcomes, (behaviour, rows)


def own(s):
    return next(b for b in s.call("Status")["backends"] if b["name"] == "own")


def test_a_cold_start_is_waited_for():
    """No attempt is charged and no fallback asked while the patience lasts; after it the backend counts as down."""
    with Setup(route="own ocr") as (aws, s):
        aws.default = "no-capacity"
        ids = s.submit(sample("receipt-1"), "receipt")
        s.wait(lambda: own(s).get("reason") == "model-loading")
        assert own(s)["state"] == "busy" and s.pages()[ids[0]]["state"] == "queued" and s.pages()[ids[0]]["tries"] == 0, own(s)
        assert [a["charged"] for a in s.rows("SELECT charged FROM attempts")] == [0]
    with Setup(route="own ocr", StartPatience="0") as (aws, s):
        aws.default = "not-ready"
        s.wait_states(s.submit(sample("receipt-1"), "receipt"), {"provisional"})
        assert (own(s)["state"], own(s)["reason"]) == ("down", "model-loading"), own(s)


def test_endpoint_trouble_pauses_with_advice():
    for keys, behaviour in (({"EndpointName": "other"}, "ok"), ({}, "not-in-service")):
        with Setup(**keys) as (aws, s):
            aws.default = behaviour
            ids = s.submit(sample("receipt-1"), "receipt")
            s.wait(lambda s=s: own(s)["state"] == "down")
            assert "SageMaker console" in own(s)["message"], own(s)
            assert s.pages()[ids[0]]["state"] == "queued" and s.pages()[ids[0]]["tries"] == 0


def check_config(text):
    with tempfile.NamedTemporaryFile("w", suffix=".conf", dir="/tmp") as f:
        f.write("[Service]\nDocuments=%s/configs/documents\nPrices=%s/configs/prices.conf\n" % (ROOT, ROOT) + text)
        f.flush()
        p = subprocess.run([build_folder() + "/pageferryd", "--check-config", "-c", f.name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           encoding="utf-8", check=False)
        return p.returncode, p.stdout


def test_check_config():
    start = "[Backend own]\nKind=sagemaker\n"
    assert check_config(start + "EndpointName=qwen\nPricePerRequest=0\n") == (0, "configuration is right\n")
    assert check_config(start + "EndpointName=qwen\nPricePerRequest=0\nBucket=pages-sydney\n") == (0, "configuration is right\n")
    code, text = check_config(start + "EndpointName=qwen\n")
    assert code == 0 and "[Backend own]: it will not be asked: there is no price for qwen in ap-southeast-2" in text, text
    code, text = check_config("[Backend a]\nKind=bedrock\n[Backend b]\nKind=bedrock\nModel=anthropic.claude-3-haiku-20240307-v1:0\n")
    assert code == 0 and "[Backend b]: it will not be asked: there is no price" in text and "[Backend a]" not in text, text
    for keys, word in (("", "EndpointName= is missing"), ("EndpointName=-a\n", "EndpointName"), ("EndpointName=a\nRegion=us-east-1\n", "us-east-1"),
                       ("EndpointName=a\nEndpoint=https://runtime.sagemaker.us-east-1.amazonaws.com\n", "Endpoint="),
                       ("EndpointName=a\nSchemaMode=none\n", "Form=openai"), ("EndpointName=a\nPricePerRequest=free\n", "PricePerRequest"),
                       ("EndpointName=a\nPrefix=b/\n", "only with Bucket="), ("EndpointName=a\nBucket=a.b\n", "3 to 63 of"), ("EndpointName=a\nBucket=ab1\nPrefix=/b\n", "Prefix"),
                       ("EndpointName=a\nBucket=ab1\nBucketOwner=1\n", "12 digits"), ("EndpointName=a\nBucket=ab1\nTargetModel=b\n", "asynchronously"),
                       ("EndpointName=a\nBucket=sthree-abc\n", "Bucket="),
                       ("EndpointName=a\nURL=http://10.0.0.1\n", "no such key"), ("EndpointName=a\nConnectTo=127.0.0.1:1\n", "Lab=yes")):
        code, text = check_config(start + keys)
        assert code != 0 and word in text, (keys, text)


suite.main()
