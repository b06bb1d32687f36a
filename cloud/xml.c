#include "cloud/xml.h"

#include "base/text.h"

#define DEPTH_MAX 16

struct xml {
	const char *p, *end;
	struct {
		const char *name;
		size_t len;
	} stack[DEPTH_MAX];
	size_t depth, matched; /* open elements; how many of them, from the first, are those of the path */
	const char *path;
	size_t path_depth;
	bool root_seen, found;
	struct buf *out;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blanks(struct xml *x)
{
	while (x->p < x->end && is_blank(*x->p))
		x->p++;
}

static bool take(struct xml *x, const char *what)
{
	size_t n = strlen(what);

	if ((size_t)(x->end - x->p) < n || memcmp(x->p, what, n) != 0)
		return false;
	x->p += n;
	return true;
}

static bool is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' || c == ':';
}

static size_t take_name(struct xml *x, const char **ret)
{
	const char *start = x->p;

	while (x->p < x->end && is_name(*x->p))
		x->p++;
	*ret = start;
	return (size_t)(x->p - start);
}

/* The component of the path at depth `n`. */
static bool is_component(const struct xml *x, size_t n, const char *name, size_t len)
{
	const char *p = x->path;

	for (size_t i = 0; i < n; i++)
		p = strchr(p, '/') + 1;
	return strcspn(p, "/") == len && memcmp(p, name, len) == 0;
}

static bool at_target(const struct xml *x)
{
	return x->matched == x->path_depth && x->depth == x->path_depth;
}

static int add_codepoint(struct buf *out, unsigned long c)
{
	char s[4];
	size_t n = 0;

	if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return -EBADMSG;
	if (c < 0x80)
		s[n++] = (char)c;
	else if (c < 0x800)
		s[n++] = (char)(0xc0 | c >> 6);
	else if (c < 0x10000)
		s[n++] = (char)(0xe0 | c >> 12), s[n++] = (char)(0x80 | (c >> 6 & 0x3f));
	else
		s[n++] = (char)(0xf0 | c >> 18), s[n++] = (char)(0x80 | (c >> 12 & 0x3f)), s[n++] = (char)(0x80 | (c >> 6 & 0x3f));
	if (c >= 0x80)
		s[n++] = (char)(0x80 | (c & 0x3f));
	return buf_add(out, s, n);
}

/* "#38" or "#x26". */
static int add_numeric(struct buf *out, const char *s, size_t len)
{
	bool hex = len > 1 && s[1] == 'x';
	unsigned long c = 0;

	if (len < (hex ? 3u : 2u) || len > 9)
		return -EBADMSG;
	for (size_t i = hex ? 2 : 1; i < len; i++) {
		char d = s[i];
		unsigned int v;

		if (d >= '0' && d <= '9')
			v = (unsigned int)(d - '0');
		else if (hex && (d | 0x20) >= 'a' && (d | 0x20) <= 'f')
			v = (unsigned int)((d | 0x20) - 'a' + 10);
		else
			return -EBADMSG;
		c = c * (hex ? 16 : 10) + v;
	}
	return add_codepoint(out, c);
}

static int take_entity(struct xml *x, struct buf *out)
{
	static const struct {
		const char *name;
		char c;
	} known[] = {{"amp;", '&'}, {"lt;", '<'}, {"gt;", '>'}, {"quot;", '"'}, {"apos;", '\''}};
	const char *semicolon;
	int r;

	x->p++;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (take(x, known[i].name))
			return buf_addc(out, known[i].c);
	semicolon = memchr(x->p, ';', (size_t)(x->end - x->p));
	if (!semicolon || semicolon == x->p || *x->p != '#')
		return -EBADMSG;
	r = add_numeric(out, x->p, (size_t)(semicolon - x->p));
	x->p = semicolon + 1;
	return r;
}

static int take_text(struct xml *x)
{
	_cleanup_(buf_wipe) struct buf unused = {0};

	while (x->p < x->end && *x->p != '<') {
		struct buf *out = at_target(x) ? x->out : &unused;
		int r;

		if (x->depth == 0 && !is_blank(*x->p))
			return -EBADMSG;
		if (*x->p == '&')
			r = take_entity(x, out);
		else if ((unsigned char)*x->p < 0x20 && !is_blank(*x->p))
			r = -EBADMSG;
		else
			r = out == x->out ? buf_addc(out, *x->p++) : (x->p++, 0);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Attributes are passed over: their values have no '<', and end with the quote that they begin with. */
static int skip_attributes(struct xml *x)
{
	for (;;) {
		const char *name, *blank = x->p;
		char quote;

		skip_blanks(x);
		if (x->p == x->end || *x->p == '>' || *x->p == '/')
			return 0;
		if (blank == x->p || take_name(x, &name) == 0 || !take(x, "="))
			return -EBADMSG;
		quote = x->p < x->end ? *x->p++ : 0;
		if (quote != '"' && quote != '\'')
			return -EBADMSG;
		while (x->p < x->end && *x->p != quote && *x->p != '<')
			x->p++;
		if (x->p == x->end || *x->p++ != quote)
			return -EBADMSG;
	}
}

static int close_element(struct xml *x)
{
	x->matched -= x->matched == x->depth;
	x->depth--;
	return 0;
}

static int open_element(struct xml *x)
{
	const char *name;
	size_t len = take_name(x, &name);
	bool target;
	int r = len > 0 ? skip_attributes(x) : -EBADMSG;

	if (r < 0)
		return r;
	if (x->depth == DEPTH_MAX || (x->depth == 0 && x->root_seen) || at_target(x))
		return -EBADMSG;
	x->root_seen = true;
	target = x->matched == x->depth && x->matched < x->path_depth && is_component(x, x->depth, name, len);
	x->stack[x->depth].name = name;
	x->stack[x->depth++].len = len;
	x->matched += target;
	if (at_target(x)) {
		if (x->found)
			return -EBADMSG;
		x->found = true;
	}
	if (take(x, "/>"))
		return close_element(x);
	return take(x, ">") ? 0 : -EBADMSG;
}

static int end_element(struct xml *x)
{
	const char *name;
	size_t len = take_name(x, &name);

	skip_blanks(x);
	if (!take(x, ">") || x->depth == 0 || len != x->stack[x->depth - 1].len ||
		memcmp(name, x->stack[x->depth - 1].name, len) != 0)
		return -EBADMSG;
	return close_element(x);
}

static int take_prolog(struct xml *x)
{
	skip_blanks(x);
	if (!take(x, "<?xml"))
		return 0;
	while (x->p < x->end && *x->p != '<' && *x->p != '>')
		x->p++;
	return x->p < x->end && *x->p == '>' && x->p[-1] == '?' ? (x->p++, 0) : -EBADMSG;
}

int xml_get(const char *text, size_t len, const char *path, struct buf *out)
{
	struct xml x = {.p = text, .end = text + len, .path = path, .path_depth = 1, .out = out};
	int r;

	for (const char *p = path; *p; p++)
		x.path_depth += *p == '/';
	if (memchr(text, '\0', len) || !utf8_valid(text, len))
		return -EBADMSG;
	r = take_prolog(&x);
	while (r >= 0 && x.p < x.end) {
		if (*x.p != '<')
			r = take_text(&x);
		else if (take(&x, "</"))
			r = end_element(&x);
		else
			r = (x.p++, open_element(&x));
	}
	if (r < 0)
		return r;
	if (x.depth > 0 || !x.root_seen)
		return -EBADMSG;
	return x.found ? 0 : -ENOENT;
}
