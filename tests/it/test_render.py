#!/usr/bin/python3
"""What goes in a page's place, through the strict stand-ins: smaller for Bedrock, SageMaker and a server in the house, by their limits and by what they
refuse; evened out where the document type wants it. The page that is kept stays as it was accepted, and receipts say what left."""
import base64
import hashlib
import io
import json
import os
import tempfile

import pagereader
import standin_sagemaker
import suite
from largepages import Limited, noisy_page
from PIL import Image
from service import Service, sample, truth
from standin_aws import write_keys
from standin_llama import LlamaStandin
from standin_models import ModelsStandin

HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"
READ = pagereader.read_fields


class Bedrock(Limited, ModelsStandin):
    pass


class Sagemaker(Limited, standin_sagemaker.SagemakerStandin):
    pass


class Jetson(LlamaStandin):
    """Its model's context is full at so many pixels."""

    pixels = 10**9

    def post(self, h):
        body = h.rfile.read(int(h.headers.get("Content-Length", "0")))
        content = next(m for m in json.loads(body)["messages"] if m["role"] == "user")["content"]
        jpeg = base64.b64decode(next(b["image_url"]["url"] for b in content if b["type"] == "image_url").partition(",")[2])
        width, height = Image.open(io.BytesIO(jpeg)).size
        self.script.append("overflow" if width * height > self.pixels else "ok")
        self.sizes.append((width, height))
        h.rfile = io.BytesIO(body)
        return super().post(h)


class Setup:
    def __init__(self, kind, route="own", capture=None, image=None, **backend):
        self.folder = tempfile.TemporaryDirectory(prefix="pageferry-render-", dir="/tmp")
        self.there = kind(self.folder.name)
        self.there.start()
        secrets = write_keys(self.folder.name, self.there.credentials)
        service = {"Lab": "yes"}
        if "Model" in backend:
            service["Prices"] = os.path.join(self.folder.name, "prices.conf")
            with open(service["Prices"], "w", encoding="ascii") as f:
                f.write("[Model %s]\nRegion=ap-southeast-2\nInput=0.25\nOutput=1.25\nDate=2026-07-01\n" % backend["Model"])
        keys = {"ConnectTo": "127.0.0.1:%d" % self.there.port, "CAFile": self.there.ca_file, "Backoff": "100ms", "BackoffMax": "400ms", "FallbackAfter": "0s",
                "Timeout": "20s"}
        self.sections = {"Service": service, "Capture": dict({"Square": "no"}, **(capture or {})), "Route": {"Backends": route},
                         "Credentials aws": {"Source": "file", "File": secrets}, "Backend own": dict(keys, **backend)}
        self.service = Service(self.sections)
        if image:
            self.service.change_type("invoice", image=image)

    def __enter__(self):
        self.service.start()
        return self.there, self.service

    def __exit__(self, *_):
        pagereader.read_fields = READ
        self.service.stop()
        self.there.stop()
        self.service.clean()
        self.folder.cleanup()


def answers_without_looking():
    fields = truth("receipt-1")["fields"]
    pagereader.read_fields = lambda jpeg, properties: {k: v for k, v in fields.items() if k in properties}


def kept_page(s, page):
    with open("%s/pages/%s.jpg" % (s.spool, page), "rb") as f:
        data = f.read()
    assert hashlib.sha256(data).hexdigest() == s.rows("SELECT sha256 FROM pages WHERE page = ?", page)[0]["sha256"]
    return data


def check_record(s, page, jpeg):
    """What the service says of the last attempt is what the other side got."""
    digest, size = hashlib.sha256(jpeg).hexdigest(), Image.open(io.BytesIO(jpeg)).size
    shown = s.call("Show", page=page)["attempts"][-1]["rendering"]
    assert (shown["sha256"], shown["bytes"], shown["width"], shown["height"]) == (digest, len(jpeg), *size), (shown, digest, size)
    receipts = [json.loads(r["body"]) for r in s.rows("SELECT body FROM receipts ORDER BY seq DESC LIMIT 2")]
    kept = hashlib.sha256(kept_page(s, page)).hexdigest()
    assert [(r["rendering"], r["content"]) for r in receipts] == [(digest, kept)] * 2, receipts
    return shown


def test_refused_by_bedrock_it_goes_again_smaller_and_the_limit_is_kept():
    with Setup(Bedrock, Kind="bedrock") as (aws, s):
        aws.most_bytes = 180000
        ids = s.submit(sample("invoice-1"), "invoice")
        s.wait_states(ids, {"done"})
        rows = s.rows("SELECT outcome, reason, charged FROM attempts ORDER BY id")
        assert [r["outcome"] for r in rows[-2:]] == ["retry", "done"] and [r["charged"] for r in rows] == [0] * len(rows), rows
        assert {r["reason"] for r in rows[:-1]} == {"too-large"} and s.pages()[ids[0]]["tries"] == 0, rows
        assert len(kept_page(s, ids[0])) * 4 // 3 > aws.most_bytes and len(aws.pages) == 1, "the page is not large enough for this test"
        check_record(s, ids[0], aws.pages[-1])
        before = len(s.rows("SELECT id FROM attempts"))
        ids = s.submit(sample("invoice-2"), "invoice")
        s.wait_states(ids, {"done"})
        assert len(s.rows("SELECT id FROM attempts")) == before + 1, "the backend's limit was forgotten"


