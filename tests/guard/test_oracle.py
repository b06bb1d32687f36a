#!/usr/bin/python3
"""The residency guard against another judge, written from AWS's endpoint lists with regular expressions: on hostile URLs, regions and
models the guard never allows what the judge does not. CASES= of them, from SEED=."""
import os
import random
import re
import subprocess

import suite

BEDROCK, CONTROL, SAGEMAKER, S3, STS, IOT, ANYWHERE, SSO, OIDC, IMDS, CONTAINER, LOCAL, WEBHOOK = range(13)
CASES = int(os.environ.get("CASES", 40000))
SEED = int(os.environ.get("SEED", 1))
HEX = "(?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2}|[:@!$&'()*+,;=])"
SEGMENT = HEX + "+"
NAMES = {BEDROCK: "bedrock-runtime", CONTROL: "bedrock", SAGEMAKER: r"runtime\.sagemaker", STS: "sts", ANYWHERE: "rolesanywhere", SSO: r"portal\.sso", OIDC: "oidc"}
PATHS = {BEDROCK: "/model/(?P<name>%s)/(?:invoke|converse|invoke-with-response-stream|converse-stream|count-tokens)" % SEGMENT,
         CONTROL: r"/(?:(?:inference-profiles|foundation-models)/%s|guardrails/%s(?:\?[^#\s]*)?)" % (SEGMENT, SEGMENT),
         SAGEMAKER: "/endpoints/(?P<name>%s)/(?:invocations|async-invocations|invocations-response-stream)" % SEGMENT,
         STS: "/?", ANYWHERE: "/sessions", SSO: r"/federation/credentials(?:\?[^#\s]*)?", OIDC: "/token",
         IOT: "/role-aliases/(?P<name>%s)/credentials" % SEGMENT}
LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
SYDNEY_MODELS = {"amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0", "anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-sonnet-20240229-v1:0",
                 "anthropic.claude-3-5-sonnet-20241022-v2:0"}


def decoded(text):
    return re.sub("%([0-9A-Fa-f]{2})", lambda m: chr(int(m.group(1), 16)), text)


def host(sink, region):
    r = re.escape(region)
    if sink == S3:
        return (r"(?:(?:(?P<bucket>[a-z0-9][a-z0-9-]{1,61}[a-z0-9])\.)?s3(?:\.dualstack)?\.%s\.amazonaws\.com|(?:bucket\.)?vpce-[a-z0-9-]+\.s3\.%s\.vpce\.amazonaws\.com)" % (r, r))
    if sink == IOT:
        return r"(?:%s\.credentials\.iot\.%s\.(?:amazonaws\.com|api\.aws)|vpce-[a-z0-9-]+\.credentials\.iot\.%s\.vpce\.amazonaws\.com)" % (LABEL, r, r)
    return r"(?:%s\.%s\.(?:amazonaws\.com|api\.aws)|vpce-[a-z0-9-]+\.%s\.%s\.vpce\.amazonaws\.com)" % (NAMES[sink], r, NAMES[sink], r)


def model_stays(model, region, melbourne):
    arn = re.fullmatch(r"arn:aws:(bedrock|sagemaker):([a-z0-9-]+):(\d{12})?:([a-z-]+)/([A-Za-z0-9._:-]+)", model)
    if arn:
        service, where, account, kind, name = arn.groups()
        if where != region:
            return False
        if (service, kind) == ("bedrock", "foundation-model"):
            return not account and name in SYDNEY_MODELS and region == "ap-southeast-2"
        if (service, kind) == ("bedrock", "inference-profile"):
            return bool(account) and melbourne and name.startswith("au.anthropic.claude-")
        return bool(account) and (service, kind) in {("bedrock", "provisioned-model"), ("bedrock", "custom-model-deployment"), ("bedrock", "imported-model"),
                                                     ("sagemaker", "endpoint")}
    if melbourne and re.fullmatch(r"au\.anthropic\.claude-[A-Za-z0-9.:_-]*", model):
        return True
    return model in SYDNEY_MODELS and region == "ap-southeast-2"


