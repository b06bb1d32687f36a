#include "ctl/format.h"

#include <inttypes.h>
#include <langinfo.h>
#include <sys/ioctl.h>

#include "base/parse.h"
#include "base/text.h"

#define PUSD_DOLLAR             INT64_C(1000000000000)
#define PUSD_CENT               (PUSD_DOLLAR / 100)
#define PUSD_HUNDRED_THOUSANDTH (PUSD_DOLLAR / 100000)

struct look look_detect(int fd, bool ascii)
{
	const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
	bool terminal = isatty(fd) && term && !streq(term, "dumb");

	return (struct look){
		.terminal = terminal,
		.colour = terminal && !(no_color && *no_color),
		.ascii = ascii || !streq(nl_langinfo(CODESET), "UTF-8"),
	};
}

size_t look_columns(int fd)
{
	struct winsize w = {};

	const char *told = getenv("COLUMNS");
	int64_t n;

	if (ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col > 0)
		return w.ws_col;
	return told && parse_i64(told, 1, UINT16_MAX, &n) == 0 ? (size_t)n : 80;
}

static const char *style_start(enum style s)
{
	static const char *const starts[] = {"", "\033[1m", "\033[2m", "\033[32m", "\033[33m", "\033[31m"};

	return starts[s];
}

int format_text(struct buf *out, const struct look *l, const char *text, size_t max_columns)
{
	_cleanup_buf_ struct buf safe = {};
	int r = text_safe(&safe, text, strlen(text), max_columns);

	if (r < 0 || !l->ascii)
		return r < 0 ? r : buf_adds(out, buf_str(&safe));
	for (size_t i = 0; i < safe.len && r >= 0;) {
		uint32_t c;
		size_t n = utf8_sequence(safe.data + i, safe.len - i, &c);

		r = n == 1 ? buf_addc(out, safe.data[i]) : buf_adds(out, c == 0x2026 ? "..." : "?");
		i += n ? n : 1;
	}
	return r;
}

/* So much of its beginning as takes no more columns. */
static int add_front(struct buf *out, const char *text, size_t columns)
{
	_cleanup_buf_ struct buf front = {};
	int r = 0;

	for (size_t n; r >= 0 && *text; text += n) {
		size_t before = front.len;

		n = MAX(utf8_sequence(text, strlen(text), NULL), (size_t)1);
		r = buf_add(&front, text, n);
		if (r >= 0 && text_columns(buf_str(&front)) > columns)
			return buf_add(out, front.data, before);
	}
	return r < 0 ? r : buf_adds(out, buf_str(&front));
}

int format_middle(struct buf *out, const struct look *l, const char *text, size_t max_columns)
{
	const char *dots = l->ascii ? "..." : "…", *rest;
	size_t room = max_columns - MIN(max_columns, text_columns(dots));
	_cleanup_buf_ struct buf whole = {};
	int r = format_text(&whole, l, text, 0);

	if (r < 0 || text_columns(buf_str(&whole)) <= max_columns)
		return r < 0 ? r : buf_adds(out, buf_str(&whole));
	r = add_front(out, buf_str(&whole), (room + 1) / 2);
	if (r >= 0)
		r = buf_adds(out, dots);
	for (rest = buf_str(&whole); text_columns(rest) > room / 2;)
		rest += MAX(utf8_sequence(rest, strlen(rest), NULL), (size_t)1);
	return r < 0 ? r : buf_adds(out, rest);
}

int format_styled(struct buf *out, const struct look *l, enum style style, const char *text)
{
	bool coloured = l->colour && style != STYLE_PLAIN && *text;
	int r = coloured ? buf_adds(out, style_start(style)) : 0;

	if (r >= 0)
		r = format_text(out, l, text, 0);
	if (r >= 0 && coloured)
		r = buf_adds(out, "\033[0m");
	return r;
}

int format_money(struct buf *out, int64_t pusd)
{
	uint64_t p = pusd < 0 ? -(uint64_t)pusd : (uint64_t)pusd;
	const char *sign = pusd < 0 ? "-" : "";

	if (p == 0)
		return buf_adds(out, "US$0");
	if (p >= PUSD_DOLLAR) {
		uint64_t cents = p / PUSD_CENT + (p % PUSD_CENT >= PUSD_CENT / 2);

		return buf_addf(out, "%sUS$%" PRIu64 ".%02" PRIu64, sign, cents / 100, cents % 100);
	}
	p = p / PUSD_HUNDRED_THOUSANDTH + (p % PUSD_HUNDRED_THOUSANDTH >= PUSD_HUNDRED_THOUSANDTH / 2);
	if (p == 0)
		return buf_addf(out, "<%sUS$0.00001", sign);
	return buf_addf(out, "%sUS$%" PRIu64 ".%05" PRIu64, sign, p / 100000, p % 100000);
}

int format_money_text(struct buf *out, const char *digits)
{
	int64_t pusd;

	if (!digits || parse_i64(digits, INT64_MIN, INT64_MAX, &pusd) < 0)
		return buf_addc(out, '?');
	return format_money(out, pusd);
}

int format_decimal(struct buf *out, int64_t pusd)
{
	uint64_t p = pusd < 0 ? -(uint64_t)pusd : (uint64_t)pusd, part = p % PUSD_DOLLAR;
	int digits = 12;

	for (; digits > 2 && part % 10 == 0; digits--)
		part /= 10;
	return buf_addf(out, "%s%" PRIu64 ".%0*" PRIu64, pusd < 0 ? "-" : "", p / PUSD_DOLLAR, digits, part);
}

int format_money_exact(struct buf *out, int64_t pusd)
{
	int r = buf_adds(out, "US$");

	return r < 0 ? r : format_decimal(out, pusd);
}

int format_bytes(struct buf *out, int64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
	int64_t tenths;
	size_t u = 0;

	if (bytes < 1024)
		return buf_addf(out, "%" PRId64 " B", bytes);
	while (bytes / 1024 >= 1024 && u + 1 < ARRAY_SIZE(units)) {
		bytes /= 1024;
		u++;
	}
	tenths = bytes / 1024 * 10 + bytes % 1024 * 10 / 1024;
	return buf_addf(out, "%" PRId64 ".%" PRId64 " %s", tenths / 10, tenths % 10, units[u]);
}

int format_seconds(struct buf *out, int64_t ms)
{
	int64_t tenths = (MAX(ms, 0) + 50) / 100;

	return buf_addf(out, "%" PRId64 ".%" PRId64 " s", tenths / 10, tenths % 10);
}

int format_duration(struct buf *out, int64_t ms)
{
	int64_t s = MAX(ms, 0) / 1000;

	if (s < 60)
		return buf_addf(out, "%" PRId64 " s", s);
	if (s < 3600)
		return buf_addf(out, "%" PRId64 " min", s / 60);
	if (s < 86400)
		return buf_addf(out, "%" PRId64 " h %" PRId64 " min", s / 3600, s % 3600 / 60);
	return buf_addf(out, "%" PRId64 " d %" PRId64 " h", s / 86400, s % 86400 / 3600);
}

int format_time(struct buf *out, const char *stamp)
{
	int64_t ms;

	if (!stamp || parse_timestamp(stamp, &ms) < 0 || strlen(stamp) < 19)
		return buf_addc(out, '?');
	return buf_addf(out, "%.10s %.8s", stamp, stamp + 11);
}
