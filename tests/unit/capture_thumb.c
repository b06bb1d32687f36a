/* Thumbnails, perceptual hashes, and originals: what goes beside a page. */
#include <fcntl.h>
#include <math.h>
#include <sys/mman.h>

#include "base/fileio.h"
#include "capture/thumb.h"
#include "tests/unit/capture_make.h"

static struct thumb *thumb_of(const struct pic *p)
{
	struct thumb *t;

	CHECK(p->ch == 1);
	CHECK_INT(thumb_new(p->w, p->h, 1, &t), 0);
	for (uint32_t y = 0; y < p->h; y++)
		thumb_row(t, 0, pic_at(p, 0, y));
	return t;
}

/* ---- the picture --------------------------------------------------------------------------------- */
TEST(each_pixel_is_the_mean_of_those_under_it)
{
	_cleanup_pic_ struct pic p = pic_new(1024, 512, 1), small = {};
	_cleanup_buf_ struct buf jpeg = {};
	struct thumb *t;

	for (uint32_t y = 0; y < p.h; y++)
		for (uint32_t x = 0; x < p.w; x++)
			*pic_at(&p, x, y) = (uint8_t)(x / 8 + y / 8 + 20 + (x % 4 == 1 ? 20 : 0));
	t = thumb_of(&p);
	CHECK_INT(thumb_jpeg(t, &jpeg), 0);
	thumb_free(t);
	small = read_jpeg(&jpeg, NULL, NULL);
	CHECK(small.w == 256 && small.h == 128 && small.ch == 1);
	for (uint32_t y = 0; y < small.h; y += 5)
		for (uint32_t x = 0; x < small.w; x += 3)
			CHECK(abs((int)*pic_at(&small, x, y) - (int)(x / 2 + y / 2 + 25)) <= 4);
}

TEST(any_page_has_a_thumbnail_of_its_own_shape)
{
	static const struct {
		uint32_t w, h, to_w, to_h;
	} sizes[] = {{1, 1, 1, 1}, {3, 2, 3, 2}, {255, 256, 255, 256}, {257, 10, 256, 10}, {2048, 1448, 256, 181}, {7, 2048, 1, 256},
		{2047, 2047, 256, 256}};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_pic_ struct pic p = pic_page(sizes[i].w, sizes[i].h, 3), small = {};
		_cleanup_buf_ struct buf jpeg = {};
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;
		struct convert_options o = CONVERT_OPTIONS_DEFAULT;

		o.sense.thumbnail = true;
		make_jpeg(&p, (struct jpeg_make){.h = 2, .v = 2}, &jpeg);
		CHECK_INT(convert_bytes(jpeg.data, jpeg.len, &o, &m), 0);
		CHECK_INT(m.besides[BESIDE_THUMBNAIL], 1);
		CHECK_INT(m.besides[BESIDE_ORIGINAL], 0);
		small = read_jpeg(&m.beside[BESIDE_THUMBNAIL], NULL, NULL);
		CHECK_INT(small.w, sizes[i].to_w);
		CHECK_INT(small.h, sizes[i].to_h);
	}
}

TEST(it_is_upright_and_in_colour)
{
	_cleanup_pic_ struct pic p = pic_corners(600, 400);

	for (unsigned int orientation = 1; orientation <= 8; orientation++) {
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;
		_cleanup_pic_ struct pic page = {}, small = {};
		_cleanup_buf_ struct buf jpeg = {};
		struct convert_options o = CONVERT_OPTIONS_DEFAULT;

		o.sense.thumbnail = true;
		make_jpeg(&p, (struct jpeg_make){.orientation = orientation}, &jpeg);
		CHECK_INT(convert_bytes(jpeg.data, jpeg.len, &o, &m), 0);
		page = read_jpeg(&m.jpeg, NULL, NULL);
		small = read_jpeg(&m.beside[BESIDE_THUMBNAIL], NULL, NULL);
		CHECK_INT(small.w > small.h, page.w > page.h);
		for (unsigned int k = 0; k < 4; k++) {
			uint32_t right = k % 2, low = k / 2;

			CHECK(near_colour(pic_at(&small, small.w / 4 + right * small.w / 2, small.h / 4 + low * small.h / 2),
				pic_at(&page, page.w / 4 + right * page.w / 2, page.h / 4 + low * page.h / 2), 12));
		}
	}
}

