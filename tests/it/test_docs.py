#!/usr/bin/python3
"""The manual pages say what the programs say: every key with its default, every verb and option; and their mdoc is right."""
import glob
import os
import re
import shutil
import subprocess

import suite

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOCS = os.path.join(ROOT, "docs")
BUILD = os.path.abspath(os.environ.get("PAGEFERRY_BUILD", os.path.join(ROOT, "build/amd64")))
PAGES = sorted(glob.glob(DOCS + "/*.[0-9]"))


def said(program, *options):
    r = subprocess.run([os.path.join(BUILD, program), *options], capture_output=True, text=True, timeout=20)
    assert r.returncode == 0, (program, options, r.returncode, r.stderr)
    return r.stdout


def page(name):
    with open(os.path.join(DOCS, name), encoding="utf-8") as f:
        return f.read()


def sections(text):
    """{"Spool": {"Directory": what stands below it}} of pageferry.conf(5); all of [Backend NAME] is one."""
    found = {}
    for part in re.split(r"^\.Ss \[", text, flags=re.M)[1:]:
        title, rest = part.split("]", 1)
        items = re.split(r"^\.It Cm (\w+)=$", rest, flags=re.M)
        found[title] = dict(zip(items[1::2], items[2::2]))
    return found


def help_config():
    """(section, key, default) of --help-config."""
    section = None
    for line in said("pageferryd", "--help-config").splitlines():
        title = re.fullmatch(r"#?\[(.+)\]", line)
        key = re.fullmatch(r"#(\w+)=(.*)", line)
        if title:
            section = title.group(1)
        elif key:
            yield section, key.group(1), key.group(2)


def missing_keys(text):
    manual, missing = sections(text), []
    for section, key, default in help_config():
        below = manual.get(section, {}).get(key)
        if below is None:
            missing.append("[%s] %s=" % (section, key))
        elif default and not re.search(r"(?i)default:\s+(\.\w+ )?%s(?=[\s.;,])" % re.escape(default), below):
            missing.append("[%s] %s= has another default than %s" % (section, key, default))
    return missing


def test_every_key_and_default():
    known = {(s, k) for s, k, _ in help_config()}
    assert len(known) > 40, known
    text = page("pageferry.conf.5")
    missing = missing_keys(text)
    assert not missing, missing
    unknown = {(s, k) for s, keys in sections(text).items() for k in keys} - known
    assert not unknown, unknown


def test_a_missing_key_is_noticed():
    text = page("pageferry.conf.5")
    assert missing_keys(text.replace(".It Cm MaxSide=\n", "")) == ["[Capture] MaxSide="]
    assert missing_keys(text.replace("Default: 2048.", "Default: 1024.")) == ["[Capture] MaxSide= has another default than 2048"]


def verbs():
    text = said("pageferryctl", "--help").split("Verbs:\n", 1)[1].split("\n\n", 1)[0]
    return [line.split()[0] for line in text.splitlines()]


def test_every_verb():
    assert "extract" in verbs(), verbs()
    text = page("pageferryctl.1")
    for verb in verbs():
        assert re.search(r"^\.(Op )?Cm %s$" % verb, text.split(".Sh DESCRIPTION")[0], re.M), "verb %s is not in the synopsis" % verb
        assert re.search(r"^\.It Cm %s$" % verb, text, re.M), "verb %s is not described" % verb


def described(text, option):
    return re.search(r"^\.It.* Fl -%s\b" % re.escape(option), text, re.M)


def test_every_option():
    told = {"pageferryd.8": [said("pageferryd", "--help"), said("pageferryd", "spool", "--help")], "pageferry-capture.1": [said("pageferry-capture", "--help")],
            "pageferry-ocr.1": [said("pageferry-ocr", "--help")],
            "pageferryctl.1": [said("pageferryctl", "--help")] + [said("pageferryctl", v, "--help") for v in verbs() if v != "help"]}
    for name, texts in told.items():
        for option in sorted(set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", "\n".join(texts)))):
            assert described(page(name), option), "%s does not describe --%s" % (name, option)


def test_mandoc():
    if not shutil.which("mandoc"):
        raise suite.Skip("mandoc is not installed")
    r = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *PAGES], capture_output=True, text=True, timeout=20)
    assert r.returncode == 0, r.stdout + r.stderr


def test_groff():
    if not shutil.which("groff"):
        raise suite.Skip("groff is not installed")
    for name in PAGES:
        r = subprocess.run(["groff", "-mdoc", "-Tutf8", "-ww", "-z", name], capture_output=True, text=True, timeout=20)
        if "mdoc" in r.stderr and "tmac" in r.stderr:
            raise suite.Skip("this groff has no mdoc macros")
        assert r.returncode == 0 and not r.stderr, r.stderr


def test_message_ids():
    """daemon/messages.h and docs/messages.md have the same ids, and those that are sent are the ones that are said to be."""
    with open(os.path.join(ROOT, "daemon/messages.h"), encoding="utf-8") as f:
        defined = dict(re.findall(r'#define (MESSAGE_\w+)\s+"([0-9a-f]{32})"', f.read()))
    listed = {n: (i, sent) for n, i, sent in re.findall(r"^\| `(MESSAGE_\w+)` \| `([0-9a-f]{32})` \| ([^|]+) \|", page("messages.md"), re.M)}
    assert defined and len(set(defined.values())) == len(defined)
    assert {n: i for n, (i, _) in listed.items()} == defined
    code = ""
    for name in glob.glob(ROOT + "/daemon/*.c"):
        with open(name, encoding="utf-8") as f:
            code += f.read()
    for name, (_, sent) in listed.items():
        used = re.search(r"\b%s\b" % name, code) is not None
        assert used == (sent != "reserved"), "%s: docs/messages.md says \"%s\", the code %s it" % (name, sent, "sends" if used else "does not send")


def test_links():
    """What README and docs point at is there."""
    for name in ["README.md", "CONTRIBUTING.md"] + ["docs/" + n for n in os.listdir(DOCS) if n.endswith(".md")]:
        with open(os.path.join(ROOT, name), encoding="utf-8") as f:
            text = f.read()
        for target in re.findall(r"\]\(([^)#:]+)[)#]", text):
            assert os.path.exists(os.path.join(ROOT, os.path.dirname(name), target)), "%s points at %s" % (name, target)


suite.main()
