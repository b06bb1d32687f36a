"""What was promised while a disk had power, and whether a survey of the spool after the cut keeps it."""
import base64
import collections
import hashlib
import io
import json
import tarfile

POISON = "crashed 3 times"  # a page that was at a backend at three cuts in a row is held for a person, with its file: not lost


class Promises:
    """Grows with the guest's lines; `at()` is a copy as of now, for a state of the disk as of now."""

    def __init__(self):
        self.safe = {}         # page: SHA-256 of its file, or None until that was told too
        self.done = set()      # pages whose answer was announced
        self.served = []       # SHA-256 of the page in each request that the stand-in took
        self.results = {}      # page: its result, once seen

    def at(self):
        other = Promises()
        other.safe, other.done = dict(self.safe), set(self.done)
        other.served, other.results = list(self.served), dict(self.results)
        return other

    def line(self, line):
        """A line of the guest; True if it promised something."""
        words = line.split()
        if len(words) >= 2 and words[0] == "safe":
            self.safe.setdefault(words[1], None)
        elif len(words) >= 3 and words[0] == "hash":
            if len(words[2]) == 64 and words[1] in self.safe:
                self.safe[words[1]] = words[2]
        elif len(words) == 2 and words[0] == "done":
            self.done.add(words[1])
        else:
            return False
        return True


class Survey:
    """The guest's lines from "survey" to "surveyed", and those before them that tell of trouble."""

    def __init__(self):
        self.rows = collections.defaultdict(list)
        self.files = {}       # path: SHA-256
        self.results = {}     # page: what results/PAGE.json says
        self.trouble = []     # (kind, text): kind is "lost" or "corrupt"
        self.notes = []
        self.life_ms = 0
        self.complete = False

    def line(self, line):
        word, _, rest = line.partition(" ")
        handler = getattr(self, "_" + word, None) if word in ("survey", "row", "file", "results", "surveyed", "note", "fsck", "spool", "unsettled", "unmountable",
                                                               "fatal") else None
        if handler:
            try:
                handler(rest)
            except (ValueError, OSError, tarfile.TarError) as e:
                self.trouble.append(("corrupt", "unreadable survey: %s: %s" % (e, line[:200])))
        return handler is not None

    def _survey(self, rest):
        self.life_ms = int(rest)

    def _row(self, rest):
        kind, *values = json.loads(rest)
        self.rows[kind].append(values)

    def _file(self, rest):
        digest, _, path = rest.partition("  ")
        self.files[path] = digest

    def _results(self, rest):
        with tarfile.open(fileobj=io.BytesIO(base64.b64decode(rest))) as tar:
            for m in tar.getmembers():
                if m.isfile():
                    self.results[m.name.split("/")[-1]] = json.load(tar.extractfile(m))

    def _surveyed(self, _):
        self.complete = True

    def _note(self, rest):
        self.notes.append(rest)

    def _fsck(self, rest):
        if rest != "ok":
            self.trouble.append(("corrupt", "the file system's check " + rest))

    def _spool(self, rest):
        if rest != "ok":
            self.trouble.append(("corrupt", "pageferryd spool fsck " + rest))

    def _unsettled(self, _):
        self.trouble.append(("corrupt", "recovery did not end"))

    def _unmountable(self, rest):
        self.trouble.append(("corrupt", "not mountable: " + rest))

    def _fatal(self, rest):
        self.trouble.append(("corrupt", "the guest gave up: " + rest))


def check_pages(p, s):
    pages = {row[1]: row for row in s.rows["page"]}
    for page, digest in p.safe.items():
        row = pages.get(page)
        found = s.files.get("pages/%s.jpg" % page)
        if not row:
            yield "lost", "%s was told to be safe and has no row" % page
        elif not found:
            yield "lost", "%s was told to be safe and has no file" % page
        elif found != (digest or row[4]) or found != row[4]:
            yield "corrupt", "%s is not what was accepted" % page
        elif row[2] == "held" and not row[3].startswith(POISON):
            yield "lost", "%s was told to be safe and is held: %s" % (page, row[3])
    for page, row in pages.items():
        if s.files.get("pages/%s.jpg" % page) != row[4] and page not in p.safe:
            yield "corrupt", "%s has a row and no such file" % page


