#include "base/frame.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/fileio.h"

#define ROOM_KEPT ((size_t)256 << 10) /* a larger buffer is given back once it is empty */

enum reader_state {
	AT_HEAD, /* a header line comes next */
	AT_DATA, /* `left` bytes of payload come next */
	AT_DONE, /* FRAME_DONE comes next */
	FAILED,
};

struct frame_reader {
	struct buf in;
	size_t off;     /* bytes of `in` that were taken */
	size_t scanned; /* bytes after `off` known to have no newline */
	enum reader_state state;
	cJSON *head;
	const char *type;
	uint64_t bytes, left;
	int error;
	char why[96];
};

int frame_reader_new(struct frame_reader **ret)
{
	struct frame_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->in.max = FRAME_BYTES_MAX + FRAME_LINE_MAX;
	*ret = r;
	return 0;
}

void frame_reader_free(struct frame_reader *r)
{
	if (!r)
		return;
	cJSON_Delete(r->head);
	buf_free(&r->in);
	free(r);
}

int frame_reader_feed(struct frame_reader *r, const void *data, size_t len)
{
	if (r->state == FAILED)
		return 0; /* nothing will be read any more */
	buf_consume(&r->in, r->off);
	r->off = 0;
	if (r->in.len == 0 && r->in.size > ROOM_KEPT)
		buf_free(&r->in);
	return buf_add(&r->in, data, len);
}

static int fail(struct frame_reader *r, int error, const char *why)
{
	r->state = FAILED;
	r->error = error;
	str_copy(r->why, sizeof(r->why), why);
	return error;
}

/* Checks the parsed header and takes what the payload needs out of it. */
static int accept_head(struct frame_reader *r)
{
	int64_t bytes = 0;

	r->type = json_get_string(r->head, "type");
	if (!cJSON_IsObject(r->head) || !r->type || !*r->type)
		return fail(r, -EBADMSG, "the header is not an object with a \"type\"");
	if (json_get(r->head, "bytes") && (json_get_i64(r->head, "bytes", &bytes) < 0 || bytes < 0))
		return fail(r, -EBADMSG, "\"bytes\" is not a whole number");
	if ((uint64_t)bytes > FRAME_BYTES_MAX)
		return fail(r, -EMSGSIZE, "\"bytes\" is over the limit");
	r->bytes = r->left = (uint64_t)bytes;
	r->state = bytes > 0 ? AT_DATA : AT_DONE;
	return FRAME_HEAD;
}

static int next_head(struct frame_reader *r)
{
	size_t have = r->in.len - r->off;
	const char *line = buf_str(&r->in) + r->off, *newline;
	int e;

	cJSON_Delete(take_ptr(r->head));
	r->type = NULL;
	r->bytes = 0;
	newline = have > r->scanned ? memchr(line + r->scanned, '\n', MIN(have, FRAME_LINE_MAX) - r->scanned)
				    : NULL;
	if (!newline) {
		if (have >= FRAME_LINE_MAX)
			return fail(r, -EMSGSIZE, "the header line is over the limit");
		r->scanned = have;
		return FRAME_NONE;
	}
	r->scanned = 0;
	r->off += (size_t)(newline - line) + 1;
	e = json_parse(line, (size_t)(newline - line), &r->head, NULL);
	if (e < 0)
		return fail(r, e, e == -ENOMEM ? "out of memory" : "the header line is not JSON");
	return accept_head(r);
}

static int next_data(struct frame_reader *r, struct frame_piece *p)
{
	size_t n = r->in.len - r->off;

	if (n == 0)
		return FRAME_NONE;
	if (n > r->left)
		n = (size_t)r->left;
	p->data = r->in.data + r->off;
	p->len = n;
	r->off += n;
	r->left -= n;
	if (r->left == 0)
		r->state = AT_DONE;
	return FRAME_DATA;
}

int frame_reader_next(struct frame_reader *r, struct frame_piece *ret)
{
	struct frame_piece p = {};
	int part = r->error;

	switch (r->state) {
	case FAILED:
		return part;
	case AT_HEAD:
		part = next_head(r);
		break;
	case AT_DATA:
		part = next_data(r, &p);
		break;
	case AT_DONE:
		r->state = AT_HEAD;
		part = FRAME_DONE;
		break;
	}
	if (part < 0)
		return part;
	p.head = r->head;
	p.type = r->type;
	p.bytes = r->bytes;
	*ret = p;
	return part;
}

const char *frame_reader_error(const struct frame_reader *r)
{
	return r->why;
}

int frame_format(const cJSON *head, uint64_t bytes, struct buf *out)
{
	_cleanup_buf_ struct buf line = {};
	int r;

	if (!json_get_string(head, "type") || json_get(head, "bytes"))
		return -EINVAL;
	if (bytes > FRAME_BYTES_MAX)
		return -EMSGSIZE;
	r = json_print(head, false, &line);
	if (r < 0)
		return r;
	if (bytes > 0) {
		line.len--; /* the closing brace; "type" is before it */
		r = buf_addf(&line, ",\"bytes\":%" PRIu64 "}", bytes);
	}
	if (r == 0)
		r = buf_addc(&line, '\n');
	if (r < 0)
		return r;
	if (line.len > FRAME_LINE_MAX)
		return -EMSGSIZE;
	return buf_add(out, line.data, line.len);
}

int frame_write(int fd, const cJSON *head, const void *data, size_t len)
{
	_cleanup_buf_ struct buf line = {};
	int r = frame_format(head, len, &line);

	if (r == 0)
		r = write_all(fd, line.data, line.len);
	if (r == 0 && len > 0)
		r = write_all(fd, data, len);
	return r;
}
