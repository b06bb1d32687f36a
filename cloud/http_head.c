#include "cloud/http_head.h"

#include "base/parse.h"

void http_head_clear(struct http_head *h)
{
	for (size_t i = 0; i < h->n; i++) {
		free(h->fields[i].name);
		free(h->fields[i].value);
	}
	h->n = 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static char *copy_trimmed(const char *s, size_t len)
{
	while (len && is_blank(*s)) {
		s++;
		len--;
	}
	while (len && is_blank(s[len - 1]))
		len--;
	return strndup(s, len);
}

int http_head_line(struct http_head *h, const char *line, size_t len)
{
	struct header *f = &h->fields[h->n];
	const char *colon;

	h->bytes += len; /* of interim replies too: they are capped together */
	if (h->bytes > HTTP_HEAD_BYTES_MAX)
		return -EMSGSIZE;
	if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
		http_head_clear(h);
		return 0;
	}
	colon = memchr(line, ':', len);
	if (!colon || colon == line)
		return 0;
	if (h->n == HTTP_HEAD_FIELDS_MAX)
		return -EMSGSIZE;
	f->name = copy_trimmed(line, (size_t)(colon - line));
	f->value = copy_trimmed(colon + 1, len - (size_t)(colon - line) - 1);
	if (!f->name || !f->value) {
		free(f->name);
		free(f->value);
		return -ENOMEM;
	}
	h->n++;
	return 0;
}

bool http_head_ok(const struct header *h)
{
	for (const char *p = h->name; *p; p++) {
		if (*p <= 0x20 || *p >= 0x7f || *p == ':')
			return false;
	}
	for (const char *p = h->value; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return false;
	}
	return *h->name != '\0';
}

int64_t http_head_date(const struct reply *r)
{
	const char *v = reply_header(r, "date");
	int64_t ms;

	/* With an age it is a cache's, of some time ago. */
	if (reply_header(r, "age"))
		return 0;
	return v && parse_http_date(v, &ms) == 0 ? ms : 0;
}
