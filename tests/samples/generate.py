#!/usr/bin/python3
"""Draws the sample pages: synthetic Australian documents and their ground truth.

    tests/samples/generate.py FOLDER

writes NAME.jpg and NAME.json ({"type", "condition", "fields"}) for each page. All names, numbers and firms are invented; the ABNs
have valid checksums, GST and totals add up, balances run. Same seed, same pages (up to the JPEG encoder's version).
"""
import json
import os
import random
import sys
from datetime import date, timedelta

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

FONTS = "/usr/share/fonts/truetype/"
SANS, BOLD = "liberation/LiberationSans-Regular.ttf", "liberation/LiberationSans-Bold.ttf"
SERIF, SERIF_BOLD = "liberation/LiberationSerif-Regular.ttf", "liberation/LiberationSerif-Bold.ttf"
MONO, MONO_BOLD = "dejavu/DejaVuSansMono.ttf", "dejavu/DejaVuSansMono-Bold.ttf"
DEJAVU, DEJAVU_BOLD = "dejavu/DejaVuSans.ttf", "dejavu/DejaVuSans-Bold.ttf"
PX_PER_MM = 300 / 25.4
A4 = (2480, 3508)
INK = (24, 24, 28)


def abn(rnd):
    """An 11-digit number whose checksum holds: the weighted sum, first digit less one, is divisible by 89."""
    weights = (10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)
    while True:
        digits = [rnd.randint(1, 9)] + [rnd.randint(0, 9) for _ in range(10)]
        if sum(w * d for w, d in zip(weights, [digits[0] - 1] + digits[1:])) % 89 == 0:
            return "".join(map(str, digits))


def spaced_abn(s):
    return "%s %s %s %s" % (s[:2], s[2:5], s[5:8], s[8:])


