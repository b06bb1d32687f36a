"""Reads a page's fields from its pixels for the stand-ins: the tesseract program and regular expressions over visual lines.

Written apart from extract/ocrmap.c on purpose: an answer that both agree on was not copied from one to the other.
"""
import hashlib
import io
import re
import subprocess
from datetime import datetime

from PIL import Image

AMOUNT = r"\(?-?\$?\s?[\d,]+\.\d\d\)?"
DATE = r"(?:\d{1,2}[/.-]\d{1,2}[/.-]\d{4}|\d{4}-\d{2}-\d{2}|\d{1,2} [A-Z][a-z]{2,8} \d{4})"
LABELS = {
    "supplier_abn": (r"A\.?B\.?N\.?:?\s*((?:\d\s?){11})", "abn"),
    "invoice_number": (r"(?:Tax )?Invoice\s?(?:No\.?:?|[Nn]umber|#|:)\s*(\S.*)$", "text"),
    "invoice_date": (r"(?:Invoice [Dd]ate:?|Date of issue|Issued|^.*\bDate)\s+(%s)" % DATE, "date"),
    "due_date": (r"(?:Due [Dd]ate:?|Payment due|Pay by:?|Due)\s+(%s)" % DATE, "date"),
    "subtotal": (r"Subtotal\s+(%s)" % AMOUNT, "money"),
    "gst": (r"(?:GST \(?10%%\)?|GST INCLUDED|Includes GST of)\s+(%s)" % AMOUNT, "money"),
    "total": (r"^(?:.*\s)?(?:Total AUD|Total|TOTAL)\s+(%s)" % AMOUNT, "money"),
    "merchant_abn": (r"A\.?B\.?N\.?:?\s*((?:\d\s?){11})", "abn"),
    "receipt_number": (r"Receipt No:?\s*(\d+)", "text"),
    "date": (r"(?:Date:?|Issued|Date of issue)\s+(%s)" % DATE, "date"),
    "payment_method": (r"Paid by:?\s*(\S+)", "text"),
    "account_name": (r"Account name\s+(.+?)(?:\s+(?:Statement start|Statement end|From|To)\s.*)?$", "text"),
    "bsb": (r"BSB\s+(\d{3}-\d{3})\s", "text"),
    "account_number": (r"Account number\s+(\d+)", "text"),
    "period_start": (r"(?:Statement start|From)\s+(%s)" % DATE, "date"),
    "period_end": (r"(?:Statement end|To)\s+(%s)" % DATE, "date"),
    "opening_balance": (r"Opening balance\s+(%s)" % AMOUNT, "money"),
    "closing_balance": (r"Closing balance\s+(%s)" % AMOUNT, "money"),
    "issuer_abn": (r"A\.?B\.?N\.?:?\s*((?:\d\s?){11})", "abn"),
    "reference": (r"(?:(?:Tax )?Invoice\s?(?:No\.?:?|[Nn]umber|#|:)|Receipt No:?|Account number)\s*(\S+)", "text"),
}
_cache = {}


def visual_lines(jpeg):
    """The page's words as lines of text, top to bottom; words of one height are one line, whatever their column."""
    digest = hashlib.sha256(Image.open(io.BytesIO(jpeg)).tobytes()).digest()  # of the pixels: a comment in the file makes no other page
    if digest in _cache:
        return _cache[digest]
    tsv = subprocess.run(["tesseract", "-", "-", "--psm", "3", "-l", "eng", "tsv"], input=jpeg, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, env={"OMP_THREAD_LIMIT": "1", "PATH": "/usr/bin:/bin"}, check=True).stdout.decode()
    words = []
    for row in tsv.splitlines()[1:]:
        c = row.split("\t")
        if c[0] == "5" and c[11].strip() and float(c[10]) > 20:
            words.append((int(c[7]) + int(c[9]) / 2, int(c[6]), int(c[9]), c[11].strip()))
    words.sort()
    lines = []
    for middle, x, height, text in words:
        if height > 120:
            continue
        for line in lines:
            if abs(line[0] - middle) < 0.45 * max(height, line[1]):
                line[2].append((x, text))
                break
        else:
            lines.append([middle, height, [(x, text)]])
    result = [" ".join(t for _, t in sorted(line[2])) for line in sorted(lines, key=lambda l: l[0])]
    _cache[digest] = result
    return result


