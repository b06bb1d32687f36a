"""Bedrock's control plane in Sydney, beside a stand-in for the runtime: `aws.control = ControlPlane()` answers at the same port for its
own host name. Signatures are checked as strictly; what there is to be told of stands in `profiles`, `guardrails` and `models`."""
import json
import re
import urllib.parse

HOST = "bedrock.ap-southeast-2.amazonaws.com"
REGION = "ap-southeast-2"
ACCOUNT = "123456789012"


def profile_arn(name, kind="application-inference-profile"):
    return "arn:aws:bedrock:%s:%s:%s/%s" % (REGION, ACCOUNT, kind, name)


class Words:
    """At the runtime's own host: a question in words alone by Converse. `served`: models that answer on demand."""

    def __init__(self, served):
        self.served = served
        self.questions = []   # the bodies

    def reply(self, standin, s, stream, line, headers):
        from standin_aws import Refused  # it uses this module
        body = stream.read(int({n.lower(): v for n, v in headers}["content-length"]))
        try:
            standin._check_signature(line, headers, body)
            m = re.fullmatch(r"POST /model/([A-Za-z0-9._~%-]+)/converse HTTP/1.1", line.strip())
            request = json.loads(body)
            if not m or set(request) != {"messages", "inferenceConfig"} or [set(c) for c in request["messages"][0]["content"]] != [{"text"}]:
                raise Refused(400, "ValidationException", "not a question in words: %s" % line)
            self.questions.append(body)
            model = urllib.parse.unquote(m[1])
            if model not in self.served:
                raise Refused(400, "ValidationException", "Invocation of model ID %s with on-demand throughput isn\u2019t supported. Retry your request with the "
                              "ID or ARN of an inference profile that contains this model." % model)
        except Refused as r:
            standin._error(s, r.status, r.kind, r.message)
            return True
        usage = {"inputTokens": 12, "outputTokens": 3, "totalTokens": 15}
        standin._reply(s, 200, {"Content-Type": "application/json"}, json.dumps(
            {"output": {"message": {"role": "assistant", "content": [{"text": "Yes."}]}}, "stopReason": "end_turn", "usage": usage, "metrics": {"latencyMs": 300}}).encode())
        return True


class ControlPlane:
    def __init__(self):
        self.profiles, self.guardrails, self.models = {}, {}, {}
        self.status = None   # answered to everything, when set
        self.asked = []      # paths, in order

    def add_profile(self, name, model, regions, kind="application-inference-profile", status="ACTIVE"):
        arn = profile_arn(name, kind)
        self.profiles[arn] = {"inferenceProfileName": name, "inferenceProfileId": name, "inferenceProfileArn": arn, "status": status,
                              "type": "APPLICATION" if kind.startswith("app") else "SYSTEM_DEFINED",
                              "models": [{"modelArn": "arn:aws:bedrock:%s::foundation-model/%s" % (r, model)} for r in regions]}
        return arn

    def add_guardrail(self, name, version, crossing=None):
        self.guardrails[name, version] = {"name": name, "guardrailId": name, "guardrailArn": "arn:aws:bedrock:%s:%s:guardrail/%s" % (REGION, ACCOUNT, name),
                                          "version": version, "status": "READY", "blockedInputMessaging": "no", "blockedOutputsMessaging": "no"}
        if crossing:
            self.guardrails[name, version]["crossRegionDetails"] = {"guardrailProfileId": crossing}

    def answer(self, method, target):
        """Status and body for a request whose signature is right."""
        self.asked.append(target)
        url = urllib.parse.urlsplit(target)
        query = urllib.parse.parse_qs(url.query, strict_parsing=bool(url.query))
        m = re.fullmatch(r"/(inference-profiles|guardrails|foundation-models)/([A-Za-z0-9._~%-]+)", url.path)
        if self.status:
            return self.status, {"message": "scripted"}
        if method != "GET" or not m or set(query) > {"guardrailVersion"}:
            return 404, {"message": "no operation %s %s" % (method, target)}
        name = urllib.parse.unquote(m[2])
        if m[1] == "inference-profiles":
            found = self.profiles.get(name) or next((p for p in self.profiles.values() if p["inferenceProfileId"] == name), None)
        elif m[1] == "guardrails":
            found = self.guardrails.get((name.rsplit("/", 1)[-1], query.get("guardrailVersion", ["DRAFT"])[0]))
        else:
            found = self.models.get(name)
        return (200, found) if found is not None else (404, {"message": "The requested resource was not found."})

    def reply(self, standin, s, stream, line, headers):
        """One request at the host of the control plane; `standin` checks the signature and writes the reply to `s`. True: more may come."""
        from standin_aws import Refused  # it uses this module
        lower = {n.lower(): v for n, v in headers}
        body = stream.read(int(lower.get("content-length", "0")))
        method, target, _ = line.split(" ", 2)
        try:
            if "content-type" in lower or body:
                raise Refused(400, "ValidationException", "a GET has no body")
            standin._check_signature(line, headers, body, HOST, ("host", "authorization", "x-amz-date"))
            status, found = self.answer(method, target)
        except Refused as r:
            self.asked.append((r.kind, r.message))
            standin._error(s, r.status, r.kind, r.message)
            return True
        if status != 200:
            kind = {403: "AccessDeniedException", 404: "ResourceNotFoundException", 429: "ThrottlingException"}.get(status, "InternalServerException")
            standin._error(s, status, kind, found["message"])
        else:
            standin._reply(s, 200, {"Content-Type": "application/json"}, json.dumps(found).encode())
        return True