def check_results(p, s):
    names = {row[0]: row[1] for row in s.rows["page"]}
    versions = {row[0]: row[5] for row in s.rows["page"]}
    results = collections.defaultdict(list)
    for page, version, _, text in s.rows["result"]:
        results[names.get(page)].append((version, json.loads(text)))
    for page in p.done:
        if page not in results:
            yield "lost", "the answer of %s was announced and is not there" % page
    for row in s.rows["page"]:
        page, found = row[1], results.get(row[1], [])
        # One backend: an answer, once. A second version could only be the same page recorded again.
        if len(found) > 1:
            yield "twice", "%s has %d results" % (page, len(found))
        if (row[2] == "done") != bool(found) or len(found) != versions[row[0]]:
            yield "corrupt", "%s is %s, version %s, with %d results" % (page, row[2], versions[row[0]], len(found))
        for _, text in found:
            if p.results.setdefault(page, text) != text:
                yield "twice", "%s has another answer than before" % page
            if s.results.get(page + ".json") != text:
                yield "corrupt", "results/%s.json is not the answer on record" % page
    for page, text in p.results.items():
        if page not in results:
            yield "lost", "the answer of %s was on record and is gone" % page
    for name in set(s.results) - {r + ".json" for r in results}:
        yield "twice", "results/%s was delivered and is not on record" % name


def check_ledger(p, s):
    """What may have been billed is in the ledger; receipts tell of every attempt, in an unbroken chain."""
    digests = {row[0]: row[4] for row in s.rows["page"]}
    noted = collections.Counter(digests.get(page) for _, page, billed, outcome, _ in s.rows["attempt"] if billed != "no" or outcome is None)
    for digest, n in collections.Counter(p.served).items():
        if noted[digest] < n:
            yield "corrupt", "%d requests were served for page file %.12s, the ledger knows %d" % (n, digest, noted[digest])
    kinds = collections.defaultdict(list)
    previous = "0" * 64
    for seq, attempt, kind, body, digest in s.rows["receipt"]:
        previous = hashlib.sha256((previous + "\n" + body).encode()).hexdigest()
        if previous != digest:
            yield "corrupt", "the chain of receipts breaks at %d" % seq
            break
        kinds[attempt].append(kind)
    for attempt, _, _, outcome, opened_ms in s.rows["attempt"]:
        if outcome is None and opened_ms < s.life_ms:
            yield "corrupt", "attempt %d of an earlier life is open" % attempt
        expected = ["sent"] if outcome is None else ["sent", "crashed"] if outcome == "crashed" else ["sent", "answered"]
        if kinds.pop(attempt, []) != expected:
            yield "corrupt", "the receipts of attempt %d are not %s" % (attempt, expected)
    if kinds:
        yield "corrupt", "receipts of no attempt: %s" % sorted(kinds)


def check_rest(s):
    for (text,) in s.rows["check"]:
        if text != "ok":
            yield "corrupt", "the database's own check: " + str(text)
    if not s.rows["check"]:
        yield "corrupt", "the database could not be read: %s" % s.notes[-3:]
    pages = {"pages/%s.jpg" % row[1] for row in s.rows["page"]}
    for path in s.files:
        if path.split("/")[0] != "pages":
            yield "corrupt", "%s should not be there" % path
        elif path not in pages:
            yield "corrupt", "%s has no row" % path
    for key, value in s.rows["meta"]:
        if key in ("rebuilt", "ledger_lost") and value != "0":
            yield "corrupt", "the database was made anew (%s)" % key


def problems(promises, survey):
    """What is not as it was promised: (kind, text), kind is "lost", "corrupt" or "twice"."""
    found = list(survey.trouble)
    if not survey.complete:
        return found + [("corrupt", "the guest did not come to the end of its survey")]
    if any(text.startswith("not mountable") for _, text in found):
        return found
    try:
        for check in (check_pages, check_results, check_ledger):
            found += check(promises, survey)
        found += check_rest(survey)
    except ValueError as e:
        found.append(("corrupt", "unreadable: %s" % e))
    return found