def test_limits_of_a_model_are_known_beforehand():
    answers_without_looking()
    with Setup(Bedrock, Kind="bedrock", Model=HAIKU, capture={"MaxSide": "8192", "Quality": "95"}) as (aws, s):
        page = s.folder + "/large.jpg"
        noisy_page(page, "receipt-1", 2500, 3600)
        ids = s.submit(page, "receipt")
        s.wait_states(ids, {"done"})
        assert len(kept_page(s, ids[0])) > 3_750_000, "the page is not large enough for this test"
        assert [r["outcome"] for r in s.rows("SELECT outcome FROM attempts")] == ["done"] and len(aws.pages) == 1, aws.requests
        check_record(s, ids[0], aws.pages[0])


def test_base64_counts_for_sagemaker():
    answers_without_looking()
    standin_sagemaker.SIDE_MAX = 8192  # its pages are as large as the service's MaxSide=
    with Setup(Sagemaker, Kind="sagemaker", EndpointName="qwen", Form="openai", PricePerRequest="0",
               capture={"MaxSide": "8192", "Quality": "95"}) as (aws, s):
        page = s.folder + "/large.jpg"
        noisy_page(page, "receipt-1", 2700, 4000)
        ids = s.submit(page, "receipt")
        s.wait_states(ids, {"done"})
        assert len(kept_page(s, ids[0])) * 4 // 3 > standin_sagemaker.MAX_BODY, "the page is not large enough for this test"
        assert [r["outcome"] for r in s.rows("SELECT outcome FROM attempts")] == ["done"] and len(aws.pages) == 1, aws.requests
        check_record(s, ids[0], aws.pages[0])


def test_a_small_context_in_the_house():
    with Jetson() as llama:
        llama.pixels, llama.sizes = 2_000_000, []
        with Service({"Capture": {"Square": "no"}, "Route": {"Backends": "jetson ocr"},
                      "Backend jetson": {"Kind": "openai", "URL": "http://127.0.0.1:%d" % llama.port, "Backoff": "100ms", "FallbackAfter": "0s"}}) as s:
            ids = s.submit(sample("invoice-1"), "invoice")
            s.wait_states(ids, {"done"})
            assert len(llama.sizes) == 2 and llama.sizes[0][0] > llama.sizes[1][0], llama.sizes
            assert {a["backend"] for a in s.call("Show", page=ids[0])["attempts"]} == {"jetson"}
            s.wait_states(s.submit(sample("invoice-2"), "invoice"), {"done"})
            assert len(llama.sizes) == 3 and llama.sizes[2][0] * llama.sizes[2][1] <= llama.pixels, llama.sizes


def test_too_large_however_small_goes_to_the_next():
    with Setup(Bedrock, route="own ocr", Kind="bedrock") as (aws, s):
        aws.most_bytes = 10000
        ids = s.submit(sample("receipt-1"), "receipt")
        s.wait_states(ids, {"done", "provisional"})
        rows = s.rows("SELECT backend, outcome, json_extract(rendering, '$.width') AS width FROM attempts ORDER BY id")
        own = [r for r in rows if r["backend"] == "own"]
        assert [r["outcome"] for r in own] == ["retry"] * (len(own) - 1) + ["next"] and 2 <= len(own) <= 5, rows
        assert rows[-1]["backend"] == "ocr" and rows[-1]["outcome"] == "done" and not aws.pages, rows


def test_a_type_has_its_pages_evened_out():
    with Setup(Bedrock, route="own ocr", image={"flatten": True, "contrast": True}, Kind="bedrock") as (aws, s):
        ids = s.submit(sample("invoice-3"), "invoice")
        s.wait_states(ids, {"done"})
        shown = check_record(s, ids[0], aws.pages[0])
        assert shown["step"] == 0 and shown["sense"]["flatten"]["gain"] >= 1, shown
        sizes = [Image.open(io.BytesIO(d)).size for d in (aws.pages[0], kept_page(s, ids[0]))]
        assert sizes[0] == sizes[1], sizes
        # OCR on the device gets the same.
        aws.default = "access-denied"
        ids = s.submit(sample("invoice-1"), "invoice")
        s.wait_states(ids, {"provisional"})
        first, last = (s.call("Show", page=ids[0])["attempts"][i] for i in (0, -1))
        assert (first["backend"], last["backend"]) == ("own", "ocr") and first["rendering"]["sha256"] == last["rendering"]["sha256"], (first, last)
        # Other types go as they are.
        aws.default = "ok"
        ids = s.submit(sample("receipt-1"), "receipt")
        s.wait_states(ids, {"done", "provisional"})
        assert "rendering" not in s.call("Show", page=ids[0])["attempts"][0]


def test_without_its_helper_a_page_goes_as_it_is():
    setup = Setup(Bedrock, image={"flatten": True}, Kind="bedrock")
    with setup as (aws, s):
        aws.default = "access-denied"
        ids = s.submit(sample("invoice-1"), "invoice")
        s.wait(lambda: len(s.rows("SELECT id FROM attempts")) > 0)
        s.stop()
        setup.sections["Service"]["Helpers"] = s.folder + "/none"
        s.configure(setup.sections)
        aws.default = "ok"
        s.start()
        s.wait_states(ids, {"done"})
        shown = s.call("Show", page=ids[0])["attempts"][-1]["rendering"]
        assert shown == {"step": 0, "failed": "No such file or directory"}, shown
        assert aws.pages[-1] == kept_page(s, ids[0])


suite.main()
