#!/usr/bin/python3
"""Compares fields with ground truth, strictly: a field is right when its value is the truth's, a cell of a table is a field.

    score.py TRUTH.json RESULT.json [TRUTH.json RESULT.json ...]     prints every wrong field and the totals

RESULT is a result file (docs/result.schema.json) or a plain object of fields. A value that is not on the page, and each
cell of a row that is not there, is wrong too. Names and other texts are compared without case and with blanks collapsed.
"""
import json
import sys


def normalise(v):
    return " ".join(v.split()).casefold() if isinstance(v, str) else v


def same(a, b):
    return normalise(a) == normalise(b)


def unpack(field):
    """Value, proof and the proven columns of a field of a result, or of a bare value."""
    if isinstance(field, dict) and "value" in field:
        return field["value"], field.get("proof", "unproven"), field.get("proven_columns")
    return field, "unproven", None


def pair_rows(truth, got):
    """Index pairs (i, j) of rows that belong together, so that one missing row does not shift all that follow; an end
    without a partner has None. By dynamic programming over the number of equal cells, rows in order."""
    def equal(i, j):
        g = got[j] if isinstance(got[j], dict) else {}
        return sum(same(v, g.get(k)) for k, v in truth[i].items())

    best = [[0] * (len(got) + 1) for _ in range(len(truth) + 1)]
    for i in reversed(range(len(truth))):
        for j in reversed(range(len(got))):
            best[i][j] = max(best[i + 1][j], best[i][j + 1], best[i + 1][j + 1] + equal(i, j))
    pairs, i, j = [], 0, 0
    while i < len(truth) or j < len(got):
        if i < len(truth) and j < len(got) and best[i][j] == best[i + 1][j + 1] + equal(i, j):
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif j == len(got) or (i < len(truth) and best[i][j] == best[i + 1][j]):
            pairs.append((i, None))
            i += 1
        else:
            pairs.append((None, j))
            j += 1
    return pairs


def compare_rows(name, truth, got, proof, proven):
    out = []
    got = got if isinstance(got, list) else []
    for i, j in pair_rows(truth, got):
        want = truth[i] if i is not None else {}
        have = got[j] if j is not None and isinstance(got[j], dict) else {}
        for column in sorted(set(want) | set(have)):
            path = "%s[%s].%s" % (name, i if i is not None else "+%d" % j, column)
            cell_proof = proof if column in have and (proven is None or column in proven) else "unproven"
            out.append((path, column in want and column in have and same(want[column], have[column]), cell_proof))
    return out


def compare(truth_fields, result_fields):
    """[(path, right, proof)] for every field of the truth and of the result; proof "" where there is no value."""
    out = []
    for name in list(truth_fields) + [n for n in result_fields if n not in truth_fields]:
        value, proof, proven = unpack(result_fields.get(name))
        want = truth_fields.get(name)
        if isinstance(want, list) or isinstance(value, list):
            out += compare_rows(name, want if isinstance(want, list) else [], value, proof, proven)
        elif want is not None or value is not None:
            out.append((name, want is not None and value is not None and same(want, value), proof if value is not None else ""))
    return out


def add(totals, truth, fields):
    """Adds a page to {condition: [right, fields, verified and right, verified]}."""
    t = totals.setdefault(truth["condition"], [0, 0, 0, 0])
    for _, right, proof in compare(truth["fields"], fields):
        t[0] += right
        t[1] += 1
        t[2] += right and proof == "verified"
        t[3] += proof == "verified"


def main():
    if len(sys.argv) < 3 or len(sys.argv) % 2 == 0:
        sys.exit(__doc__)
    right = total = verified_right = verified = 0
    for truth_file, result_file in zip(sys.argv[1::2], sys.argv[2::2]):
        with open(truth_file, encoding="utf-8") as f:
            truth = json.load(f)
        with open(result_file, encoding="utf-8") as f:
            result = json.load(f)
        marks = compare(truth.get("fields", truth), result.get("fields", result))
        good = sum(m[1] for m in marks)
        print("%s: %d of %d" % (result_file, good, len(marks)))
        for path, ok, proof in marks:
            if not ok:
                print("  wrong %s %s" % (path, proof))
            verified += proof == "verified"
            verified_right += ok and proof == "verified"
        right, total = right + good, total + len(marks)
    print("%d of %d fields right (%.1f %%); %d of %d verified right" % (right, total, 100 * right / max(total, 1), verified_right, verified))


if __name__ == "__main__":
    main()
