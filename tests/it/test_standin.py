#!/usr/bin/python3
"""The stand-in for AWS is strict: a request signed by botocore passes, and every single thing done wrong is refused as AWS would."""
import base64
import http.client
import io
import json
import ssl
import tempfile
from datetime import datetime, timedelta, timezone

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from PIL import Image, ImageDraw

import suite
from standin_aws import HOST, BedrockStandin

FOLDER = tempfile.TemporaryDirectory(dir="/tmp")
AWS = BedrockStandin(FOLDER.name)
AWS.start()


def page():
    image = Image.new("L", (600, 200), 255)
    ImageDraw.Draw(image).text((20, 20), "TOTAL  $12.00", fill=0)
    out = io.BytesIO()
    image.save(out, "JPEG")
    return out.getvalue()


def nova(**change):
    schema = {"type": "object", "properties": {"total": {"type": "string"}}}
    body = {"schemaVersion": "messages-v1", "inferenceConfig": {"maxTokens": 100, "temperature": 0, "topK": 1},
            "messages": [{"role": "user", "content": [{"image": {"format": "jpeg", "source": {"bytes": base64.b64encode(page()).decode()}}},
                                                      {"text": "What is the total?"}]}],
            "toolConfig": {"tools": [{"toolSpec": {"name": "page", "description": "d", "inputSchema": {"json": schema}}}],
                           "toolChoice": {"tool": {"name": "page"}}}}
    body.update(change)
    return body


def ask(body=None, model="amazon.nova-pro-v1%3A0", secret=None, region="ap-southeast-2", age_s=0, mutate=None, sent_body=None, **extra):
    data = json.dumps(body or nova()).encode()
    request = AWSRequest("POST", "https://%s/model/%s/invoke" % (HOST, model), data=data, headers=dict(
        {"Content-Type": "application/json"}, **{"X-Amzn-Bedrock-" + n.replace("_", "-"): v for n, v in extra.items()}))
    stamp = (datetime.now(timezone.utc) - timedelta(seconds=age_s)).strftime("%Y%m%dT%H%M%SZ")
    request.context["timestamp"] = stamp
    request.headers["X-Amz-Date"] = stamp
    signer = SigV4Auth(Credentials(AWS.credentials.access_key, secret or AWS.credentials.secret_key), "bedrock", region)
    signer._inject_signature_to_request(request, signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request))
    headers = dict(request.headers.items())
    if mutate:
        mutate(headers)
    context = ssl.create_default_context(cafile=AWS.ca_file)
    c = http.client.HTTPSConnection(HOST, context=context, timeout=20)
    c._create_connection = lambda *a, **k: __import__("socket").create_connection(("127.0.0.1", AWS.port), 20)
    c.request("POST", "/model/%s/invoke" % model, sent_body or data, dict(headers, Host=HOST))
    r = c.getresponse()
    kind = (r.getheader("x-amzn-ErrorType") or "").split(":")[0]
    return r.status, kind, json.loads(r.read() or b"null")


def test_right_request():
    status, kind, body = ask()
    assert status == 200, (status, kind, body)
    assert body["stopReason"] == "tool_use" and body["usage"]["inputTokens"] > 0


def refused(want, **how):
    status, kind, body = ask(**how)
    assert (status, kind) == want, (status, kind, body)


def test_wrong_secret():
    refused((403, "InvalidSignatureException"), secret="x" * 40)


def test_wrong_region():
    refused((403, "InvalidSignatureException"), region="us-east-1")


def test_old_signature():
    refused((403, "InvalidSignatureException"), age_s=400)


def test_future_signature():
    refused((403, "InvalidSignatureException"), age_s=-400)


def test_changed_body():
    refused((403, "InvalidSignatureException"), sent_body=json.dumps(nova(schemaVersion="messages-v2")).encode())


def test_unsigned_amz_header():
    refused((403, "InvalidSignatureException"), mutate=lambda h: h.update({"X-Amz-Something": "1"}))


def test_unknown_token():
    refused((403, "InvalidSignatureException"), mutate=lambda h: h.update({"X-Amz-Date": "20200101T000000Z"}))


