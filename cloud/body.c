#include "cloud/body.h"

#include "base/crypto.h"

#define PIECE                                                                                                          \
	((size_t)12 << 10) /* bytes of a file a read; divisible by 3, so that base64 pieces join without padding */

struct body {
	const struct request *req; /* borrowed */
	size_t segment;
	uint64_t offset; /* in the segment, before base64 */
	size_t text_len, text_pos;
	char text[BASE64_SIZE(PIECE) + 1]; /* base64 not yet handed out */
};

int body_new(const struct request *r, struct body **ret)
{
	struct body *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->req = r;
	*ret = b;
	return 0;
}

void body_free(struct body *b)
{
	free(b);
}

void body_rewind(struct body *b)
{
	b->segment = 0;
	b->offset = 0;
	b->text_len = b->text_pos = 0;
}

/* Exactly len bytes at b->offset. */
static int read_at(const struct body *b, int fd, void *out, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread(fd, (char *)out + got, len - got, (off_t)(b->offset + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		got += (size_t)n;
	}
	return 0;
}

static ssize_t read_base64(struct body *b, const struct segment *s, char *out, size_t len)
{
	uint8_t raw[PIECE];
	size_t n;

	if (b->text_pos == b->text_len) {
		size_t want = (size_t)MIN((uint64_t)PIECE, s->len - b->offset);
		int r = read_at(b, s->fd, raw, want);

		if (r < 0)
			return r;
		b->text_len = base64_encode(raw, want, b->text);
		b->text_pos = 0;
		b->offset += want;
	}
	n = MIN(len, b->text_len - b->text_pos);
	memcpy(out, b->text + b->text_pos, n);
	b->text_pos += n;
	return (ssize_t)n;
}

static ssize_t read_segment(struct body *b, const struct segment *s, char *out, size_t len)
{
	size_t n = (size_t)MIN((uint64_t)len, s->len - b->offset);
	int r;

	if (s->kind == SEGMENT_FILE_BASE64)
		return read_base64(b, s, out, len);
	if (s->kind == SEGMENT_LITERAL) {
		memcpy(out, s->data + b->offset, n);
	} else {
		r = read_at(b, s->fd, out, n);
		if (r < 0)
			return r;
	}
	b->offset += n;
	return (ssize_t)n;
}

ssize_t body_read(struct body *b, void *out, size_t len)
{
	size_t got = 0;

	while (got < len && b->segment < b->req->n_segments) {
		const struct segment *s = &b->req->segments[b->segment];
		ssize_t n;

		if (b->offset == s->len && b->text_pos == b->text_len) {
			b->segment++;
			b->offset = 0;
			b->text_len = b->text_pos = 0;
			continue;
		}
		n = read_segment(b, s, (char *)out + got, len - got);
		if (n < 0)
			return n;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

int body_hash(struct request *r)
{
	struct sha256 *h;
	struct body *b;
	char piece[16384];
	ssize_t n;
	int e;

	e = body_new(r, &b);
	if (e < 0)
		return e;
	e = sha256_new(&h);
	if (e < 0) {
		body_free(b);
		return e;
	}
	while ((n = body_read(b, piece, sizeof(piece))) > 0)
		sha256_update(h, piece, (size_t)n);
	if (n == 0)
		sha256_final(h, r->body_sha256);
	sha256_free(h);
	body_free(b);
	return n < 0 ? (int)n : 0;
}
