#include "extract/extractor.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "base/crypto.h"
#include "base/text.h"

/* ---- requests ------------------------------------------------------------------------------------------ */

void request_free(struct request *r)
{
	if (!r)
		return;
	free(r->url);
	for (size_t i = 0; i < r->n_headers; i++) {
		free(r->headers[i].name);
		wipe(r->headers[i].value, strlen(r->headers[i].value));
		free(r->headers[i].value);
	}
	for (size_t i = 0; i < r->n_segments; i++) {
		if (r->segments[i].data)
			wipe(r->segments[i].data, (size_t)r->segments[i].len);
		free(r->segments[i].data);
	}
	if (r->stream)
		r->stream->free(r->stream);
	*r = (struct request){};
}

/* RFC 9110 section 5.6.2: token. */
static bool header_name_valid(const char *s)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	if (!*s)
		return false;
	for (; *s; s++) {
		bool alnum = (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z');

		if (!alnum && !strchr(others, *s))
			return false;
	}
	return true;
}

/* No control characters but tab: a line break in a value would begin another header. */
static bool header_value_valid(const char *s)
{
	for (; *s; s++)
		if (((unsigned char)*s < 0x20 && *s != '\t') || *s == 0x7f)
			return false;
	return true;
}

int request_add_header(struct request *r, const char *name, const char *value)
{
	_cleanup_free_ char *n = NULL;
	_cleanup_free_ char *v = NULL;

	if (!header_name_valid(name) || !header_value_valid(value))
		return -EINVAL;
	if (r->n_headers == REQUEST_HEADERS_MAX)
		return -E2BIG;
	n = strdup(name);
	v = strdup(value);
	if (!n || !v)
		return -ENOMEM;
	r->headers[r->n_headers++] = (struct header){.name = take_ptr(n), .value = take_ptr(v)};
	return 0;
}

static int request_add_segment(struct request *r, struct segment s)
{
	if (r->n_segments == REQUEST_SEGMENTS_MAX)
		return -E2BIG;
	r->segments[r->n_segments++] = s;
	return 0;
}

int request_add_literal_take(struct request *r, struct buf *b)
{
	size_t len = b->len;
	char *data = buf_take(b);
	int e = data ? request_add_segment(
			       r, (struct segment){.kind = SEGMENT_LITERAL, .data = data, .fd = -1, .len = len})
		     : -ENOMEM;

	if (e < 0)
		free(data);
	return e;
}

int request_add_file(struct request *r, enum segment_kind kind, int fd, uint64_t len)
{
	if (kind == SEGMENT_LITERAL || fd < 0)
		return -EINVAL;
	return request_add_segment(r, (struct segment){.kind = kind, .fd = fd, .len = len});
}

static const char *find_header(const struct header *h, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(h[i].name, name) == 0)
			return h[i].value;
	return NULL;
}

const char *request_header(const struct request *r, const char *name)
{
	return find_header(r->headers, r->n_headers, name);
}

uint64_t request_body_length(const struct request *r)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < r->n_segments; i++) {
		uint64_t len = r->segments[i].len;

		sum += r->segments[i].kind == SEGMENT_FILE_BASE64 ? len / 3 * 4 + (len % 3 ? 4 : 0) : len;
	}
	return sum;
}

/* ---- replies and verdicts ------------------------------------------------------------------------------ */

const char *reply_header(const struct reply *r, const char *name)
{
	return find_header(r->headers, r->n_headers, name);
}

void dialogue_clear(struct dialogue *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(e->objects); i++)
		free(e->objects[i]);
	*e = (struct dialogue){0};
}

void verdict_clear(struct verdict *v)
{
	if (!v)
		return;
	free(v->answer);
	cJSON_Delete(v->evidence);
	*v = (struct verdict){};
}

int verdict_set(struct verdict *v, enum page_outcome page, enum backend_state backend, const char *reason,
	const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	v->page = page;
	v->backend = backend;
	/* a reason is one of our own words; a longer one is a mistake that tests see as "" */
	str_copy(v->reason, sizeof(v->reason), reason);
	va_start(ap, fmt);
	/* servers' messages may be long: what does not fit is cut, at a character's end by text_safe_copy()
	 */
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = 0;
	va_end(ap);
	text_safe_copy(v->message, sizeof(v->message), text);
	return 0;
}

/* ---- names --------------------------------------------------------------------------------------------- */

const char *page_outcome_name(enum page_outcome o)
{
	static const char *const names[] = {
		[PAGE_DONE] = "done",
		[PAGE_NEXT] = "next",
		[PAGE_RETRY] = "retry",
		[PAGE_REJECT] = "reject",
		[PAGE_UNTOUCHED] = "untouched",
	};

	return (size_t)o < ARRAY_SIZE(names) ? names[o] : "unknown";
}

const char *backend_state_name(enum backend_state s)
{
	static const char *const names[] = {
		[BACKEND_OK] = "ok",
		[BACKEND_BUSY] = "busy",
		[BACKEND_DOWN] = "down",
	};

	return (size_t)s < ARRAY_SIZE(names) ? names[s] : "unknown";
}