def test_single_encoded_path_is_refused():
    """A signature over %3A instead of %253A, the classic mistake: signed for the plain path, sent encoded."""
    plain = SigV4Auth._normalize_url_path
    SigV4Auth._normalize_url_path = lambda self, path: path
    try:
        data = json.dumps(nova()).encode()
        request = AWSRequest("POST", "https://%s/model/amazon.nova-pro-v1%%3A0/invoke" % HOST, data=data, headers={"Content-Type": "application/json"})
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        request.context["timestamp"] = stamp
        request.headers["X-Amz-Date"] = stamp
        signer = SigV4Auth(AWS.credentials, "bedrock", "ap-southeast-2")
        signer._inject_signature_to_request(request, signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request))
        authorization = request.headers["Authorization"]
    finally:
        SigV4Auth._normalize_url_path = plain
    refused((403, "InvalidSignatureException"), mutate=lambda h: h.update({"Authorization": authorization, "X-Amz-Date": stamp}))


def test_wrong_model():
    refused((400, "ValidationException"), model="amazon.nova-2-lite-v1%3A0")
    refused((400, "ValidationException"), model="apac.amazon.nova-pro-v1%3A0")


def test_wrong_shapes():
    for change in ({"schemaVersion": "messages-v2"}, {"extra": 1}, {"inferenceConfig": {"max_tokens": 5}}, {"messages": []},
                   {"toolConfig": {"tools": []}}, {"inferenceConfig": {"maxTokens": 100000}},
                   {"messages": [{"role": "user", "content": [{"text": "no page"}]}]}):
        refused((400, "ValidationException"), body=nova(**change))


def example(**change):
    """A body with an example before the page; `change` is of its parts."""
    parts = {"use": "e1", "result": "e1", "name": "page", "first": [], "answer": []}
    parts.update(change)
    body = nova()
    page_turn = body["messages"][0]["content"]
    body["messages"] = [
        {"role": "user", "content": [{"text": "TOTAL $1.00"}]},
        {"role": "assistant", "content": parts["answer"] + [{"toolUse": {"toolUseId": parts["use"], "name": parts["name"], "input": {"total": "1.00"}}}]},
        {"role": "user", "content": parts["first"] + [{"toolResult": {"toolUseId": parts["result"], "content": [{"text": "ok"}], "status": "success"}}] + page_turn}]
    return body


def test_examples():
    assert ask(body=example())[0] == 200
    for change in ({"result": "e2"}, {"name": "other"}, {"first": [{"text": "before the result"}]}, {"use": "e 1", "result": "e 1"},
                   {"answer": [{"toolResult": {"toolUseId": "e1", "content": [{"text": "ok"}], "status": "success"}}]}):
        refused((400, "ValidationException"), body=example(**change))
    no_result = example()
    del no_result["messages"][2]["content"][0]
    refused((400, "ValidationException"), body=no_result)
    unfinished = example()
    del unfinished["messages"][2]
    refused((400, "ValidationException"), body=unfinished)


def test_headers_of_invoke():
    right = {"GuardrailIdentifier": "gr1abc", "GuardrailVersion": "2", "Service_Tier": "flex", "Trace": "ENABLED",
             "Request_Metadata": json.dumps({"site": "Perth 1", "page": ""})}
    assert ask(**right)[0] == 200
    for change in ({"GuardrailVersion": None}, {"GuardrailIdentifier": None}, {"GuardrailVersion": "0"}, {"GuardrailVersion": "draft"},
                   {"GuardrailVersion": "3"}, {"GuardrailIdentifier": "gr2"}, {"Service_Tier": "Flex"}, {"Service_Tier": "reserved"},
                   {"Trace": "enabled"}, {"Guardrail": "gr1abc"}, {"Request_Metadata": "{}"}, {"Request_Metadata": json.dumps({"a": "\u00e9"})},
                   {"Request_Metadata": json.dumps({str(i): "x" for i in range(17)})}, {"PerformanceConfig_Latency": "fast"}):
        refused((400, "ValidationException"), **{n: v for n, v in dict(right, **change).items() if v is not None})


suite.main()