def allowed(sink, melbourne, url, region, model):
    """The judge: may this leave? Never with Lab=yes, so loopback is nothing special."""
    if url is None or len(url) > 8192 or re.search(r"%00", url):
        return False
    if sink == IMDS:
        return re.fullmatch(r"http://(?:169\.254\.169\.254|\[fd00:ec2::254\])(?::80)?/latest/(?:api/token|meta-data/iam/security-credentials/(?:%s|/)*)" % HEX, url) is not None
    if sink == CONTAINER:
        loop = r"https?://(?:127\.(?:\d{1,3}\.){2}\d{1,3}|\[[0:]*:0*1\])(?::\d{1,5})?(?:[/?][!-~]*)?"
        return re.fullmatch(r"http://(?:169\.254\.170\.2|169\.254\.170\.23|\[fd00:ec2::23\])(?::80)?(?:[/?][!-~]*)?", url) is not None or re.fullmatch(loop, url) is not None
    if sink == LOCAL:
        ip = re.match(r"https?://(\d+)\.(\d+)\.(\d+)\.(\d+)(?::\d{1,5})?(?:[/?][!-~]*)?$", url)
        if region is not None:
            return False
        if ip:
            a, b, c, d = map(int, ip.groups())
            return (a == 10 or a == 127 or (a == 172 and 16 <= b < 32) or (a, b) == (192, 168) or ((a, b) == (169, 254) and (c, d) != (169, 254) and c != 170))
        return re.match(r"https?://\[(?!fd00:0*ec2:)(?:f[cd][0-9a-f]{2}:[0-9a-f:.]*|[0:]*:0*1)\](?::\d{1,5})?(?:[/?][!-~]*)?$", url) is not None
    if sink == WEBHOOK or region not in ({"ap-southeast-2", "ap-southeast-4"} if melbourne else {"ap-southeast-2"}):
        return False
    if sink == IOT and region != "ap-southeast-2":
        return False
    path = PATHS.get(sink, r"(?P<path>[/?][!-~]*)?")
    m = re.fullmatch(r"https://%s(?::443)?%s" % (host(sink, region), path), url)
    if not m or "#" in url or "\n" in url:
        return False
    groups = m.groupdict()
    if sink == S3:
        bucket = groups["bucket"] or (groups["path"] or "/")[1:].split("?")[0].split("/")[0]
        return re.fullmatch("[a-z0-9-]{3,63}", bucket) is not None and not re.search("-s3alias$|--ol-s3$|--x-s3$|--table-s3$", bucket) and model in (None, bucket)
    if "name" in groups and model is not None and decoded(groups["name"]) != model:
        return False
    return sink != BEDROCK or (model is not None and model_stays(model, region, melbourne))


REGIONS = ["ap-southeast-2", "ap-southeast-2", "ap-southeast-2", "ap-southeast-4", "ap-southeast-6", "ap-southeast-22", "ap-southeast-2x", "us-east-1", "AP-SOUTHEAST-2", ""]
MODELS = sorted(SYDNEY_MODELS) + ["au.anthropic.claude-sonnet-4-6", "apac.amazon.nova-pro-v1:0", "global.anthropic.claude-sonnet-4-6", "us.amazon.nova-pro-v1:0", "amazon.nova-2-lite-v1:0",
                                  "arn:aws:bedrock:ap-southeast-2::foundation-model/amazon.nova-pro-v1:0", "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0",
                                  "arn:aws:bedrock:ap-southeast-2:123456789012:application-inference-profile/abc", "arn:aws:bedrock:ap-southeast-2:123456789012:imported-model/abc",
                                  "arn:aws:bedrock:ap-southeast-2:123456789012:inference-profile/au.anthropic.claude-sonnet-4-6", "arn:aws:sagemaker:ap-southeast-2:123456789012:endpoint/x"]
TAILS = [".evil.au", ".cn", "@evil.au", ".", "%2eevil.au", "\\@evil.au", "#.evil.au", "?.evil.au", "\r\nHost: evil.au", "\n", "\t", " ", "%0d%0a", "xn--", "\u00e9", "\u3002evil.au", ":8443", ":443",
         ":0443", ":", "%25eth0", "/../", "/%2e%2e/", "//", ";", "A", "%", "%zz", "%41", "]", "["]
HEADS = ["user@", "user:pass@", "evil.au/", "evil.au#", "evil.au?", "x.", ".", "-", "[::1]@", "//"]


