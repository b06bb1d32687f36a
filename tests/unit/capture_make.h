/* What the tests of capture/ share: pictures made with libjpeg and libpng, an emitter into memory, and
 * looking at results. */
#pragma once

#include <stdio.h>

#include <jpeglib.h>
#include <png.h>

#include "base/buf.h"
#include "capture/run.h"
#include "tests/unit/test.h"

/* ---- pictures ------------------------------------------------------------------------------------ */
struct pic {
	uint32_t w, h;
	unsigned int ch; /* 1 grey, 3 RGB, 4 RGBA or CMYK */
	uint8_t *px;
};

static inline struct pic pic_new(uint32_t w, uint32_t h, unsigned int ch)
{
	struct pic p = {w, h, ch, calloc((size_t)w * h, ch)};

	CHECK(p.px);
	return p;
}

static inline void pic_free(struct pic *p)
{
	free(p->px);
	p->px = NULL;
}
#define _cleanup_pic_ _cleanup_(pic_free)

static inline uint8_t *pic_at(const struct pic *p, uint32_t x, uint32_t y)
{
	return p->px + ((size_t)y * p->w + x) * p->ch;
}

/* Four corners of four colours: says at a glance which way up it is. */
static const uint8_t corner_colours[4][3] = {{220, 40, 40}, {40, 190, 60}, {50, 60, 210}, {235, 235, 235}};

static inline struct pic pic_corners(uint32_t w, uint32_t h)
{
	struct pic p = pic_new(w, h, 3);

	for (uint32_t y = 0; y < h; y++)
		for (uint32_t x = 0; x < w; x++)
			memcpy(pic_at(&p, x, y), corner_colours[(x >= w / 2) + 2 * (y >= h / 2)], 3);
	return p;
}

/* Lines of something like writing on paper that gets darker to one side. The same at every run. */
static inline struct pic pic_page(uint32_t w, uint32_t h, unsigned int ch)
{
	struct pic p = pic_new(w, h, ch);
	uint32_t seed = 1;

	for (uint32_t y = 0; y < h; y++)
		for (uint32_t x = 0; x < w; x++) {
			unsigned int paper = 250 - x * 30 / w, line = y / 12 % 3;
			bool ink = line && ((x * 7 + y / 36 * 13) / 9 % 5 < 2) && y % 12 < 9;

			seed = seed * 1664525 + 1013904223;
			for (unsigned int c = 0; c < ch; c++)
				pic_at(&p, x, y)[c] =
					(uint8_t)((ink ? 40 + c * 10 : paper - c * 3) + (seed >> 30));
		}
	return p;
}

/* ---- JPEG ---------------------------------------------------------------------------------------- */
struct jpeg_make {
	int h, v; /* luma sampling; 0: 1x1 */
	int quality;
	int chroma[2][2]; /* sampling of Cb and of Cr; 0: 1x1 */
	bool progressive, rgb, cmyk, arithmetic;
	bool ycck;     /* cmyk, stored as YCCK */
	bool unknown;  /* components without a meaning */
	bool no_adobe; /* without Adobe's marker */
	bool scans;    /* baseline, a scan for each component */
	int restart, restart_blocks;
	unsigned int orientation; /* 0: no EXIF */
};

