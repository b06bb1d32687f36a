/* A reply from a fuzzer's bytes: "STATUS TRIES\nName: value\n...\n\nBODY". And what must hold of every verdict. */
#pragma once

#include <stdio.h>

#include "cloud/http_head.h"
#include "extract/extractor.h"

static const char fuzz_types[] =
	"[{\"name\":\"slip\",\"title\":\"Slip\",\"version\":1,\"prompt\":\"Read.\",\"schema\":{\"type\":\"object\",\"additionalProperties\":false,"
	"\"properties\":{\"no\":{\"type\":\"string\",\"maxLength\":40}}},"
	"\"fields\":[{\"name\":\"no\",\"title\":\"Number\",\"kind\":\"text\"}]}]";

static inline void fuzz_must(bool holds)
{
	if (!holds)
		abort();
}

static inline void fuzz_check(const struct verdict *v)
{
	fuzz_must((v->page == PAGE_DONE) == (v->answer != NULL));
	fuzz_must((v->page == PAGE_DONE) == (v->type != NULL));
	fuzz_must(v->backend == BACKEND_OK ||
		  v->page == PAGE_UNTOUCHED); /* no transport error here: a broken backend charges nobody */
	fuzz_must(*v->reason && *v->message);
	for (const char *p = v->message; *p; p++)
		fuzz_must((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static inline const struct typeset *fuzz_typeset(void)
{
	static struct typeset *types;
	char why[256];

	if (!types && typeset_parse(fuzz_types, sizeof(fuzz_types) - 1, &types, why, sizeof(why)) < 0) {
		fprintf(stderr, "%s\n", why);
		abort();
	}
	return types;
}

static inline void fuzz_decode(const struct extractor *x, const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = strndup((const char *)data, size), *copy = malloc(size + 1);
	struct http_head head = {};
	struct job j = {.n_images = 1};
	struct verdict v = {};
	struct reply r = {.sent = true, .sent_all = true};
	char *s = text, *end;

	if (!text || !copy)
		return;
	r.status = (int)(strtoul(s, &s, 10) % 1000);
	j.tries = (uint32_t)(strtoul(s, &s, 10) % 4);
	s += strcspn(s, "\n");
	while (*s == '\n' && s[1] && s[1] != '\n') {
		end = s + 1 + strcspn(s + 1, "\n");
		if (http_head_line(&head, s + 1, (size_t)(end - s - 1)) < 0)
			break;
		s = end;
	}
	s += strspn(s, "\n");
	/* the body may hold NUL bytes: it is taken from the original */
	r.len = size - (size_t)MIN((ptrdiff_t)size, s - text);
	memcpy(copy, data + (size - r.len), r.len);
	copy[r.len] = '\0';
	r.body = copy;
	r.headers = head.fields;
	r.n_headers = head.n;
	j.types = fuzz_typeset();
	fuzz_must(x->ops->decode(x, &j, &r, &v) == 0);
	fuzz_check(&v);
	verdict_clear(&v);
	http_head_clear(&head);
}