def seed(r, region):
    label = r.choice(["pages-in", "c2abc", "mine", "vpce-1-2"])
    model = r.choice(MODELS)
    suffix = r.choice(["amazonaws.com"] * 3 + ["api.aws", "vpce.amazonaws.com", "amazonaws.com.cn", "amazon.com", "aws", "api.aws.au", "amazonaws.com.evil.au"])
    sink = r.randrange(13)
    if sink in (IMDS, CONTAINER, LOCAL):
        address = r.choice(["169.254.169.254", "169.254.170.2", "169.254.170.23", "[fd00:ec2::254]", "[fd00:ec2::23]", "127.0.0.1", "[::1]", "10.1.2.3", "192.168.1.1", "8.8.8.8", "localhost",
                            "[fe80::1%25eth0]", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433", "0177.0.0.1", "172.32.0.1", "[2001:db8::1]", "[fd12::1]"])
        path = r.choice(["/latest/api/token", "/latest/meta-data/iam/security-credentials/", "/v1/chat/completions", "", "/latest/user-data"])
        return sink, "%s://%s%s%s" % (r.choice(["http", "http", "https", "ftp"]), address, r.choice(["", ":80", ":8080"]), path), r.choice([None, None, region]), None
    names = {BEDROCK: "bedrock-runtime", CONTROL: "bedrock", SAGEMAKER: "runtime.sagemaker", S3: r.choice(["s3", label + ".s3", "s3.dualstack", label + ".s3.dualstack", "bucket.vpce-1.s3"]), STS: "sts",
             IOT: label + ".credentials.iot", ANYWHERE: "rolesanywhere", SSO: "portal.sso", OIDC: "oidc", WEBHOOK: "hooks"}
    paths = {BEDROCK: "/model/%s/invoke" % re.sub("[:/]", lambda m: "%%%02X" % ord(m.group()), model), CONTROL: "/inference-profiles/abc", SAGEMAKER: "/endpoints/mine/invocations",
             S3: "/pages-in/key", STS: "/", IOT: "/role-aliases/alias/credentials", ANYWHERE: "/sessions", SSO: "/federation/credentials?role_name=x", OIDC: "/token", WEBHOOK: "/"}
    name = names[sink] if r.random() < 0.9 else r.choice(list(names.values()))
    if suffix.startswith("vpce"):
        name = "vpce-0a-1b." + name
    url = "https://%s.%s.%s%s" % (name, region, suffix, paths[sink] if r.random() < 0.95 else r.choice(list(paths.values())))
    asked = {BEDROCK: model, SAGEMAKER: "mine", S3: "pages-in", IOT: "alias"}.get(sink)
    return sink, url, region if r.random() < 0.95 else r.choice(REGIONS), asked if r.random() < 0.9 else r.choice(MODELS)


def hostile(r, url):
    for _ in range(r.choice([0, 0, 1, 1, 2])):
        at = r.randrange(len(url) + 1)
        kind = r.randrange(7)
        if kind == 0:
            url = url[:at] + r.choice(TAILS) + url[at:]
        elif kind == 1:
            url = url.replace("://", "://" + r.choice(HEADS), 1)
        elif kind == 2:
            slash = url.find("/", 8)
            slash = len(url) if slash < 0 else slash
            url = url[:slash] + r.choice(TAILS) + url[slash:]
        elif kind == 3:
            url = url[:at] + url[at:at + 1].swapcase() + url[at + 1:]
        elif kind == 4:
            url = url[:at] + url[at + 1:]
        elif kind == 5 and at < len(url):
            url = url[:at] + "%%%02x" % (ord(url[at]) & 255) + url[at + 1:]
        else:
            url = url[:at] + chr(r.randrange(1, 256)) + url[at:]
    return url


def hexed(text):
    return "-" if text is None else "x" + text.encode("utf-8", "surrogateescape").hex()


def test_never_allows_what_the_judge_does_not():
    r = random.Random(SEED)
    cases = []
    for _ in range(CASES):
        sink, url, region, model = seed(r, r.choice(REGIONS))
        cases.append((sink, r.randrange(2), hostile(r, url), region, model))
    program = os.path.join(os.environ["PAGEFERRY_BUILD"], "guard/ask")
    text = "".join("%d %d 0 %s %s %s\n" % (s, m, hexed(u), hexed(g), hexed(o)) for s, m, u, g, o in cases)
    answers = subprocess.run([program], input=text, capture_output=True, text=True, timeout=300, check=True).stdout.split()
    assert len(answers) == len(cases), (len(answers), len(cases))
    judged = [allowed(*c) for c in cases]
    wrong = [c for c, a, j in zip(cases, answers, judged) if a == "0" and not j]
    assert not wrong, (len(wrong), wrong[:5])
    both = {c[0] for c, a, j in zip(cases, answers, judged) if a == "0" and j}
    assert both == set(range(12)), "every sink but webhooks is allowed something: %r" % both


suite.main()