static inline size_t make_exif(uint8_t out[40], unsigned int orientation)
{
	static const uint8_t head[] = {
		'E', 'x', 'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0};

	memset(out, 0, 40);
	memcpy(out, head, sizeof(head));
	out[sizeof(head)] = (uint8_t)orientation;
	return 6 + 8 + 2 + 12 + 4;
}

static inline void make_jpeg(const struct pic *p, struct jpeg_make o, struct buf *out)
{
	static const jpeg_scan_info apart[] = {{1, {0}, 0, 63, 0, 0}, {1, {1}, 0, 63, 0, 0}, {1, {2}, 0, 63, 0, 0}};
	struct jpeg_compress_struct c;
	struct jpeg_error_mgr err;
	unsigned char *data = NULL;
	unsigned long len = 0;
	uint8_t exif[40];

	c.err = jpeg_std_error(&err);
	jpeg_create_compress(&c);
	jpeg_mem_dest(&c, &data, &len);
	c.image_width = p->w;
	c.image_height = p->h;
	c.input_components = (int)p->ch;
	c.in_color_space = o.unknown ? JCS_UNKNOWN : o.cmyk ? JCS_CMYK : p->ch == 1 ? JCS_GRAYSCALE : JCS_RGB;
	jpeg_set_defaults(&c);
	if (o.rgb || o.ycck)
		jpeg_set_colorspace(&c, o.rgb ? JCS_RGB : JCS_YCCK);
	if (o.no_adobe)
		c.write_Adobe_marker = FALSE;
	jpeg_set_quality(&c, o.quality ? o.quality : 95, TRUE);
	c.comp_info[0].h_samp_factor = o.h ? o.h : 1;
	c.comp_info[0].v_samp_factor = o.v ? o.v : 1;
	for (int i = 1; i < c.num_components && i < 3; i++) {
		if (o.chroma[i - 1][0])
			c.comp_info[i].h_samp_factor = o.chroma[i - 1][0];
		if (o.chroma[i - 1][1])
			c.comp_info[i].v_samp_factor = o.chroma[i - 1][1];
	}
	if (o.scans) {
		c.scan_info = apart;
		c.num_scans = c.num_components;
	}
	if (o.ycck) { /* K is as fine as Y */
		c.comp_info[3].h_samp_factor = c.comp_info[0].h_samp_factor;
		c.comp_info[3].v_samp_factor = c.comp_info[0].v_samp_factor;
	}
	c.restart_in_rows = o.restart;
	c.restart_interval = (unsigned int)o.restart_blocks;
	c.arith_code = o.arithmetic;
	if (o.progressive)
		jpeg_simple_progression(&c);
	jpeg_start_compress(&c, TRUE);
	if (o.orientation)
		jpeg_write_marker(&c, JPEG_APP0 + 1, exif, (unsigned int)make_exif(exif, o.orientation));
	while (c.next_scanline < c.image_height) {
		JSAMPROW row = p->px + (size_t)c.next_scanline * p->w * p->ch;

		jpeg_write_scanlines(&c, &row, 1);
	}
	jpeg_finish_compress(&c);
	jpeg_destroy_compress(&c);
	CHECK(buf_add(out, data, len) == 0);
	free(data);
}

/* As any other program reads our result: RGB or grey; a warning fails the test. */
static inline struct pic read_jpeg(const struct buf *b, int *ret_h, int *ret_v)
{
	struct jpeg_decompress_struct c;
	struct jpeg_error_mgr err;
	struct pic p;

	c.err = jpeg_std_error(&err);
	jpeg_create_decompress(&c);
	jpeg_mem_src(&c, (const unsigned char *)b->data, b->len);
	jpeg_read_header(&c, TRUE);
	if (ret_h) {
		*ret_h = c.comp_info[0].h_samp_factor;
		*ret_v = c.comp_info[0].v_samp_factor;
	}
	CHECK(!c.progressive_mode);
	jpeg_start_decompress(&c);
	p = pic_new(c.output_width, c.output_height, (unsigned int)c.output_components);
	while (c.output_scanline < c.output_height) {
		JSAMPROW row = pic_at(&p, 0, c.output_scanline);

		jpeg_read_scanlines(&c, &row, 1);
	}
	jpeg_finish_decompress(&c);
	CHECK_INT(err.num_warnings, 0);
	jpeg_destroy_decompress(&c);
	return p;
}

/* ---- PNG ----------------------------------------------------------------------------------------- */
static inline void png_to_buf(png_structp png, png_bytep data, size_t len)
{
	CHECK(buf_add(png_get_io_ptr(png), data, len) == 0);
}

static inline void png_flush_nothing(png_structp png)
{
}

/* `colours`: what libpng calls the colour type; rows as libpng wants them. */
static inline void make_png(uint32_t w, uint32_t h, int depth, int colours, bool interlaced,
	const uint8_t *rows, size_t stride, const png_color *palette, int n_palette, struct buf *out)
{
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop info = png_create_info_struct(png);
	int passes;

	png_set_write_fn(png, out, png_to_buf, png_flush_nothing);
	png_set_IHDR(png, info, w, h, depth, colours, interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
		PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	if (palette)
		png_set_PLTE(png, info, palette, n_palette);
	png_write_info(png, info);
	passes = png_set_interlace_handling(png);
	for (int i = 0; i < passes; i++)
		for (uint32_t y = 0; y < h; y++)
			png_write_row(png, rows + y * stride);
	png_write_end(png, NULL);
	png_destroy_write_struct(&png, &info);
}

/* ---- an emitter into memory ---------------------------------------------------------------------- */
struct mem_emit {
	struct emit emit;
	struct buf jpeg; /* of the last page */
	struct page_info info;
	struct buf beside[2]; /* thumbnail, original */
	unsigned int besides[2]; /* that came whole */
	unsigned int pages, rejects, ends, pieces;
	bool open, ok;
	struct reject why; /* the last one's */
	char name[256];
	int fail_data; /* returned by data() */
};

static inline int mem_page(struct emit *e, const struct page_info *p)
{
	struct mem_emit *m = (struct mem_emit *)e;

	CHECK(!m->open);
	m->open = true;
	m->pieces = 0;
	buf_clear(&m->jpeg);
	m->info = *p;
	return 0;
}

static inline int mem_data(struct emit *e, const void *data, size_t len)
{
	struct mem_emit *m = (struct mem_emit *)e;

	CHECK(m->open);
	CHECK(len > 0 && len <= 65536);
	if (m->pieces++ == 0)
		CHECK(len >= 20);
	return m->fail_data ? m->fail_data : buf_add(&m->jpeg, data, len);
}

static inline int mem_page_end(struct emit *e, const struct page_info *p)
{
	struct mem_emit *m = (struct mem_emit *)e;

	CHECK(m->open);
	m->open = false;
	m->pages++;
	m->info = *p;
	return 0;
}

static inline int mem_reject(struct emit *e, unsigned int index, const char *name, const struct reject *why)
{
	struct mem_emit *m = (struct mem_emit *)e;

	m->open = false;
	m->rejects++;
	m->why = *why;
	str_copy(m->name, sizeof(m->name), name);
	return 0;
}

static inline int mem_end(struct emit *e, bool ok, const char *reason, const char *message)
{
	struct mem_emit *m = (struct mem_emit *)e;

	m->ends++;
	m->ok = ok;
	if (!ok)
		str_copy(m->name, sizeof(m->name), reason);
	return 0;
}

static inline int mem_beside(struct emit *e, enum beside what, const void *data, size_t len)
{
	struct mem_emit *m = (struct mem_emit *)e;

	CHECK(!m->open && m->pages > 0 && len > 0 && len <= 65536);
	return buf_add(&m->beside[what], data, len);
}

static inline int mem_beside_end(struct emit *e, enum beside what)
{
	((struct mem_emit *)e)->besides[what]++;
	return 0;
}

static const struct emit_ops mem_ops = {
	.beside = mem_beside, .beside_end = mem_beside_end,
	.page = mem_page, .data = mem_data, .page_end = mem_page_end, .reject = mem_reject, .end = mem_end};

static inline void mem_free(struct mem_emit *m)
{
	buf_free(&m->jpeg);
	buf_free(&m->beside[0]);
	buf_free(&m->beside[1]);
}
#define MEM_EMIT      ((struct mem_emit){.emit = {&mem_ops}})
#define _cleanup_mem_ _cleanup_(mem_free)

/* One page through everything. */
static inline int convert_bytes(
	const void *data, size_t len, const struct convert_options *o, struct mem_emit *m)
{
	struct convert_options def = CONVERT_OPTIONS_DEFAULT;
	struct run_counts counts;
	struct input in;

	input_from_memory(&in, data, len);
	return run_input(&in, "page", o ? o : &def, &m->emit, &counts);
}

static inline void check_rejected(const void *data, size_t len, const char *reason)
{
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;

	CHECK_INT(convert_bytes(data, len, NULL, &m), 0);
	CHECK_INT(m.pages, 0);
	CHECK_INT(m.rejects, 1);
	CHECK_INT(m.ends, 1);
	CHECK_STR(reject_name(m.why.reason), reason);
	CHECK(m.why.message[0]);
}

static inline bool near_colour(const uint8_t *got, const uint8_t *want, int by)
{
	for (int i = 0; i < 3; i++)
		if (abs(got[i] - want[i]) > by)
			return false;
	return true;
}
