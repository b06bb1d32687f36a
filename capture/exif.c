/* TIFF 6.0, section 2, and EXIF 2.32, tag 0x0112. Hostile input: every offset is checked against the length.
 */
#include "capture/exif.h"

#define TAG_ORIENTATION 0x0112
#define TYPE_SHORT      3
#define TYPE_LONG       4

struct tiff {
	const uint8_t *data;
	size_t len;
	bool big_endian;
};

static uint32_t get16(const struct tiff *t, size_t at)
{
	const uint8_t *p = t->data + at;

	return t->big_endian ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

static uint32_t get32(const struct tiff *t, size_t at)
{
	uint32_t a = get16(t, at), b = get16(t, at + 2);

	return t->big_endian ? a << 16 | b : b << 16 | a;
}

/* An entry of 12 bytes: tag, type, count, value. */
static uint32_t entry_value(const struct tiff *t, size_t at)
{
	uint32_t type = get16(t, at + 2);

	if (get32(t, at + 4) != 1)
		return 0;
	if (type == TYPE_SHORT)
		return get16(t, at + 8);
	return type == TYPE_LONG ? get32(t, at + 8) : 0;
}

unsigned int exif_orientation(const uint8_t *data, size_t len)
{
	struct tiff t = {data, len, false};
	size_t ifd, n;

	if (len < 14 || (memcmp(data, "II", 2) != 0 && memcmp(data, "MM", 2) != 0))
		return 1;
	t.big_endian = data[0] == 'M';
	ifd = get32(&t, 4);
	if (get16(&t, 2) != 42 || ifd < 8 || ifd > len - 2)
		return 1;
	n = MIN(get16(&t, ifd), (len - ifd - 2) / 12);
	for (size_t i = 0; i < n; i++) {
		size_t at = ifd + 2 + 12 * i;

		if (get16(&t, at) == TAG_ORIENTATION) {
			uint32_t v = entry_value(&t, at);

			return v >= 1 && v <= 8 ? v : 1;
		}
	}
	return 1;
}
