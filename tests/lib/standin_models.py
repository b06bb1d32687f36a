"""The stand-in for Bedrock with its other forms: Claude's Messages over InvokeModel, and Converse for any model.

Strict like its parent: each body is checked member by member against what AWS's reference and the vendor's say, and answered in that form's
own words. Where botocore has the service's model (Debian 13), a Converse body is validated against that as well.
"""
import base64
import binascii
import io
import json
import re
import urllib.parse
import uuid

import botocore.exceptions
import botocore.session
import botocore.validate
from PIL import Image

import pagereader
from standin_aws import BedrockStandin, Refused, check_turns, only, plain_properties

CLAUDE = {"anthropic.claude-3-haiku-20240307-v1:0": 4096, "anthropic.claude-3-5-sonnet-20241022-v2:0": 8192, "au.anthropic.claude-haiku-4-5-20251001-v1:0": 64000,
          "au.anthropic.claude-sonnet-4-5-20250929-v1:0": 64000, "au.anthropic.claude-sonnet-4-6": 64000}
NOVA = {"amazon.nova-pro-v1:0": 5000, "amazon.nova-lite-v1:0": 5000}
OWN = r"arn:aws:bedrock:ap-southeast-2:\d{12}:provisioned-model/[a-z0-9]{12}"
IMAGE_BYTES = 3_750_000


def refuse(message):
    raise Refused(400, "ValidationException", message)


def converse_shape():
    """The service model's ConverseRequest, or None where botocore is too old to have it."""
    try:
        return botocore.session.get_session().get_service_model("bedrock-runtime").operation_model("Converse").input_shape
    except botocore.exceptions.UnknownServiceError:
        return None


SHAPE = converse_shape()


def open_image(data):
    try:
        raw = base64.b64decode(data, validate=True)
        image = Image.open(io.BytesIO(raw))
        image.load()
    except (binascii.Error, OSError, SyntaxError):
        refuse("Could not process image")
    if image.format != "JPEG" or max(image.size) > 8000 or image.getexif():
        refuse("expected a JPEG of at most 8000 px without metadata, got %s %s" % (image.format, image.size))
    if len(raw) > IMAGE_BYTES:
        refuse("image exceeds %d bytes" % IMAGE_BYTES)
    return raw


def check_tool(name, description, schema):
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) or not description or schema.get("type") != "object":
        refuse("tools.0: name, description or schema is not right")


def check_claude_turns(request):
    """Turns in order, each use of the tool followed by its result; returns the images."""
    tool = request.get("tools", [{}])[0].get("name")
    images, used = [], None
    for i, message in enumerate(request["messages"]):
        only(message, "/messages/%d" % i, role=str, content=list)
        if message["role"] != ("user", "assistant")[i % 2]:
            refuse("messages: roles must alternate between \"user\" and \"assistant\"")
        kinds = [block.get("type") for block in message["content"]]
        if not kinds or kinds.count("tool_result") != (1 if used else 0) or (used and kinds[0] != "tool_result"):
            refuse("messages.%d: `tool_use` ids were found without `tool_result` blocks immediately after: %s" % (i, used))
        expected, used = used, None
        for block in message["content"]:
            kind = block.get("type")
            if kind == "text":
                only(block, "/content", type=str, text=str)
                if not block["text"].strip():
                    refuse("messages: text content blocks must contain non-whitespace text")
            elif kind == "image" and i % 2 == 0:
                only(block, "/content", type=str, source=dict)
                only(block["source"], "/source", type=str, media_type=str, data=str)
                if (block["source"]["type"], block["source"]["media_type"]) != ("base64", "image/jpeg"):
                    refuse("messages: image source is not right")
                images.append(open_image(block["source"]["data"]))
            elif kind == "tool_use" and i % 2 == 1:
                only(block, "/content", type=str, id=str, name=str, input=dict)
                if not re.fullmatch("[a-zA-Z0-9_-]+", block["id"]) or block["name"] != tool or kinds.count(kind) != 1:
                    refuse("messages.%d.tool_use: id or name is not right" % i)
                used = block["id"]
            elif kind == "tool_result" and i % 2 == 0:
                only(block, "/content", type=str, tool_use_id=str, content=str)
                if block["tool_use_id"] != expected:
                    refuse("messages.%d: unexpected `tool_use_id` found in `tool_result` blocks" % i)
            else:
                refuse("messages: Input tag %r does not match any of the expected tags" % kind)
    if len(request["messages"]) % 2 == 0:
        refuse("messages: final assistant content is not supported here")
    return images