def money(cents):
    return "%s%d.%02d" % ("-" if cents < 0 else "", abs(cents) // 100, abs(cents) % 100)


def shown(cents, dollar=True):
    return "%s%s%s.%02d" % ("-" if cents < 0 else "", "$" if dollar else "", format(abs(cents) // 100, ","), abs(cents) % 100)


class Page:
    """A white A4 page at 300 dpi, drawn in millimetres."""

    def __init__(self, paper=(255, 255, 255)):
        self.image = Image.new("RGB", A4, paper)
        self.draw = ImageDraw.Draw(self.image)

    def text(self, x, y, s, font=SANS, mm=3.4, fill=INK, anchor="la"):
        f = ImageFont.truetype(FONTS + font, max(8, round(mm * PX_PER_MM)))
        self.draw.text((x * PX_PER_MM, y * PX_PER_MM), s, font=f, fill=fill, anchor=anchor)

    def line(self, x0, y0, x1, y1, mm=0.2, fill=INK):
        self.draw.line([v * PX_PER_MM for v in (x0, y0, x1, y1)], fill=fill, width=max(1, round(mm * PX_PER_MM)))

    def box(self, x0, y0, x1, y1, fill):
        self.draw.rectangle([v * PX_PER_MM for v in (x0, y0, x1, y1)], fill=fill)


FIRMS = ["Wattle & Co Electrical", "Harbour Print Works", "Bluegum Plumbing", "Redback Freight Lines", "Coastal Dental Supplies"]
SUFFIX = ["Pty Ltd", "Pty Ltd", "Pty Ltd", "Pty Limited", "Pty Ltd"]
PLACES = ["14 Anzac Parade, Kensington NSW 2033", "208 Swan Street, Richmond VIC 3121", "7 Boundary Road, West End QLD 4101",
          "91 Murray Street, Perth WA 6000", "33 Gouger Street, Adelaide SA 5000"]
BUYERS = ["Northside Family Clinic", "Lakeview Public School", "Ridgeway Storage Depot", "Parkside Legal", "Tamar Valley Wines"]
GOODS = ["LED panel 600x600", "Call-out fee", "Copper pipe 15 mm", "Safety switch 20 A", "Letterhead 100 gsm", "Pallet, one way",
         "Nitrile gloves, box", "Labour, per hour", "Cable duct 2 m", "Toner cartridge", "Freight to depot", "Disposal levy",
         "Mixer tap chrome", "Business cards 500", "Sterile swabs 200"]
GROCERIES = ["FLAT WHITE", "SOURDOUGH LOAF", "FULL CREAM MILK 2L", "AVOCADO EA", "LAMINGTON 6PK", "VEGEMITE 380G", "ROYAL GALA 1KG",
             "FREE RANGE EGGS", "ICED COFFEE", "MEAT PIE", "SPARKLING WATER", "DISH CLOTH 3PK"]
SPENDING = ["EFTPOS WOOLBROOK GROCER", "DIRECT DEBIT AQUA ENERGY", "ATM WITHDRAWAL GLEBE", "TRANSFER TO SAVINGS", "CARD PURCHASE OPAL FUEL",
            "BPAY CITY COUNCIL RATES", "DIRECT DEBIT TELCO PLUS", "CARD PURCHASE BOOKSHOP", "EFTPOS CORNER BAKERY"]
EARNING = ["SALARY MERIDIAN PTY LTD", "DEPOSIT BRANCH 2412", "REFUND HOMEWARES", "TRANSFER FROM J CITIZEN"]


def invoice(seed, style):
    rnd = random.Random(seed)
    p = Page()
    k = style % len(FIRMS)
    supplier, number_abn = "%s %s" % (FIRMS[k], SUFFIX[k]), abn(rnd)
    day = date(2026, rnd.randint(1, 10), rnd.randint(1, 28))
    due = day + timedelta(days=rnd.choice([7, 14, 30]))
    number = rnd.choice(["INV-%05d", "%06d", "A%d-2026", "TI %05d"]) % rnd.randint(1000, 99999)
    rows = []
    for goods in rnd.sample(GOODS, rnd.randint(4, 8)):
        quantity, price = rnd.randint(1, 24), rnd.randint(350, 24500)
        rows.append((goods, quantity, price, quantity * price))
    subtotal = sum(r[3] for r in rows)
    gst = (subtotal + 5) // 10
    total = subtotal + gst
    buyer = BUYERS[rnd.randrange(len(BUYERS))]
    dates = ["%d/%m/%Y", "%d %b %Y", "%d %B %Y", "%Y-%m-%d", "%d-%m-%Y"][style % 5]
    labels = [("Invoice No:", "Invoice Date:", "Due Date:", "ABN:"), ("Invoice number", "Date", "Payment due", "ABN"),
              ("Tax Invoice #", "Date of issue", "Due", "A.B.N."), ("Invoice No.", "Issued", "Due date", "ABN"),
              ("Invoice:", "Invoice date:", "Pay by:", "ABN:")][style % 5]
    colour = [(20, 80, 150), (130, 30, 40), (10, 100, 60), (70, 50, 120), (30, 30, 30)][style % 5]
    regular, bold = [(SANS, BOLD), (SERIF, SERIF_BOLD), (DEJAVU, DEJAVU_BOLD)][style % 3]

    p.text(18, 18, supplier, bold, 7, colour)
    p.text(18, 28, PLACES[k], regular, 3.2)
    p.text(18, 33.5, "%s %s" % (labels[3], spaced_abn(number_abn)), regular, 3.6)
    p.text(192, 18, "TAX INVOICE", bold, 6.5, INK, "ra")
    for i, (name, value) in enumerate(((labels[0], number), (labels[1], day.strftime(dates)), (labels[2], due.strftime(dates)))):
        p.text(128, 46 + 6 * i, name, regular, 3.6)
        p.text(192, 46 + 6 * i, value, bold, 3.6, INK, "ra")
    p.text(18, 46, "Bill to", bold, 3.6)
    p.text(18, 52, buyer, regular, 3.8)
    p.text(18, 57.5, "Accounts payable", regular, 3.4)
    top = 78
    if style % 2:
        p.line(18, top + 8, 192, top + 8, 0.4, colour)
        head = INK
    else:
        p.box(18, top, 192, top + 8, colour)
        head = (255, 255, 255)
    for x, name, anchor in ((20, "Description", "la"), (118, "Qty", "ra"), (152, "Unit price", "ra"), (190, "Amount", "ra")):
        p.text(x, top + 2, name, bold, 3.6, head, anchor)
    y = top + 11
    for goods, quantity, price, amount in rows:
        p.text(20, y, goods, regular, 3.6)
        p.text(118, y, str(quantity), regular, 3.6, INK, "ra")
        p.text(152, y, shown(price), regular, 3.6, INK, "ra")
        p.text(190, y, shown(amount), regular, 3.6, INK, "ra")
        p.line(18, y + 6, 192, y + 6, 0.08, (170, 170, 175))
        y += 8
    y += 6
    for i, (name, value) in enumerate((("Subtotal", subtotal), ("GST (10%)" if style % 2 else "GST 10%", gst),
                                       ("Total AUD" if style % 3 == 1 else "Total", total))):
        f = bold if i == 2 else regular
        p.text(130, y + 7 * i, name, f, 4)
        p.text(190, y + 7 * i, shown(value), f, 4, INK, "ra")
    p.text(18, 262, "Please pay by direct deposit: BSB 062-%03d  Account %08d" % (rnd.randint(100, 999), rnd.randint(10**7, 10**8 - 1)), regular, 3.2)
    p.text(18, 268, "Thank you for your business. Terms: %d days." % (due - day).days, regular, 3.2)
    truth = {"supplier_name": supplier, "supplier_abn": number_abn, "invoice_number": number, "invoice_date": day.isoformat(),
             "due_date": due.isoformat(), "customer_name": buyer, "subtotal": money(subtotal), "gst": money(gst), "total": money(total),
             "lines": [{"description": r[0], "quantity": str(r[1]), "unit_price": money(r[2]), "amount": money(r[3])} for r in rows]}
    return p.image, "invoice", truth


def receipt(seed, style):
    rnd = random.Random(seed)
    p = Page((252, 252, 250))
    shop = ["GLEBE CORNER STORE", "HARBOUR CAFE", "OUTBACK HARDWARE", "CITY NEWSAGENCY"][style % 4]
    number_abn, day = abn(rnd), date(2026, rnd.randint(1, 11), rnd.randint(1, 20))
    rows = [(g, rnd.randint(180, 3990)) for g in rnd.sample(GROCERIES, rnd.randint(4, 8))]
    total = sum(r[1] for r in rows)
    gst = (total * 2 + 11) // 22
    paid = ["EFTPOS", "VISA", "CASH", "MASTERCARD"][style % 4]
    number = "%06d" % rnd.randint(1, 999999)
    left, right, middle, y = 52, 152, 102, 26
    p.text(middle, y, shop, MONO_BOLD, 6, INK, "ma")
    p.text(middle, y + 10, PLACES[style % 5], MONO, 3.1, INK, "ma")
    p.text(middle, y + 16, "ABN %s" % spaced_abn(number_abn), MONO, 3.6, INK, "ma")
    p.text(middle, y + 24, "TAX RECEIPT" if style % 2 else "RECEIPT", MONO_BOLD, 4.4, INK, "ma")
    p.text(left, y + 34, "Receipt No: %s" % number, MONO, 3.6)
    p.text(left, y + 40, "Date: %s" % day.strftime("%d/%m/%Y"), MONO, 3.6)
    p.text(right, y + 40, "%02d:%02d" % (rnd.randint(8, 19), rnd.randint(0, 59)), MONO, 3.6, INK, "ra")
    y += 52
    p.line(left, y - 2, right, y - 2, 0.2)
    for goods, price in rows:
        p.text(left, y, goods, MONO, 3.6)
        p.text(right, y, shown(price, style % 2 == 0), MONO, 3.6, INK, "ra")
        y += 6.4
    p.line(left, y + 1, right, y + 1, 0.2)
    y += 5
    p.text(left, y, "TOTAL", MONO_BOLD, 4.6)
    p.text(right, y, shown(total), MONO_BOLD, 4.6, INK, "ra")
    p.text(left, y + 8, "GST INCLUDED" if style % 2 else "Includes GST of", MONO, 3.6)
    p.text(right, y + 8, shown(gst), MONO, 3.6, INK, "ra")
    p.text(left, y + 15, "Paid by: %s" % paid, MONO, 3.6)
    p.text(middle, y + 28, "THANK YOU, PLEASE CALL AGAIN", MONO, 3.2, INK, "ma")
    truth = {"merchant_name": shop, "merchant_abn": number_abn, "receipt_number": number, "date": day.isoformat(), "payment_method": paid,
             "gst": money(gst), "total": money(total), "lines": [{"description": g, "amount": money(c)} for g, c in rows]}
    return p.image, "receipt", truth


def statement(seed, style):
    rnd = random.Random(seed)
    p = Page()
    bank = ["Southern Cross Mutual Bank", "Murray River Bank", "First Coast Credit Union", "Bank of Bondi"][style % 4]
    holder = ["Ms Amelia Hart", "Meridian Services Pty Ltd", "Mr Daniel Okafor", "Lakeview P and C Association"][style % 4]
    bsb, account = "%03d-%03d" % (rnd.randint(100, 899), rnd.randint(100, 999)), "%08d" % rnd.randint(10**7, 10**8 - 1)
    start = date(2026, rnd.randint(1, 9), 1)
    end = (start.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    balance = opening = rnd.randint(50000, 900000)
    rows, day = [], start
    for _ in range(rnd.randint(8, 14)):
        day = min(end, day + timedelta(days=rnd.randint(0, 3)))
        if rnd.random() < 0.3 or balance < 30000:
            credit, debit, what = rnd.randint(5000, 350000), None, rnd.choice(EARNING)
        else:
            credit, debit, what = None, rnd.randint(350, min(90000, balance)), rnd.choice(SPENDING)
        balance += (credit or 0) - (debit or 0)
        rows.append((day, what, debit, credit, balance))
    regular, bold = [(SANS, BOLD), (DEJAVU, DEJAVU_BOLD), (SERIF, SERIF_BOLD)][style % 3]
    dates = ["%d/%m/%Y", "%d %b %Y"][style % 2]
    p.text(18, 16, bank, bold, 7, (0, 70, 110))
    p.text(192, 18, "Statement of account", bold, 5, INK, "ra")
    for i, (name, value) in enumerate((("Account name", holder), ("BSB", bsb), ("Account number", account))):
        p.text(18, 36 + 6 * i, name, regular, 3.6)
        p.text(60, 36 + 6 * i, value, bold, 3.6)
    for i, (name, value) in enumerate((("Statement start" if style % 2 else "From", start.strftime(dates)),
                                       ("Statement end" if style % 2 else "To", end.strftime(dates)),
                                       ("Opening balance", shown(opening)), ("Closing balance", shown(balance)))):
        p.text(122, 36 + 6 * i, name, regular, 3.6)
        p.text(192, 36 + 6 * i, value, bold, 3.6, INK, "ra")
    top = 70
    p.box(18, top, 192, top + 8, (225, 233, 240))
    for x, name, anchor in ((20, "Date", "la"), (48, "Description", "la"), (136, "Debit", "ra"), (163, "Credit", "ra"), (190, "Balance", "ra")):
        p.text(x, top + 2, name, bold, 3.6, INK, anchor)
    y = top + 11
    for day, what, debit, credit, after in rows:
        p.text(20, y, day.strftime(dates), regular, 3.4)
        p.text(48, y, what, regular, 3.4)
        if debit is not None:
            p.text(136, y, shown(debit, False), regular, 3.4, INK, "ra")
        if credit is not None:
            p.text(163, y, shown(credit, False), regular, 3.4, INK, "ra")
        p.text(190, y, shown(after, False), regular, 3.4, INK, "ra")
        p.line(18, y + 5.6, 192, y + 5.6, 0.06, (190, 190, 195))
        y += 7.4
    p.text(18, 270, "Please check your statement and tell us of any error within 30 days.", regular, 3)
    truth = {"bank_name": bank, "account_name": holder, "bsb": bsb, "account_number": account, "period_start": start.isoformat(),
             "period_end": end.isoformat(), "opening_balance": money(opening), "closing_balance": money(balance), "transactions": []}
    for day, what, debit, credit, after in rows:
        row = {"date": day.isoformat(), "description": what, "balance": money(after)}
        if debit is not None:
            row["debit"] = money(debit)
        if credit is not None:
            row["credit"] = money(credit)
        truth["transactions"].append(row)
    return p.image, "bank-statement", truth


def noise(image, rnd, strength):
    """Film-like grain from seeded bytes, softened."""
    grain = Image.frombytes("L", image.size, rnd.randbytes(image.size[0] * image.size[1])).filter(ImageFilter.GaussianBlur(0.8))
    flat = Image.new("L", image.size, 128)
    plus = ImageChops.subtract(grain, flat).point(lambda v: int(v * strength))
    minus = ImageChops.subtract(flat, grain).point(lambda v: int(v * strength))
    bands = [ImageChops.subtract(ImageChops.add(b, plus), minus) for b in image.split()]
    return Image.merge("RGB", bands)


def camera(image, rnd):
    """The page lies sideways under a 4K document camera on a dark desk; the camera says so in its EXIF orientation."""
    frame = Image.new("RGB", (2160, 3840), (70, 58, 48))
    page = image.resize((2100, 2970), Image.LANCZOS).filter(ImageFilter.GaussianBlur(0.6)).point(lambda v: int(v * 0.93))
    page = page.convert("RGBA").rotate(0.6, Image.BICUBIC, expand=True)
    frame.paste(page, (20, 420), page)
    return noise(frame, rnd, 0.10).transpose(Image.ROTATE_90)


def save(folder, name, made, condition, seed):
    image, kind, truth = made
    rnd = random.Random(seed)
    options = {"quality": 78, "subsampling": "4:2:0", "dpi": (300, 300)}
    if condition == "skewed":
        image = image.rotate(0.8, Image.BICUBIC, fillcolor=(255, 255, 255))
    elif condition == "rotated":
        image = image.transpose(Image.ROTATE_90)
    elif condition == "noisy":
        image = noise(image.filter(ImageFilter.GaussianBlur(0.9)), rnd, 0.35)
        options["quality"] = 45
    elif condition == "low-contrast":
        image = image.point(lambda v: 150 + v * 75 // 255)
    elif condition == "camera":
        image = camera(image, rnd)
        options["quality"] = 70
    if condition in ("rotated", "camera"):
        exif = Image.Exif()
        exif[0x0112] = 6  # the stored image is to be turned a quarter clockwise
        options["exif"] = exif.tobytes()
    image.save(os.path.join(folder, name + ".jpg"), **options)
    with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as f:
        json.dump({"type": kind, "condition": condition, "fields": truth}, f, indent=1)
        f.write("\n")


PAGES = [
    ("invoice-1", invoice, 0, "clean"), ("invoice-2", invoice, 1, "clean"), ("invoice-3", invoice, 2, "clean"),
    ("invoice-4", invoice, 3, "low-contrast"), ("invoice-5", invoice, 4, "camera"), ("invoice-6", invoice, 0, "noisy"),
    ("receipt-1", receipt, 0, "clean"), ("receipt-2", receipt, 1, "clean"), ("receipt-3", receipt, 2, "skewed"), ("receipt-4", receipt, 3, "noisy"),
    ("statement-1", statement, 0, "clean"), ("statement-2", statement, 1, "clean"), ("statement-3", statement, 2, "rotated"),
    ("statement-4", statement, 3, "camera"),
]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    os.makedirs(sys.argv[1], exist_ok=True)
    for i, (name, draw, style, condition) in enumerate(PAGES):
        save(sys.argv[1], name, draw(4200 + i, style), condition, i)
        print(name, condition)


if __name__ == "__main__":
    main()
