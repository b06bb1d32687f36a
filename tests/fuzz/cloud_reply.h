/* A reply from a fuzzer's bytes: "STATUS TRIES ERROR\nName: value\n...\n\nBODY". And what must hold of every verdict. */
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

/* What a reply is made of; `text` and `body` are its own. */
struct fuzz_reply {
	struct http_head head;
	struct reply reply;
	uint32_t tries, error;
	char *text, *body;
};

static inline void fuzz_reply_clear(struct fuzz_reply *f)
{
	http_head_clear(&f->head);
	free(f->text);
	free(f->body);
}

static inline bool fuzz_reply_read(struct fuzz_reply *f, const uint8_t *data, size_t size)
{
	struct reply *r = &f->reply;
	char *s, *end;

	*f = (struct fuzz_reply){.reply = {.sent = true, .sent_all = true}, .text = strndup((const char *)data, size), .body = malloc(size + 1)};
	if (!f->text || !f->body)
		return false;
	s = f->text;
	r->status = (int)(strtoul(s, &s, 10) % 1000);
	f->tries = (uint32_t)(strtoul(s, &s, 10) % 4);
	f->error = *s == ' ' ? (uint32_t)(strtoul(s, &s, 10) % (TRANSPORT_CANCELLED + 1)) : 0;
	s += strcspn(s, "\n");
	while (*s == '\n' && s[1] && s[1] != '\n') {
		end = s + 1 + strcspn(s + 1, "\n");
		if (http_head_line(&f->head, s + 1, (size_t)(end - s - 1)) < 0)
			break;
		s = end;
	}
	s += strspn(s, "\n");
	/* the body may hold NUL bytes: it is taken from the original */
	r->len = size - (size_t)MIN((ptrdiff_t)size, s - f->text);
	memcpy(f->body, data + (size - r->len), r->len);
	f->body[r->len] = '\0';
	r->body = f->body;
	r->headers = f->head.fields;
	r->n_headers = f->head.n;
	return true;
}

static inline void fuzz_decode(const struct extractor *x, const uint8_t *data, size_t size)
{
	struct job j = {.n_images = 1, .types = fuzz_typeset()};
	struct fuzz_reply f;
	struct verdict v = {};

	if (fuzz_reply_read(&f, data, size)) {
		j.tries = f.tries;
		fuzz_must(x->ops->decode(x, &j, &f.reply, &v) == 0);
		fuzz_check(&v);
		/* no transport error here: a broken backend charges nobody */
		fuzz_must(v.backend == BACKEND_OK || v.page == PAGE_UNTOUCHED);
		verdict_clear(&v);
	}
	fuzz_reply_clear(&f);
}