def money(s):
    s = s.strip().replace("$", "").replace(",", "").replace(" ", "")
    return "-" + s.strip("()-") if s.startswith(("(", "-")) else s


def iso(s):
    for form in ("%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y", "%Y-%m-%d", "%d %b %Y", "%d %B %Y"):
        try:
            return datetime.strptime(s, form).date().isoformat()
        except ValueError:
            pass
    return None


def cast(text, kind):
    if kind == "money":
        return money(text)
    if kind == "date":
        return iso(text)
    if kind == "abn":
        return re.sub(r"\D", "", text)
    return text.strip()


def document_type(lines):
    text = "\n".join(lines).lower()
    if "statement of account" in text or "opening balance" in text:
        return "bank-statement"
    return "receipt" if "receipt" in text else "invoice" if "invoice" in text else "other"


def first_name(lines):
    """The firm's name: the first line, less the heading beside it."""
    for line in lines:
        name = re.split(r"\s+(?:TAX INVOICE|Statement of account)\b", line)[0].strip()
        if re.search(r"[A-Za-z]{3}", name):
            return name
    return None


def invoice_lines(lines):
    rows = []
    for line in lines:
        m = re.match(r"^(.+?)\s+(\d+)\s+(%s)\s+(%s)$" % (AMOUNT, AMOUNT), line)
        if m:
            rows.append({"description": m[1], "quantity": m[2], "unit_price": money(m[3]), "amount": money(m[4])})
    return rows


def receipt_lines(lines):
    rows = []
    for line in lines:
        if re.match(r"TOTAL", line):
            break
        m = re.match(r"^([A-Z].+?)\s+(%s)$" % AMOUNT, line)
        if m:
            rows.append({"description": m[1], "amount": money(m[2])})
    return rows


def transactions(lines, opening):
    rows, before = [], opening
    for line in lines:
        m = re.match(r"^(%s)\s+(.+?)\s+(%s)\s+(%s)$" % (DATE, AMOUNT, AMOUNT), line)
        if not m or not iso(m[1]):
            continue
        after = money(m[4])
        row = {"date": iso(m[1]), "description": m[2], "balance": after}
        up = before is not None and float(after) > float(before)
        row["credit" if up else "debit"] = money(m[3])
        rows.append(row)
        before = after
    return rows


def read_fields(jpeg, properties):
    """The fields named in `properties` (a JSON Schema's) that can be read from the page."""
    lines = visual_lines(jpeg)
    out = {}
    for name in properties:
        if name in LABELS:
            pattern, kind = LABELS[name]
            for line in lines:
                m = re.search(pattern, line)
                if m and cast(m[1], kind):
                    out[name] = cast(m[1], kind)
                    break
    for name in ("supplier_name", "merchant_name", "bank_name", "issuer_name"):
        if name in properties and first_name(lines):
            out[name] = first_name(lines)
    if "customer_name" in properties:
        for above, line in zip(lines, lines[1:]):
            if above.startswith("Bill to"):
                m = re.match(r"(.+?)\s+(?:Invoice|Due|Date|Issued|Payment|Pay by)\b", line)
                out["customer_name"] = m[1] if m else line
    if "lines" in properties:
        quantity = "quantity" in properties["lines"].get("items", {}).get("properties", {})
        out["lines"] = invoice_lines(lines) if quantity else receipt_lines(lines)
    if "transactions" in properties:
        out["transactions"] = transactions(lines, out.get("opening_balance"))
    if "document_type" in properties:
        out["document_type"] = document_type(lines)
    return out
