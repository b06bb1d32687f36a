#include "daemon/jpegcomment.h"

/* Markers of ITU-T T.81 (JPEG), table B.1; each follows a byte FF. */
enum {
	MARKER_SOF0 = 0xc0,
	MARKER_SOF15 = 0xcf,
	MARKER_DHT = 0xc4,
	MARKER_JPG = 0xc8,
	MARKER_DAC = 0xcc,
	MARKER_SOI = 0xd8,
	MARKER_SOS = 0xda,
	MARKER_APP0 = 0xe0,
	MARKER_COM = 0xfe,
};

#define SEGMENT_MAX 65535u /* of the length field, which counts its own two bytes */

static unsigned int u16(const uint8_t *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

ssize_t jpeg_comment_offset(const uint8_t *data, size_t len)
{
	if ((len > 0 && data[0] != 0xff) || (len > 1 && data[1] != MARKER_SOI))
		return -EBADMSG;
	if (len > 2 && data[2] != 0xff)
		return -EBADMSG;
	if (len < 4)
		return -EAGAIN;
	if (data[3] != MARKER_APP0)
		return 2;
	if (len < 6)
		return -EAGAIN;
	return u16(data + 4) < 2 ? -EBADMSG : 4 + (ssize_t)u16(data + 4);
}

int jpeg_comment_segment(const char *text, struct buf *out)
{
	size_t len = strlen(text);
	uint8_t head[4] = {0xff, MARKER_COM, (uint8_t)((len + 2) >> 8), (uint8_t)(len + 2)};
	int r;

	if (len > SEGMENT_MAX - 2)
		return -EMSGSIZE;
	r = buf_add(out, head, sizeof(head));
	return r < 0 ? r : buf_add(out, text, len);
}

/* Steps over the segments before the image data. 1 with the marker and its content, 0 at their end or where
 * they break. */
struct walk {
	const uint8_t *data;
	size_t len, at;
};

static int walk_next(struct walk *w, uint8_t *ret_marker, const uint8_t **ret, size_t *ret_len)
{
	size_t length;

	if (w->at == 0 && w->len >= 2 && w->data[0] == 0xff && w->data[1] == MARKER_SOI)
		w->at = 2;
	if (w->at < 2 || w->len - w->at < 4 || w->data[w->at] != 0xff)
		return 0;
	length = u16(w->data + w->at + 2);
	if (w->data[w->at + 1] == MARKER_SOS || length < 2 || w->len - w->at - 2 < length)
		return 0;
	*ret_marker = w->data[w->at + 1];
	*ret = w->data + w->at + 4;
	*ret_len = length - 2;
	w->at += 2 + length;
	return 1;
}

/* "pageferryN " with another N than 1. */
static bool other_version(const uint8_t *content, size_t n)
{
	static const char name[] = "pageferry";
	size_t at = sizeof(name) - 1;

	if (n < at || memcmp(content, name, at) != 0)
		return false;
	while (at < n && content[at] >= '0' && content[at] <= '9')
		at++;
	return at >= sizeof(name) && at < n && content[at] == ' ';
}

/* Content and length of our comment's segment. */
static int find_ours(const uint8_t *data, size_t len, const uint8_t **ret, size_t *ret_len)
{
	static const char ours[] = "pageferry1 ";
	struct walk w = {data, len, 0};
	const uint8_t *content;
	bool other = false;
	uint8_t marker;
	size_t n;

	while (walk_next(&w, &marker, &content, &n)) {
		if (marker != MARKER_COM)
			continue;
		if (n >= sizeof(ours) - 1 && memcmp(content, ours, sizeof(ours) - 1) == 0) {
			*ret = content;
			*ret_len = n;
			return 0;
		}
		other |= other_version(content, n);
	}
	return other ? -ENOTSUP : -ENODATA;
}

int jpeg_comment_read(const uint8_t *data, size_t len, struct buf *ret)
{
	const uint8_t *content;
	size_t n;
	int r = find_ours(data, len, &content, &n);

	return r < 0 ? r : buf_add(ret, content, n);
}

int jpeg_comment_find(const uint8_t *data, size_t len, size_t *ret_at, size_t *ret_len)
{
	const uint8_t *content;
	size_t n;
	int r = find_ours(data, len, &content, &n);

	if (r < 0)
		return r;
	*ret_at = (size_t)(content - data) - 4; /* marker and length */
	*ret_len = n + 4;
	return 0;
}

int jpeg_dimensions(const uint8_t *data, size_t len, uint32_t *ret_width, uint32_t *ret_height)
{
	struct walk w = {data, len, 0};
	const uint8_t *content;
	uint8_t marker;
	size_t n;

	while (walk_next(&w, &marker, &content, &n)) {
		if (marker < MARKER_SOF0 || marker > MARKER_SOF15 || marker == MARKER_DHT ||
			marker == MARKER_JPG || marker == MARKER_DAC)
			continue;
		/* precision, lines, samples a line */
		if (n < 5)
			return -ENODATA;
		*ret_height = u16(content + 1);
		*ret_width = u16(content + 3);
		return 0;
	}
	return -ENODATA;
}
