/* The lines of an INI file: of any length up to a cap, with their numbers, whatever libinih's version makes
 * of them. */
#include <ctype.h>

#include "base/ini_internal.h"
#include "base/text.h"

#define LINE_MAX_BYTES ((size_t)64 << 10)
#define DISTANCE_MAX   48 /* names longer than this are not compared */

void ini_lines_init(struct ini_lines *l, const char *text, size_t len)
{
	static const char bom[] = "\xef\xbb\xbf";

	*l = (struct ini_lines){.text = text, .len = len, .line = BUF_MAX(LINE_MAX_BYTES)};
	if (len >= 3 && memcmp(text, bom, 3) == 0)
		l->off = 3;
}

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Cuts the blanks at both ends off s[0..len). */
static char *trim(char *s, size_t len)
{
	while (len > 0 && blank(s[len - 1]))
		len--;
	s[len] = 0;
	while (blank(*s))
		s++;
	return s;
}

static int bad(struct ini_line *ret, const char *problem, const char *text)
{
	ret->problem = problem;
	ret->key = text;
	return INI_LINE_BAD;
}

static int take_section(char *s, struct ini_line *ret)
{
	char *end = strchr(s, ']');

	if (!end)
		return bad(ret, "the section's ] is missing", s);
	if (end[1])
		return bad(ret, "there is text after the section's ]", s);
	ret->section = trim(s + 1, (size_t)(end - s) - 1);
	if (!*ret->section)
		return bad(ret, "the section has no name", "[]");
	return INI_LINE_SECTION;
}

static int take_key(char *s, struct ini_line *ret)
{
	char *equals = strchr(s, '=');

	if (!equals)
		return bad(ret, "not a line \"Key=value\"", s);
	if (equals == s)
		return bad(ret, "the key is missing before =", s);
	ret->value = trim(equals + 1, strlen(equals + 1));
	ret->key = trim(s, (size_t)(equals - s));
	return INI_LINE_KEY;
}

/* The raw line at *off without its end, which may be LF, CRLF or the end of the text. */
static size_t raw_line(struct ini_lines *l, const char **ret)
{
	const char *start = l->text + l->off, *newline = memchr(start, '\n', l->len - l->off);
	size_t len = newline ? (size_t)(newline - start) : l->len - l->off;

	l->off += len + (newline ? 1 : 0);
	l->number++;
	if (len > 0 && start[len - 1] == '\r')
		len--;
	*ret = start;
	return len;
}

static int take_line(struct ini_lines *l, const char *raw, size_t len, struct ini_line *ret)
{
	char *s;
	int r;

	if (len > LINE_MAX_BYTES)
		return bad(ret, "the line is longer than 64 KiB", NULL);
	if (memchr(raw, 0, len))
		return bad(ret, "there is a NUL byte in the line", NULL);
	buf_clear(&l->line);
	r = buf_add(&l->line, raw, len);
	if (r < 0)
		return r;
	ret->indented = len > 0 && blank(raw[0]);
	s = trim(l->line.data, len);
	if (!*s || *s == '#' || *s == ';')
		return INI_LINE_END; /* says nothing */
	if (!utf8_valid(s, strlen(s)))
		return bad(ret, "the line is not UTF-8", s);
	return *s == '[' ? take_section(s, ret) : take_key(s, ret);
}

int ini_lines_next(struct ini_lines *l, struct ini_line *ret)
{
	while (l->off < l->len) {
		const char *raw;
		size_t len = raw_line(l, &raw);
		int r;

		*ret = (struct ini_line){.number = l->number};
		r = take_line(l, raw, len, ret);
		if (r != INI_LINE_END)
			return r;
	}
	return INI_LINE_END;
}

void ini_lines_wipe(struct ini_lines *l)
{
	buf_wipe(&l->line);
}

bool ini_section_matches(const char *row, const char *name, const char **ret_name)
{
	size_t prefix = strlen(row);

	*ret_name = NULL;
	if (!ini_section_named(row))
		return streq(row, name);
	prefix -= 2; /* without " *" */
	if (strncmp(row, name, prefix) != 0 || !blank(name[prefix]))
		return false;
	name += prefix;
	while (blank(*name))
		name++;
	*ret_name = name;
	return true;
}

unsigned int ini_distance(const char *a, const char *b, unsigned int limit)
{
	unsigned int row[DISTANCE_MAX + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > DISTANCE_MAX || m > DISTANCE_MAX)
		return limit + 1;
	for (size_t j = 0; j <= m; j++)
		row[j] = (unsigned int)j;
	for (size_t i = 1; i <= n; i++) {
		unsigned int corner = row[0];

		row[0] = (unsigned int)i;
		for (size_t j = 1; j <= m; j++) {
			bool same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
			unsigned int replace = corner + (same ? 0 : 1), edit = MIN(row[j], row[j - 1]) + 1;

			corner = row[j];
			row[j] = MIN(replace, edit);
		}
	}
	return row[m] > limit ? limit + 1 : row[m];
}
