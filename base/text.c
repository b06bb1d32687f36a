#include "base/text.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define ELLIPSIS    "\xe2\x80\xa6" /* U+2026 */

struct range {
	uint32_t first, last;
};

/* Controls, separators of lines, what changes the direction of writing, what cannot be seen, and
 * noncharacters. */
static const struct range unsafe[] = {
	{0x0000, 0x001f},    /* C0 */
	{0x007f, 0x009f},    /* DEL, C1 */
	{0x00ad, 0x00ad},    /* soft hyphen */
	{0x034f, 0x034f},    /* combining grapheme joiner */
	{0x061c, 0x061c},    /* Arabic letter mark */
	{0x115f, 0x1160},    /* Hangul fillers */
	{0x17b4, 0x17b5},    /* Khmer inherent vowels: invisible */
	{0x180b, 0x180f},    /* Mongolian selectors and vowel separator */
	{0x200b, 0x200f},    /* zero-width space, joiners, LRM, RLM */
	{0x2028, 0x202e},    /* line and paragraph separators; embeddings and overrides */
	{0x2060, 0x206f},    /* word joiner, invisible operators, isolates, deprecated formats */
	{0x3164, 0x3164},    /* Hangul filler */
	{0xe000, 0xf8ff},    /* private use: could be shown as anything */
	{0xfdd0, 0xfdef},    /* noncharacters */
	{0xfeff, 0xfeff},    /* byte order mark */
	{0xffa0, 0xffa0},    /* halfwidth Hangul filler */
	{0xfff0, 0xfffb},    /* unassigned, interlinear annotation */
	{0xfffe, 0xffff},    /* noncharacters */
	{0x1d173, 0x1d17a},  /* musical format controls */
	{0xe0000, 0x10ffff}, /* tags, variation selectors, private use */
};

/* Small on purpose: what scripts of invoices and forms need. Width 0: marks drawn over the character before
 * it. */
/* clang-format off */
static const struct range narrow[] = {
	{0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x05bf, 0x05bf}, {0x05c1, 0x05c2},
	{0x05c4, 0x05c5}, {0x0610, 0x061a}, {0x064b, 0x065f}, {0x0670, 0x0670}, {0x06d6, 0x06dc},
	{0x06df, 0x06e4}, {0x0900, 0x0902}, {0x093c, 0x093c}, {0x0941, 0x0948}, {0x094d, 0x094d},
	{0x0e31, 0x0e31}, {0x0e34, 0x0e3a}, {0x0e47, 0x0e4e}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff},
	{0x200b, 0x200f}, {0x202a, 0x202e}, {0x2060, 0x206f}, {0x20d0, 0x20ff}, {0x302a, 0x302d},
	{0x3099, 0x309a}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xfeff, 0xfeff}, {0xe0000, 0xe0fff},
};

static const struct range wide[] = {
	{0x1100, 0x115f}, {0x231a, 0x231b}, {0x2e80, 0x303e}, {0x3041, 0x33ff}, {0x3400, 0x4dbf},
	{0x4e00, 0xa4cf}, {0xa960, 0xa97c}, {0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xfe30, 0xfe6f},
	{0xff01, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff},
	{0x20000, 0x3fffd},
};
/* clang-format on */

static bool in_ranges(const struct range *r, size_t n, uint32_t c)
{
	size_t low = 0;

	while (low < n) {
		size_t mid = low + (n - low) / 2;

		if (c < r[mid].first)
			n = mid;
		else if (c > r[mid].last)
			low = mid + 1;
		else
			return true;
	}
	return false;
}

size_t utf8_sequence(const char *s, size_t len, uint32_t *ret_codepoint)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const uint8_t *p = (const uint8_t *)s;
	uint32_t c;
	size_t n;

	if (len == 0)
		return 0;
	n = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf8 ? 4 : 0;
	if (n == 0 || n > len)
		return 0;
	c = n == 1 ? p[0] : p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	if (ret_codepoint)
		*ret_codepoint = c;
	return n;
}

bool utf8_valid(const char *s, size_t len)
{
	while (len > 0) {
		size_t n = utf8_sequence(s, len, NULL);

		if (n == 0)
			return false;
		s += n;
		len -= n;
	}
	return true;
}

static unsigned int columns_of(uint32_t c)
{
	if (in_ranges(narrow, ARRAY_SIZE(narrow), c))
		return 0;
	return in_ranges(wide, ARRAY_SIZE(wide), c) ? 2 : 1;
}

