"""A strict stand-in for SageMaker runtime in Sydney: connection, TLS, signature and clock as the one for Bedrock (standin_aws.py); endpoints with
containers of both forms, that read the page's own pixels; and SageMaker's own errors, with their capitalised Message."""
import base64
import binascii
import io
import json
import re

from PIL import Image

import pagereader
from standin_aws import REGION, BedrockStandin, Refused

MAX_BODY = 6_291_456
SIDE_MAX = 2048
ERRORS = {
    "not-ready": (429, "ModelNotReadyException", {"Message": "The model is being loaded."}),
    "no-capacity": (400, "ValidationError", {"Message": "Inference Component has no capacity to process this request. ApplicationAutoScaling may be "
                                                        "in-progress (if configured) or try to increase the capacity."}),
    "not-in-service": (400, "ValidationError", {"Message": "Endpoint qwen is not InService."}),
    "model-500": (424, "ModelError", {"Message": "Received server error (500) from primary with message \"boom\".", "OriginalStatusCode": 500,
                                      "OriginalMessage": "boom", "LogStreamArn": "arn:aws:logs:ap-southeast-2:1:log-group:x"}),
    "model-413": (424, "ModelError", {"Message": "Received client error (413) from primary.", "OriginalStatusCode": 413, "OriginalMessage": "too large"}),
    "model-400": (424, "ModelError", {"Message": "Received client error (400) from primary.", "OriginalStatusCode": 400, "OriginalMessage": "bad"}),
    "dependency": (530, "InternalDependencyException", {"Message": "A dependency failed."}),
    "failure": (500, "InternalFailure", {"Message": "An internal failure occurred."}),
    "unavailable": (503, "ServiceUnavailable", {"Message": "The service is currently unavailable."}),
    "throttle": (400, "ThrottlingException", {"Message": "Rate exceeded"}),
}


def refuse(message):
    raise Refused(400, "ValidationError", message)


def page_of(text):
    try:
        data = base64.b64decode(text, validate=True)
        image = Image.open(io.BytesIO(data))
        image.load()
    except (binascii.Error, OSError, SyntaxError, TypeError):
        raise Refused(424, "ModelError", "Received client error (400) from primary: the image cannot be read") from None
    assert image.format == "JPEG" and max(image.size) <= SIDE_MAX, (image.format, image.size)
    return data


class SagemakerStandin(BedrockStandin):
    """`endpoints` are {name: form}; `default` and `script` take "ok" or a key of ERRORS. In `components` each endpoint may name one that must be called."""

    host, service = "runtime.sagemaker.%s.amazonaws.com" % REGION, "sagemaker"

    def __init__(self, folder, endpoints=None, components=None, **more):
        super().__init__(folder, **more)
        self.endpoints = endpoints or {"qwen": "openai", "simple": "plain"}
        self.components = components or {}
        self.seen_headers = []

    def _next_behaviour(self):
        with self.lock:
            return self.script.pop(0) if self.script else self.default

    def _check_signature(self, line, headers, body):
        super()._check_signature(line, headers, body)
        self.seen_headers.append({n.lower(): v for n, v in headers})

    def _check_request(self, line, body):
        method, path, _ = line.split(" ", 2)
        m = re.fullmatch(r"/endpoints/([a-zA-Z0-9-]+)/invocations", path)
        if method != "POST" or not m:
            raise Refused(404, "UnknownOperationException", "no operation %s %s" % (method, path))
        name, headers = m[1], self.seen_headers[-1]
        if name not in self.endpoints:
            refuse("Endpoint %s of account 111122223333 not found." % name)
        if headers.get("x-amzn-sagemaker-inference-component") != self.components.get(name):
            refuse("Inference Component Name header is required for endpoints to which you plan to deploy inference components.")
        if headers["content-type"] != "application/json" or headers.get("accept") != "application/json":
            refuse("content-type and accept must be application/json")
        if len(body) > MAX_BODY:
            refuse("1 validation error detected: Value at 'body' failed to satisfy constraint: Member must have length less than or equal to 6291456")
        request = json.loads(body)
        request["form"] = self.endpoints[name]
        return name, request, (self._plain if request["form"] == "plain" else self._openai)(request)

    @staticmethod
    def _plain(request):
        assert set(request) == {"image", "prompt", "max_new_tokens", "form"}, sorted(request)
        assert isinstance(request["prompt"], str) and 1 <= request["max_new_tokens"] <= 65536
        return page_of(request["image"])

    @staticmethod
    def _openai(request):
        """vLLM's chat completions, as far as they are asked for; what it does not know it would only warn of: here it is an error."""
        assert set(request) <= {"model", "messages", "max_tokens", "temperature", "seed", "stream", "response_format", "form"}, sorted(request)
        assert request["stream"] is False and request["response_format"]["type"] == "json_schema", request["response_format"]
        assert set(request["response_format"]["json_schema"]) == {"name", "strict", "schema"}
        images = [c["image_url"]["url"] for m in request["messages"] if isinstance(m["content"], list) for c in m["content"] if c["type"] == "image_url"]
        assert len(images) == 1 and images[0].startswith("data:image/jpeg;base64,")
        return page_of(images[0].partition(",")[2])

    def _behave(self, s, behaviour, request, jpeg, entry):
        if behaviour in ERRORS:
            status, kind, body = ERRORS[behaviour]
            entry.update(status=status)
            self._note(entry)
            self._reply(s, status, {"Content-Type": "application/json", "x-amzn-ErrorType": kind + ":http://internal.amazon.com/coral/com.amazon.sagemaker/"},
                        json.dumps(body).encode())
            return True
        assert behaviour == "ok", behaviour
        reply = self._chat(request, jpeg) if request["form"] == "openai" else self._text(request, jpeg)
        entry.update(status=200, usage=reply.get("usage") if isinstance(reply, dict) else None)
        self._note(entry)
        self._reply(s, 200, {"Content-Type": "application/json", "x-Amzn-Invoked-Production-Variant": "AllTraffic"}, json.dumps(reply).encode())
        return True

    @staticmethod
    def _text(request, jpeg):
        schema = json.loads(request["prompt"].partition("\nThe schema: ")[2])  # a model without a form knows only the prompt
        return [{"generated_text": json.dumps(pagereader.read_fields(jpeg, schema["properties"]))}]

    @staticmethod
    def _chat(request, jpeg):
        fields = json.dumps(pagereader.read_fields(jpeg, request["response_format"]["json_schema"]["schema"]["properties"]))
        usage = {"prompt_tokens": 3000, "completion_tokens": len(fields) // 3 + 1}
        usage["total_tokens"] = sum(usage.values())
        return {"id": "chatcmpl-1", "object": "chat.completion", "usage": usage,
                "choices": [{"index": 0, "message": {"role": "assistant", "content": fields}, "finish_reason": "stop"}]}