def check_claude(request, output_max):
    """Anthropic's Messages as Bedrock takes it; returns images and schema."""
    only(request, "", anthropic_version=str, max_tokens=int, system=str, messages=list, temperature=(int, float), top_p=(int, float), top_k=int,
         tools=list, tool_choice=dict)
    if request.get("anthropic_version") != "bedrock-2023-05-31" or "messages" not in request:
        refuse("#: required key [anthropic_version] or [messages] not found")
    if not 1 <= request.get("max_tokens", 0) <= output_max:
        refuse("max_tokens: %s > %d, which is the maximum allowed number of output tokens" % (request.get("max_tokens"), output_max))
    if not 0 <= request.get("temperature", 0) <= 1 or not 0 <= request.get("top_p", 0) <= 1 or not 0 <= request.get("top_k", 0) <= 500:
        refuse("temperature: range: 0..1")
    if {"temperature", "top_p"} <= set(request):
        refuse("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    images = check_claude_turns(request)
    if "tools" not in request and "tool_choice" not in request:
        return images, None
    if len(request.get("tools", [])) != 1:
        refuse("one tool was expected")
    tool = request["tools"][0]
    only(tool, "/tools/0", name=str, description=str, input_schema=dict)
    check_tool(tool["name"], tool["description"], tool["input_schema"])
    if request.get("tool_choice") != {"type": "tool", "name": tool["name"]}:
        refuse("tool_choice does not force the tool")
    return images, tool["input_schema"]


def check_converse(model, request, output_max):
    """A Converse body; returns images and schema."""
    if SHAPE:
        values = json.loads(json.dumps(request))
        for message in values.get("messages", []):
            for block in message.get("content", []):
                if "image" in block:  # the parser of a service reads base64 before it validates
                    block["image"]["source"]["bytes"] = b"x"
        report = botocore.validate.ParamValidator().validate(dict(values, modelId=model), SHAPE)
        if report.has_errors():
            refuse(report.generate_report())
    only(request, "", system=list, messages=list, inferenceConfig=dict, toolConfig=dict, additionalModelRequestFields=dict, guardrailConfig=dict, serviceTier=dict,
         requestMetadata=dict)
    only(request.get("guardrailConfig", {}), "/guardrailConfig", guardrailIdentifier=str, guardrailVersion=str, trace=str)
    if request.get("guardrailConfig", {}).get("trace", "enabled") not in ("enabled", "disabled", "enabled_full"):
        refuse("guardrailConfig.trace is none of its values")
    only(request.get("serviceTier", {}), "/serviceTier", type=str)
    config = request.get("inferenceConfig", {})
    only(config, "/inferenceConfig", maxTokens=int, temperature=(int, float), topP=(int, float), stopSequences=list)
    if not 1 <= config.get("maxTokens", 1) <= output_max or not 0 <= config.get("temperature", 0) <= 1:
        refuse("inferenceConfig is out of range")
    extra = request.get("additionalModelRequestFields", {})
    if "nova" in model:
        only(extra, "/additionalModelRequestFields", inferenceConfig=dict)
        only(extra.get("inferenceConfig", {}), "/additionalModelRequestFields/inferenceConfig", topK=int)
    else:
        only(extra, "/additionalModelRequestFields", **({"top_k": int} if "claude" in model else {}))
    if not 0 <= extra.get("top_k", 0) <= 500 or not 0 <= extra.get("inferenceConfig", {}).get("topK", 0) <= 128:
        refuse("The additional model request fields are out of range")
    if "claude" in model and {"temperature", "topP"} <= set(config):
        refuse("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    for block in request.get("system", []):
        only(block, "/system", text=str)
    images = [open_image(data) for data in check_turns(request)]
    if "toolConfig" not in request:
        return images, None
    tools = request["toolConfig"]
    only(tools, "/toolConfig", tools=list, toolChoice=dict)
    if len(tools["tools"]) != 1:
        refuse("one tool was expected")
    only(tools["tools"][0], "/toolConfig/tools/0", toolSpec=dict)
    spec = tools["tools"][0]["toolSpec"]
    only(spec, "/toolSpec", name=str, description=str, inputSchema=dict)
    only(spec["inputSchema"], "/inputSchema", json=dict)
    check_tool(spec["name"], spec["description"], spec["inputSchema"]["json"])
    forced = "toolChoice" in tools
    if forced != ("claude" in model or "nova" in model):
        refuse("This model doesn't support the toolConfig.toolChoice.tool field." if forced else "toolChoice does not force the tool")
    if forced and tools["toolChoice"] != {"tool": {"name": spec["name"]}}:
        refuse("toolChoice does not force the tool")
    return images, spec["inputSchema"]["json"]


class ModelsStandin(BedrockStandin):
    """`stops` holds what the model stops with for the next answers, else it answers with the tool."""

    def __init__(self, folder, **more):
        super().__init__(folder, **more)
        self.stops = []
        self.metadata = []  # as the tiers
        self.tiers = []   # of the requests by Converse; None: none was named

    def _check_request(self, line, body):
        method, path, _ = line.split(" ", 2)
        m = re.fullmatch(r"/model/([A-Za-z0-9._~%-]+)/(invoke|converse)", path)
        model = urllib.parse.unquote(m[1]) if m else ""
        if method != "POST" or not m or (m[2] == "invoke" and model not in CLAUDE):
            return super()._check_request(line, body)
        if model not in CLAUDE and model not in NOVA and not re.fullmatch(OWN, model):
            refuse("The provided model identifier is invalid.")
        try:
            request = json.loads(body)
        except ValueError:
            refuse("Malformed input request, please reformat your input and try again.")
        if m[2] == "converse":
            images, schema = check_converse(model, request, CLAUDE.get(model) or NOVA.get(model) or 100000)
        else:
            images, schema = check_claude(request, CLAUDE[model])
        if len(images) != 1:
            refuse("one page image was expected, %d came" % len(images))
        guardrail = request.get("guardrailConfig", {})
        self.check_options(guardrail.get("guardrailIdentifier"), guardrail.get("guardrailVersion"), request.get("serviceTier", {}).get("type"),
                           json.dumps(request["requestMetadata"]) if "requestMetadata" in request else None)
        plain = None if schema else plain_properties(request["messages"][-1]["content"][-1]["text"])
        return model, {"form": m[2], "schema": schema, "plain": plain, "text": len(json.dumps(schema)) + 1000,
                       "tier": request.get("serviceTier", {}).get("type"), "trace": guardrail.get("trace"), "metadata": request.get("requestMetadata")}, images[0]

    def _answer(self, request, jpeg):
        if "form" not in request:
            return super()._answer(request, jpeg)
        self.tiers.append(request["tier"])
        self.metadata.append(request["metadata"])
        fields = pagereader.read_fields(jpeg, request["plain"] or request["schema"].get("properties", {}))
        width, height = Image.open(io.BytesIO(jpeg)).size
        usage = {"inputTokens": width * height // 750 + request["text"] // 4, "outputTokens": len(json.dumps(fields)) // 3 + 20}
        usage["totalTokens"] = usage["inputTokens"] + usage["outputTokens"]
        with self.lock:
            stop = self.stops.pop(0) if self.stops else "end_turn" if request["plain"] else "tool_use"
        if request["form"] == "converse":
            content = [{"toolUse": {"toolUseId": "tooluse_" + uuid.uuid4().hex[:22], "name": "record_fields", "input": fields}}]
            if stop != "tool_use":
                content = [{"text": "```json\n%s\n```" % json.dumps(fields) if request["plain"] and stop == "end_turn" else "I"}]
            reply = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": stop, "usage": usage, "metrics": {"latencyMs": 1234}}
            if stop == "guardrail_intervened" and request["trace"]:
                reply["trace"] = {"guardrail": {"outputAssessments": {"gr1abc": [{
                    "topicPolicy": {"topics": [{"name": "tax", "type": "DENY", "action": "BLOCKED"}]},
                    "sensitiveInformationPolicy": {"piiEntities": [{"match": "Ann Lee", "type": "NAME", "action": "ANONYMIZED"}]}}]}}}
            return reply, usage
        content = [{"type": "tool_use", "id": "toolu_bdrk_" + uuid.uuid4().hex[:20], "name": "record_fields", "input": fields}]
        if stop != "tool_use":
            content = [{"type": "text", "text": "```json\n%s\n```" % json.dumps(fields) if request["plain"] and stop == "end_turn" else "I"}]
        return {"id": "msg_bdrk_" + uuid.uuid4().hex[:20], "type": "message", "role": "assistant", "model": "claude", "content": content, "stop_reason": stop,
                "stop_sequence": None, "usage": {"input_tokens": usage["inputTokens"], "output_tokens": usage["outputTokens"],
                                                 "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}}, usage