/* One character made safe: what to write for the *used bytes at s. */
struct safe_char {
	const char *text;
	size_t len, used;
	unsigned int columns;
};

static struct safe_char safe_next(const char *s, size_t len)
{
	uint32_t c = 0;
	size_t n = utf8_sequence(s, len, &c);

	if (n == 0)
		return (struct safe_char){REPLACEMENT, 3, 1, 1};
	if (c == '\t' || c == '\n' || c == '\r')
		return (struct safe_char){" ", 1, 1, 1};
	if (in_ranges(unsafe, ARRAY_SIZE(unsafe), c))
		return (struct safe_char){REPLACEMENT, 3, n, 1};
	return (struct safe_char){s, n, n, columns_of(c)};
}

int text_safe(struct buf *out, const char *s, size_t len, size_t max_columns)
{
	size_t columns = 0, before = out->len;
	size_t cut_len = 0; /* out's length where "…" still has room */
	bool cut_known = false;
	int r = 0;

	while (len > 0 && r == 0) {
		struct safe_char c = safe_next(s, len);
		size_t w = MAX(c.columns, 1u); /* marks count too: a heap of them is cut as well */

		if (max_columns > 0 && !cut_known && columns + w > max_columns - 1) {
			cut_len = out->len;
			cut_known = true;
		}
		if (max_columns > 0 && columns + w > max_columns) {
			out->len = cut_len;
			buf_terminate(out);
			r = buf_adds(out, ELLIPSIS);
			break;
		}
		r = buf_add(out, c.text, c.len);
		columns += w;
		s += c.used;
		len -= c.used;
	}
	if (r < 0) {
		out->len = before;
		buf_terminate(out);
	}
	return r;
}

const char *text_safe_copy(char *out, size_t size, const char *s)
{
	size_t len = strlen(s), used = 0, cut = 0;

	if (size == 0)
		return "";
	while (len > 0) {
		struct safe_char c = safe_next(s, len);

		if (used + sizeof(ELLIPSIS) <= size)
			cut = used;
		if (used + c.len + 1 > size) {
			used = cut;
			if (size >= sizeof(ELLIPSIS)) {
				memcpy(out + used, ELLIPSIS, sizeof(ELLIPSIS) - 1);
				used += sizeof(ELLIPSIS) - 1;
			}
			break;
		}
		memcpy(out + used, c.text, c.len);
		used += c.len;
		s += c.used;
		len -= c.used;
	}
	out[used] = 0;
	return out;
}

size_t text_columns(const char *s)
{
	size_t len = strlen(s), columns = 0;

	while (len > 0) {
		uint32_t c = 0;
		size_t n = utf8_sequence(s, len, &c);

		columns += n ? columns_of(c) : 1;
		n = MAX(n, (size_t)1);
		s += n;
		len -= n;
	}
	return columns;
}

/* [+-]digits[.digits]: what a spreadsheet takes as a number and cannot run. */
static bool is_number(const char *s)
{
	size_t n;

	s += *s == '-' || *s == '+';
	n = strspn(s, "0123456789");
	if (n == 0)
		return false;
	s += n;
	if (*s == '.') {
		n = strspn(++s, "0123456789");
		if (n == 0)
			return false;
		s += n;
	}
	return !*s;
}

int text_csv_cell(struct buf *out, const char *s)
{
	bool defuse = *s && strchr("=+-@\t\r\n", *s) && !is_number(s);
	bool quote = defuse || strpbrk(s, ",;\"\r\n\t") || *s == ' ' || (*s && s[strlen(s) - 1] == ' ');
	size_t len = strlen(s), before = out->len;
	int r = quote ? buf_addc(out, '"') : 0;

	if (r == 0 && defuse)
		r = buf_addc(out, '\'');
	while (r == 0 && len > 0) {
		struct safe_char c = safe_next(s, len);

		if (*s == '\n' || *s == '\r' || *s == '\t') /* lines of an address stay lines */
			c.text = s;
		if (*s == '"')
			r = buf_addc(out, '"');
		if (r == 0)
			r = buf_add(out, c.text, c.len);
		s += c.used;
		len -= c.used;
	}
	if (r == 0 && quote)
		r = buf_addc(out, '"');
	if (r < 0) {
		out->len = before;
		buf_terminate(out);
	}
	return r;
}