/* ---- the hash ------------------------------------------------------------------------------------ */
static uint64_t hash_of(const struct pic *p)
{
	struct thumb *t = thumb_of(p);
	uint64_t hash;

	CHECK(thumb_hash(t, &hash));
	thumb_free(t);
	return hash;
}

/* A document of its own for each seed: blocks of lines here and there. */
static struct pic document(unsigned int seed)
{
	struct pic p = pic_new(1448, 2048, 1);

	memset(p.px, 245, (size_t)p.w * p.h);
	for (int block = 0; block < 14; block++) {
		uint32_t x, y, w, h;

		seed = seed * 1664525 + 1013904223;
		x = 60 + (seed >> 8) % 900;
		y = 60 + (seed >> 16) % 1700;
		seed = seed * 1664525 + 1013904223;
		w = 100 + (seed >> 8) % 400;
		h = 40 + (seed >> 16) % 240;
		for (uint32_t j = y; j < MIN(y + h, p.h); j++)
			for (uint32_t i = x; i < MIN(x + w, p.w); i++)
				if (j / 9 % 3 == 0)
					*pic_at(&p, i, j) = (uint8_t)(i / 5 % 3 ? 40 : 200);
	}
	return p;
}

/* The page laid down once more: a little turned and shifted, darker, with noise. */
static struct pic again(const struct pic *p, double degrees, double dx, double dy)
{
	double c = cos(degrees * M_PI / 180), s = sin(degrees * M_PI / 180);
	struct pic q = pic_new(p->w, p->h, 1);
	uint32_t seed = 5;

	for (uint32_t y = 0; y < p->h; y++)
		for (uint32_t x = 0; x < p->w; x++) {
			double u = x - p->w / 2.0, v = y - p->h / 2.0;
			long sx = lround(u * c - v * s + p->w / 2.0 + dx), sy = lround(u * s + v * c + p->h / 2.0 + dy);
			bool in = sx >= 0 && sy >= 0 && sx < (long)p->w && sy < (long)p->h;

			seed = seed * 1664525 + 1013904223;
			*pic_at(&q, x, y) = (uint8_t)((in ? *pic_at(p, (uint32_t)sx, (uint32_t)sy) : 245) * 0.85 + (seed >> 28));
		}
	return q;
}

#define DOCUMENTS 12

TEST(a_page_scanned_again_is_known_and_another_is_not)
{
	uint64_t hash[DOCUMENTS];

	for (unsigned int i = 0; i < DOCUMENTS; i++) {
		_cleanup_pic_ struct pic p = document(i + 1), q = again(&p, 0.5, 8, -11);

		hash[i] = hash_of(&p);
		CHECK(!(hash[i] >> 63));
		CHECK(__builtin_popcountll(hash[i] ^ hash_of(&q)) <= 10);
		for (unsigned int k = 0; k < i; k++)
			CHECK(__builtin_popcountll(hash[i] ^ hash[k]) >= 16);
	}
}

TEST(the_hash_is_what_the_documentation_says)
{
	_cleanup_pic_ struct pic p = pic_new(256, 256, 1);
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	_cleanup_buf_ struct buf jpeg = {};
	_cleanup_json_ cJSON *j = NULL;
	struct convert_options o = CONVERT_OPTIONS_DEFAULT;
	char hex[17];

	/* One step of the vertical index alone: row 1 of the coefficients, column 0 is the largest. */
	for (uint32_t y = 0; y < 256; y++)
		for (uint32_t x = 0; x < 256; x++)
			*pic_at(&p, x, y) = (uint8_t)(128 + 100 * cos(M_PI * (2 * (y / 8) + 1) / 64));
	CHECK(hash_of(&p) >> (63 - 8) & 1);
	o.sense.hash = true;
	make_jpeg(&p, (struct jpeg_make){}, &jpeg);
	CHECK_INT(convert_bytes(jpeg.data, jpeg.len, &o, &m), 0);
	CHECK_INT(m.besides[BESIDE_THUMBNAIL], 0);
	CHECK(m.info.sense.hashed);
	CHECK_INT(sense_json(&m.info.sense, &j), 0);
	str_format(hex, sizeof(hex), "%016llx", (unsigned long long)m.info.sense.hash);
	CHECK_STR(json_get_string(j, "hash"), hex);
}

TEST(a_small_picture_has_no_hash)
{
	_cleanup_pic_ struct pic p = pic_page(31, 100, 1);
	struct thumb *t = thumb_of(&p);
	uint64_t hash;

	CHECK(!thumb_hash(t, &hash));
	thumb_free(t);
}

