#!/usr/bin/python3
"""pageferryctl doctor: what the service finds of itself, in words and as JSON, and the exit status."""
import json
import os
import subprocess
import tempfile

import suite
from service import Service
from standin_aws import BedrockStandin, write_keys
from standin_control import ControlPlane

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
PRO = "amazon.nova-pro-v1:0"


def doctor(s, *args):
    return subprocess.run([os.path.join(s.build, "pageferryctl"), "--socket", s.socket, "doctor", *args], stdin=subprocess.DEVNULL,
                          capture_output=True, encoding="utf-8", timeout=60, check=False)


def findings(s, *args):
    r = doctor(s, "--json", *args)
    assert r.returncode in (0, 1), r
    found = json.loads(r.stdout)["findings"]
    assert (r.returncode == 1) == any(f["level"] == "problem" for f in found), (r.returncode, found)
    return found


def test_areas():
    with Service() as s:
        areas = [f["area"] for f in findings(s)]
        for area in ("clock", "spool", "configuration", "prices", "helpers", "backends", "credentials", "residency", "receipts"):
            assert area in areas, areas
        assert {f["area"] for f in findings(s, "residency", "spool")} == {"residency", "spool"}
        r = doctor(s, "spool")
        assert r.returncode == 0 and "has room" in r.stdout, r
        r = doctor(s, "liver")
        assert r.returncode == 2 and "no area liver; there are: clock spool" in r.stderr and "residency" in r.stderr, r


def test_problems_and_what_to_do():
    with Service({"Service": {"Helpers": "/nowhere"}, "Route": {"Backends": "sydney"}, "Backend sydney": {"Kind": "bedrock"}}) as s:
        r = doctor(s, "helpers")
        assert r.returncode == 1 and "/nowhere/pageferry-capture is not there" in r.stdout and "-> set Helpers=" in r.stdout, r
        told = [f["what"] for f in findings(s, "residency")]
        assert "backend sydney: amazon.nova-pro-v1:0 runs in ap-southeast-2 (Sydney)" in told, told


def told_of(s, level, *words):
    """Waits for a finding of that level with those words about [Credentials keys]; it is returned."""
    def look():
        found = [f for f in findings(s, "credentials") if f["what"].startswith("keys (")]
        return next((f for f in found if f["level"] == level and all(w in f["what"] + f.get("advice", "") for w in words)), None)
    return s.wait(look)


def test_credentials():
    """Which source, until when, what is wrong, what to do; and never a secret."""
    with tempfile.TemporaryDirectory() as folder:
        keys = os.path.join(folder, "keys")

        def write(text):
            with open(keys + ".new", "w", encoding="ascii") as f:
                f.write(text)
            os.chmod(keys + ".new", 0o600)
            os.rename(keys + ".new", keys)

        profile = "[default]\naws_access_key_id = AKIDEXAMPLE00001\naws_secret_access_key = %s\naws_session_token = TOKENTOKEN\n" % SECRET
        backend = {"Kind": "bedrock", "ConnectTo": "127.0.0.1:1", "Credentials": "keys"}
        with Service({"Service": {"Lab": "yes"}, "Route": {"Backends": "sydney"}, "Backend sydney": backend,
                      "Credentials keys": {"Source": "file", "File": keys}}) as s:
            s.poll = 0.3  # a file is looked at again once a second
            f = told_of(s, "problem", "no-credentials: file " + keys, "there is no such file")
            assert f["what"].startswith("keys (file, for sydney): ") and "put them where the section says" in f["advice"], f
            write(profile)
            f = told_of(s, "ok", "from file " + keys, "key AKID...0001", "no end is known")
            assert "advice" not in f, f
            write(profile + "aws_credential_expiration = 2036-11-21T03:12:05Z\n")
            told_of(s, "ok", "until 2036-11-21T03:12:05Z")
            write(profile + "aws_credential_expiration = 2016-11-21T03:12:05Z\n")
            told_of(s, "problem", "expired-token", "renew them at their source")
            write(profile.replace("aws_session_token", "[default]\naws_session_token"))
            told_of(s, "problem", "bad-credentials", "line 4: ")
            everything = doctor(s).stdout + doctor(s, "--json").stdout + s.read_log()
            assert SECRET not in everything and "TOKENTOKEN" not in everything and "AKIDEXAMPLE00001" not in everything
    device = {"Source": "container", "Endpoint": "http://127.0.0.1:1/"}
    with Service({"Credentials spare": device}) as s:
        assert [f["what"] for f in findings(s, "credentials")] == ["spare (container): not asked for yet: nobody has needed them"]
        with s.client() as v:
            asked = v.call("io.pageferry.Doctor", {"areas": ["credentials"], "live": True})["findings"]
        assert len(asked) == 1 and ("being got" in asked[0]["what"] or "unreachable" in asked[0]["what"]), asked
    with Service() as s:
        assert [f["what"] for f in findings(s, "credentials")] == ["no backend needs any"]


def details(types):
    return {"modelDetails": {"modelId": PRO, "inferenceTypesSupported": types, "inputModalities": ["TEXT", "IMAGE"], "modelLifecycle": {"status": "ACTIVE"}}}


def test_live():
    with tempfile.TemporaryDirectory() as folder, BedrockStandin(folder) as aws:
        control = aws.control = ControlPlane()
        backend = {"Kind": "bedrock", "Model": PRO, "ConnectTo": "127.0.0.1:%d" % aws.port, "CAFile": aws.ca_file, "Credentials": "keys"}
        with Service({"Service": {"Lab": "yes"}, "Route": {"Backends": "sydney"}, "Backend sydney": backend,
                      "Credentials keys": {"Source": "file", "File": write_keys(folder, aws.credentials)}}) as s:
            told = {}
            for name, status, said in (("well", 200, details(["ON_DEMAND"])), ("profile-only", 200, details(["INFERENCE_PROFILE"])), ("denied", 403, None),
                                       ("unknown", 404, None), ("garbage", 200, [])):
                control.status = status if status != 200 else None
                control.models[PRO] = said
                told[name] = [f for f in findings(s, "--residency") if "sydney" in f["what"]][1:]
            assert control.asked == ["/foundation-models/amazon.nova-pro-v1%3A0"] * 5, control.asked
            assert [f["level"] for f in told["well"]] == ["note", "ok"] and "answers at 127.0.0.1" in told["well"][0]["what"], told
            assert "is served on demand here" in told["well"][1]["what"], told
            assert told["profile-only"][-1]["level"] == "problem" and "not served on demand" in told["profile-only"][-1]["what"], told
            assert told["denied"][-1]["level"] == "warning" and "configs/iam" in told["denied"][-1]["advice"], told
            assert told["unknown"][-1]["level"] == "problem" and told["garbage"][-1]["level"] == "problem", told
            findings(s, "residency")
            assert len(control.asked) == 5, "without --residency nobody is asked"
            aws.stop()
            assert any("cannot be asked" in f["what"] for f in findings(s, "--residency"))


suite.main()
