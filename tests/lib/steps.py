"""The steps of base/step.h, and which suite reaches which: tests/crash/owners.h."""
import re

from service import ROOT


def every_step():
    with open(ROOT + "/base/step.h", encoding="utf-8") as f:
        return re.findall(r'X\([A-Z0-9_]+, "([a-z0-9.-]+)"\)', f.read())


def owners():
    """{step: [suite, ...]}; none for a step that no suite owns."""
    with open(ROOT + "/tests/crash/owners.h", encoding="utf-8") as f:
        rules = re.findall(r'X\("([a-z.-]+)", "([a-z ]+)"\)', f.read())
    return {step: next((suites.split() for start, suites in rules if step.startswith(start)), []) for step in every_step()}


def steps_of(suite):
    return [step for step, suites in owners().items() if suite in suites]
