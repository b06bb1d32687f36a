#include "cloud/eventstream.h"

#define PRELUDE  12 /* two lengths and their check sum */
#define CHECKSUM 4
#define LEAST    (PRELUDE + CHECKSUM)

static uint32_t read_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* CRC-32 as zlib's (polynomial 0x04c11db7, reflected), half a byte at a time. */
static uint32_t crc32_of(const uint8_t *p, size_t len)
{
	static const uint32_t table[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
		0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < len; i++) {
		crc = table[(crc ^ p[i]) & 15] ^ crc >> 4;
		crc = table[(crc ^ p[i] >> 4) & 15] ^ crc >> 4;
	}
	return ~crc;
}

/* ---- headers ----------------------------------------------------------------------------------------------------- */

struct reader {
	const uint8_t *at;
	size_t left;
};

static const uint8_t *take(struct reader *r, size_t n)
{
	const uint8_t *p = r->at;

	if (n > r->left)
		return NULL;
	r->at += n;
	r->left -= n;
	return p;
}

static int read_value(struct reader *r, struct eventstream_field *f)
{
	static const uint8_t sizes[] = {
		[EVENTSTREAM_TRUE] = 0,
		[EVENTSTREAM_FALSE] = 0,
		[EVENTSTREAM_I8] = 1,
		[EVENTSTREAM_I16] = 2,
		[EVENTSTREAM_I32] = 4,
		[EVENTSTREAM_I64] = 8,
		[EVENTSTREAM_TIMESTAMP] = 8,
		[EVENTSTREAM_UUID] = 16,
	};
	const uint8_t *p;

	if (f->type == EVENTSTREAM_BYTES || f->type == EVENTSTREAM_STRING) {
		p = take(r, 2);
		if (!p)
			return -EBADMSG;
		f->len = (size_t)p[0] << 8 | p[1];
	} else {
		f->len = sizes[f->type];
	}
	f->value = take(r, f->len);
	return f->value ? 0 : -EBADMSG;
}

static bool named_before(const struct eventstream_frame *m, const struct eventstream_field *f)
{
	for (size_t i = 0; i < m->n_fields; i++)
		if (m->fields[i].name_len == f->name_len && memcmp(m->fields[i].name, f->name, f->name_len) == 0)
			return true;
	return false;
}

static int read_field(struct reader *r, struct eventstream_frame *m)
{
	struct eventstream_field f = {};
	const uint8_t *p = take(r, 1);

	if (!p || !*p || m->n_fields == EVENTSTREAM_FIELDS_MAX)
		return -EBADMSG;
	f.name_len = *p;
	f.name = (const char *)take(r, f.name_len);
	p = f.name ? take(r, 1) : NULL;
	if (!p || *p > EVENTSTREAM_UUID)
		return -EBADMSG;
	f.type = (enum eventstream_type)*p;
	if (read_value(r, &f) < 0 || named_before(m, &f))
		return -EBADMSG;
	m->fields[m->n_fields++] = f;
	return 0;
}

int eventstream_string(const struct eventstream_frame *m, const char *name, char *out, size_t size)
{
	for (size_t i = 0; i < m->n_fields; i++) {
		const struct eventstream_field *f = &m->fields[i];

		if (f->name_len != strlen(name) || memcmp(f->name, name, f->name_len) != 0)
			continue;
		if (f->type != EVENTSTREAM_STRING || memchr(f->value, '\0', f->len))
			return -ENOENT;
		if (f->len >= size)
			return -ENOBUFS;
		memcpy(out, f->value, f->len);
		out[f->len] = '\0';
		return 0;
	}
	return -ENOENT;
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

/* The whole frame's length, once its prelude is there and right; 0 before; -EBADMSG. The lengths are not believed, nor any
 * memory taken for them, before their own check sum holds. */
static ssize_t frame_length(const struct buf *b)
{
	const uint8_t *p = (const uint8_t *)buf_str(b);
	uint32_t total, headers;

	if (b->len < PRELUDE)
		return 0;
	if (crc32_of(p, 8) != read_be32(p + 8))
		return -EBADMSG;
	total = read_be32(p);
	headers = read_be32(p + 4);
	if (headers > EVENTSTREAM_HEADERS_MAX || total < LEAST + headers || total - LEAST - headers > EVENTSTREAM_PAYLOAD_MAX)
		return -EBADMSG;
	return (ssize_t)total;
}

static int read_frame(const struct buf *b, size_t total, eventstream_fn fn, void *ud)
{
	const uint8_t *p = (const uint8_t *)buf_str(b);
	struct reader r = {p + PRELUDE, read_be32(p + 4)};
	struct eventstream_frame m = {};
	int e = crc32_of(p, total - CHECKSUM) == read_be32(p + total - CHECKSUM) ? 0 : -EBADMSG;

	m.payload = (const char *)p + PRELUDE + r.left;
	m.len = total - LEAST - r.left;
	while (e >= 0 && r.left > 0)
		e = read_field(&r, &m);
	return e < 0 ? e : fn(ud, &m);
}

/* Only as much as the frame at hand still lacks: what is pending is never more than one frame. */
static int take_piece(struct eventstream *s, const char **data, size_t *len, eventstream_fn fn, void *ud)
{
	ssize_t total = frame_length(&s->pending);
	size_t want, n;
	int r;

	if (total < 0)
		return (int)total;
	want = total ? (size_t)total : PRELUDE;
	n = MIN(*len, want - s->pending.len);
	r = buf_add(&s->pending, *data, n);
	if (r < 0)
		return r;
	*data += n;
	*len -= n;
	if (!total) { /* the prelude may be whole now, and a frame without anything ends soon after it */
		total = frame_length(&s->pending);
		return total < 0 ? (int)total : 0;
	}
	if (s->pending.len < (size_t)total)
		return 0;
	r = read_frame(&s->pending, (size_t)total, fn, ud);
	buf_clear(&s->pending);
	return r;
}

int eventstream_take(struct eventstream *s, const void *data, size_t len, eventstream_fn fn, void *ud)
{
	const char *at = data;
	int r = s->broken ? -EBADMSG : 0;

	while (r == 0 && len > 0)
		r = take_piece(s, &at, &len, fn, ud);
	s->broken |= r != 0;
	return r;
}

void eventstream_clear(struct eventstream *s)
{
	buf_free(&s->pending);
	*s = (struct eventstream){};
}
