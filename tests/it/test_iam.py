#!/usr/bin/python3
"""The policies in configs/iam: sound, of actions that exist, no more than what the program does and all of it."""
import glob
import gzip
import json
import os
import re

import botocore
import suite

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# What the program says on the wire, and the permission it needs for that.
MARKS = {'"/invoke"': "bedrock:InvokeModel", "/converse": "bedrock:InvokeModel", "/invoke-with-response-stream": "bedrock:InvokeModelWithResponseStream",
         "/converse-stream": "bedrock:InvokeModelWithResponseStream", "/foundation-models/": "bedrock:GetFoundationModel",
         "/inference-profiles/": "bedrock:GetInferenceProfile", "/guardrails/": "bedrock:GetGuardrail", "guardrailidentifier": "bedrock:ApplyGuardrail", '"/invocations"': "sagemaker:InvokeEndpoint",
         "/async-invocations": "sagemaker:InvokeEndpointAsync", "Action=AssumeRole&": "sts:AssumeRole", '"PUT"': "s3:PutObject",
         "STEP_OUTPUT": "s3:GetObject", '"DELETE"': "s3:DeleteObject", "x-amz-bucket-region": "s3:ListBucket"}
# Of services whose actions are in no service model, or that others do on their side.
UNMODELLED = {"iot:AssumeRoleWithCertificate", "sts:TagSession", "sts:SetSourceIdentity", "s3:ListBucket"}
MODELS = {"bedrock": ("bedrock", "bedrock-runtime"), "sts": ("sts",), "sagemaker": ("sagemaker-runtime",), "s3": ("s3",)}


def policies():
    found = {}
    for path in glob.glob(ROOT + "/configs/iam/*.json"):
        with open(path, encoding="ascii") as f:
            found[os.path.basename(path)] = json.load(f)
    return found


def statements(policy):
    assert set(policy) == {"Version", "Statement"} and policy["Version"] == "2012-10-17", policy
    return policy["Statement"]


def actions(policy):
    return {a for s in statements(policy) for a in s["Action"]}


def operations(service):
    """None: this botocore is older than the service."""
    folder = os.path.join(os.path.dirname(botocore.__file__), "data", service)
    if not os.path.isdir(folder):
        return None
    base = os.path.join(folder, sorted(os.listdir(folder))[-1], "service-2.json")
    if os.path.exists(base):
        with open(base, encoding="utf-8") as f:
            return set(json.load(f)["operations"])
    with gzip.open(base + ".gz") as f:
        return set(json.load(f)["operations"])


def used():
    """The permissions that the code needs; the guard only compares."""
    text = ""
    for path in glob.glob(ROOT + "/cloud/*.c"):
        if not os.path.basename(path).startswith("guard"):
            with open(path, encoding="utf-8") as f:
                text += f.read()
    return {action for mark, action in MARKS.items() if mark in text}


def test_form():
    sids = []
    assert {"bedrock.json", "scp.json", "trust-iot.json", "iot-device.json", "trust-roles-anywhere.json"} <= set(policies())
    for name, policy in policies().items():
        for s in statements(policy):
            assert s["Effect"] == ("Deny" if name == "scp.json" else "Allow"), (name, s)
            assert set(s) <= {"Sid", "Effect", "Action", "Resource", "Principal", "Condition"}, (name, s)
            assert ("Principal" in s) != ("Resource" in s), (name, s)
            assert re.fullmatch("[A-Za-z0-9]+", s["Sid"]), (name, s)
            assert not any("*" in a for a in s["Action"]), (name, s)
            sids.append(s["Sid"])
    assert len(sids) == len(set(sids)), sids


def test_nothing_outside_australia():
    for name, policy in policies().items():
        text = json.dumps(policy)
        for region in re.findall(r"\b[a-z]{2}(?:-[a-z]+)+-\d\b", text):
            assert region in ("ap-southeast-2", "ap-southeast-4"), (name, region)


def test_actions_exist():
    missing = set()
    for name, policy in policies().items():
        for action in actions(policy) - UNMODELLED:
            prefix, operation = action.split(":")
            models = [operations(service) for service in MODELS[prefix]]
            if None in models:
                missing.add(prefix)
            else:
                assert operation in set().union(*models), (name, action)
    if missing:
        raise suite.Skip("this botocore has no model of " + ", ".join(sorted(missing)))


def test_all_that_the_code_does_and_no_more():
    theirs = {n: actions(p) for n, p in policies().items() if n != "scp.json" and not n.startswith("trust-") and n != "iot-device.json"}
    allowed = set().union(*theirs.values())
    needed = used()
    assert needed and needed <= allowed, "no policy allows %s" % (needed - allowed)
    bedrock = {a for a in needed if a.startswith("bedrock:")}
    assert theirs["bedrock.json"] == {a for a in bedrock if "Guardrail" not in a}, (theirs["bedrock.json"], needed)
    assert theirs["bedrock-guardrail.json"] == {a for a in bedrock if "Guardrail" in a}, (theirs["bedrock-guardrail.json"], needed)
    assert allowed <= set(MARKS.values()), allowed


suite.main()