/* ---- originals ----------------------------------------------------------------------------------- */
static int keep(struct input *in, struct mem_emit *m)
{
	struct convert_options o = CONVERT_OPTIONS_DEFAULT;
	struct run_counts counts;

	o.original = true;
	o.max_side = 200;
	return run_input(in, "page", &o, &m->emit, &counts);
}

TEST(a_jpeg_is_kept_byte_by_byte)
{
	_cleanup_pic_ struct pic p = pic_page(900, 1300, 3);
	_cleanup_buf_ struct buf jpeg = {};

	make_jpeg(&p, (struct jpeg_make){.quality = 97, .orientation = 6}, &jpeg);
	CHECK(buf_add(&jpeg, "trailer", 7) == 0);
	for (int file = 0; file < 2; file++) {
		_cleanup_mem_ struct mem_emit m = MEM_EMIT;
		_cleanup_(input_close) struct input in = {.fd = -1};
		_cleanup_close_ int fd = memfd_create("original", MFD_CLOEXEC);

		CHECK(fd >= 0 && write_all(fd, jpeg.data, jpeg.len) == 0);
		if (file)
			CHECK_INT(input_from_file(&in, fd), 0);
		else
			input_from_memory(&in, jpeg.data, jpeg.len);
		CHECK_INT(keep(&in, &m), 0);
		CHECK_INT(m.pages, 1);
		CHECK_INT(m.besides[BESIDE_ORIGINAL], 1);
		CHECK(m.beside[BESIDE_ORIGINAL].len == jpeg.len);
		CHECK(memcmp(m.beside[BESIDE_ORIGINAL].data, jpeg.data, jpeg.len) == 0);
	}
}

TEST(what_is_no_jpeg_is_kept_at_its_own_size)
{
	_cleanup_pic_ struct pic p = pic_corners(900, 700), kept = {};
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	_cleanup_buf_ struct buf png = {};
	struct input in;

	make_png(p.w, p.h, 8, PNG_COLOR_TYPE_RGB, false, p.px, (size_t)p.w * 3, NULL, 0, &png);
	input_from_memory(&in, png.data, png.len);
	CHECK_INT(keep(&in, &m), 0);
	CHECK_INT(m.info.width, 200);
	CHECK_INT(m.besides[BESIDE_ORIGINAL], 1);
	kept = read_jpeg(&m.beside[BESIDE_ORIGINAL], NULL, NULL);
	CHECK(kept.w == 900 && kept.h == 700);
	CHECK(near_colour(pic_at(&kept, 100, 600), corner_colours[2], 6));
}

/* It cannot be read twice: the page is there all the same. */
static ssize_t once(struct input *in, void *to, size_t len)
{
	struct buf *b = in->ud;
	size_t n = MIN(len, b->len);

	memcpy(to, b->data, n);
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
	return (ssize_t)n;
}

TEST(what_cannot_be_read_twice_has_no_original)
{
	_cleanup_pic_ struct pic p = pic_page(300, 300, 3);
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	_cleanup_buf_ struct buf jpeg = {};
	_cleanup_(input_close) struct input in = {.fd = -1};

	make_jpeg(&p, (struct jpeg_make){}, &jpeg);
	CHECK_INT(input_from_reader(&in, once, &jpeg), 0);
	CHECK_INT(keep(&in, &m), 0);
	CHECK_INT(m.pages, 1);
	CHECK_INT(m.besides[BESIDE_ORIGINAL], 0);
	CHECK(m.ok);
}

static int no_memory(struct emit *e, enum beside what, const void *data, size_t len)
{
	return -ENOMEM;
}

/* The page is told by then: it must not be rejected after that. */
TEST(a_page_is_no_worse_for_a_thumbnail_that_cannot_be_made)
{
	_cleanup_pic_ struct pic p = pic_page(300, 300, 3);
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	_cleanup_buf_ struct buf jpeg = {};
	struct convert_options o = CONVERT_OPTIONS_DEFAULT;
	struct emit_ops ops = *m.emit.ops;
	struct run_counts counts;
	struct input in;

	ops.beside = no_memory;
	m.emit.ops = &ops;
	o.sense.thumbnail = true;
	make_jpeg(&p, (struct jpeg_make){}, &jpeg);
	input_from_memory(&in, jpeg.data, jpeg.len);
	CHECK_INT(run_input(&in, "page", &o, &m.emit, &counts), 0);
	CHECK_INT(m.pages, 1);
	CHECK_INT(counts.pages, 1);
	CHECK_INT(counts.rejected, 0);
}
