/* Page sense on the sample pages and on what is drawn from them: how often it is wrong is counted. */
#include <dirent.h>
#include <fcntl.h>
#include <math.h>

#include "base/fileio.h"
#include "tests/unit/capture_make.h"

#define SAMPLES "../samples/pages"

static const struct sense_options all = {.gate = true, .blank = true};

/* ---- planes -------------------------------------------------------------------------------------- */
/* A page of luma; chroma is neutral. */
static struct sense_result sense_of(const struct pic *p)
{
	_cleanup_free_ uint8_t *neutral = malloc(p->w);
	struct sense_result r = {.asked = all};
	struct sense *s;

	CHECK(neutral && p->ch == 1);
	memset(neutral, 128, p->w);
	CHECK_INT(sense_new(&all, p->w, p->h, 3, &s), 0);
	for (uint32_t y = 0; y < p->h; y++) {
		sense_row(s, 0, pic_at(p, 0, y));
		for (unsigned int i = 1; i < 3 && y % 2 == 0; i++)
			sense_row(s, i, neutral);
	}
	sense_judge(s, &r);
	sense_free(s);
	return r;
}

static struct pic copy(const struct pic *p)
{
	struct pic c = pic_new(p->w, p->h, p->ch);

	memcpy(c.px, p->px, (size_t)p->w * p->h * p->ch);
	return c;
}

static uint8_t clip(double v)
{
	return (uint8_t)CLAMP(v + 0.5, 0, 255);
}

/* A sample page as it is stored: at most 2048 pixels, through the pipeline. */
static struct pic load(int dirfd, const char *name)
{
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	_cleanup_buf_ struct buf b = {};
	_cleanup_pic_ struct pic rgb = {};
	struct pic grey;

	CHECK_INT(file_read(dirfd, name, (size_t)16 << 20, &b), 0);
	CHECK_INT(convert_bytes(b.data, b.len, NULL, &m), 0);
	CHECK_INT(m.pages, 1);
	rgb = read_jpeg(&m.jpeg, NULL, NULL);
	grey = pic_new(rgb.w, rgb.h, 1);
	for (size_t i = 0; i < (size_t)rgb.w * rgb.h; i++)
		grey.px[i] = clip(0.299 * rgb.px[3 * i] + 0.587 * rgb.px[3 * i + 1] + 0.114 * rgb.px[3 * i + 2]);
	return grey;
}

typedef void (*each_fn)(const char *name, const struct pic *page);

static void each_sample(each_fn fn)
{
	_cleanup_close_ int dirfd = -1;
	char path[512];
	unsigned int n = 0, every = test_stride(5);
	DIR *d;

	str_format(path, sizeof(path), "%s" SAMPLES, test_data());
	dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(dirfd >= 0);
	d = fdopendir(dup(dirfd));
	CHECK(d);
	for (struct dirent *e; (e = readdir(d));)
		if (strstr(e->d_name, ".jpg") && n++ % every == 0) {
			_cleanup_pic_ struct pic page = load(dirfd, e->d_name);

			fn(e->d_name, &page);
		}
	closedir(d);
	CHECK(n >= 14);
}

/* ---- worse pages --------------------------------------------------------------------------------- */
/* The mean of 2r + 1 pixels, along rows or columns. */
static void box(struct pic *p, uint32_t r, bool along_rows)
{
	uint32_t n = along_rows ? p->w : p->h, lines = along_rows ? p->h : p->w;
	size_t step = along_rows ? 1 : p->w, next = along_rows ? p->w : 1;
	_cleanup_free_ uint8_t *line = malloc(n);

	CHECK(line && n > 2 * r);
	for (uint32_t k = 0; k < lines; k++) {
		uint8_t *at = p->px + k * next;
		unsigned int sum = 0;

		for (uint32_t i = 0; i < n; i++)
			line[i] = at[i * step];
		for (uint32_t i = 0; i < 2 * r + 1; i++)
			sum += line[i];
		for (uint32_t i = r; i + r < n; i++) {
			at[i * step] = (uint8_t)(sum / (2 * r + 1));
			if (i + r + 1 < n)
				sum += line[i + r + 1] - line[i - r];
		}
	}
}

/* Nearly a Gaussian: of 1.4 pixels at r = 1, 2.4 at 2, 4.5 at 4. */
static struct pic blurred(const struct pic *p, uint32_t r)
{
	struct pic c = copy(p);

	for (int i = 0; i < 3; i++) {
		box(&c, r, true);
		box(&c, r, false);
	}
	return c;
}

static struct pic moved(const struct pic *p, bool along_rows)
{
	struct pic c = copy(p);

	box(&c, 5, along_rows);
	return c;
}

/* Less light, as a camera exposes a page; and a lamp's reflection of that many widths, in its place. */
static struct pic lit(const struct pic *p, double lamp, double x, double y, double width)
{
	struct pic c = copy(p);

	for (uint32_t j = 0; j < p->h; j++)
		for (uint32_t i = 0; i < p->w; i++) {
			double dx = (i - x * p->w) / (width * p->w), dy = (j - y * p->h) / (width * p->w);

			*pic_at(&c, i, j) = clip(*pic_at(p, i, j) * 0.82 + lamp * exp(-dx * dx - dy * dy));
		}
	return c;
}

/* The page's back on another sheet: mirrored, diffuse, faint, with noise. */
static struct pic through(const struct pic *p, uint8_t paper, double strength, uint32_t soft, unsigned int noise)
{
	_cleanup_pic_ struct pic b = blurred(p, soft);
	struct pic c = pic_new(p->w, p->h, 1);
	uint32_t seed = 7;

	for (uint32_t j = 0; j < p->h; j++)
		for (uint32_t i = 0; i < p->w; i++) {
			double n = 0;

			for (int k = 0; k < 3; k++) {
				seed = seed * 1664525 + 1013904223;
				n += (seed >> 8) % (2 * noise + 1) - (double)noise;
			}
			*pic_at(&c, i, j) = clip(paper - strength * (255 - *pic_at(&b, p->w - 1 - i, j)) + n);
		}
	return c;
}

/* ---- how often it is wrong ----------------------------------------------------------------------- */
static void good_page(const char *name, const struct pic *page)
{
	struct sense_result r = sense_of(page);

	CHECK(r.judged);
	if (r.verdict != SENSE_GOOD || r.blank)
		test_fail(__FILE__, __LINE__, "%s is %s%s", name, sense_verdict_name(r.verdict), r.blank ? ", blank" : "");
}

TEST(good_pages_raise_no_alarm)
{
	each_sample(good_page);
}

static void want(const char *name, const char *how, struct pic *page, enum sense_verdict verdict)
{
	struct sense_result r = sense_of(page);

	pic_free(page);
	if (r.verdict != verdict)
		test_fail(__FILE__, __LINE__, "%s, %s, is %s and not %s (sharpness %.3f, glare %.4f)", name, how,
			sense_verdict_name(r.verdict), sense_verdict_name(verdict), r.sharpness, r.glare);
}
#define WANT(how, page, verdict) want(name, how, &(struct pic[]){page}[0], verdict)

static void blurred_page(const char *name, const struct pic *page)
{
	WANT("by 4.5 pixels", blurred(page, 4), SENSE_BLURRED);
	WANT("by 2.4 pixels", blurred(page, 2), SENSE_BLURRED);
	WANT("moved across", moved(page, true), SENSE_BLURRED);
	WANT("moved down", moved(page, false), SENSE_BLURRED);
}

TEST(blurred_pages_are_found)
{
	each_sample(blurred_page);
}

static void soft_page(const char *name, const struct pic *page)
{
	struct pic c = copy(page);

	box(&c, 1, true);
	box(&c, 1, false);
	want(name, "by 0.8 pixels", &c, SENSE_GOOD);
}

TEST(soft_pages_that_can_be_read_are_not_blurred)
{
	each_sample(soft_page);
}

static void glaring_page(const char *name, const struct pic *page)
{
	WANT("a lamp in the middle", lit(page, 400, .5, .3, .08), SENSE_GLARE);
	WANT("a small lamp", lit(page, 400, .4, .6, .04), SENSE_GLARE);
	WANT("a wide lamp", lit(page, 300, .6, .2, .15), SENSE_GLARE);
	WANT("no lamp", lit(page, 0, .5, .5, .1), SENSE_GOOD);
}

TEST(glare_is_found)
{
	each_sample(glaring_page);
}

static unsigned int not_blank;

static void shone_through_page(const char *name, const struct pic *page)
{
	static const struct {
		uint8_t paper;
		double strength;
		uint32_t soft;
		unsigned int noise;
	} kinds[] = {{250, .06, 2, 1}, {240, .1, 2, 3}, {235, .15, 2, 1}, {250, .12, 4, 4}, {225, .1, 2, 2}};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		_cleanup_pic_ struct pic c =
			through(page, kinds[i].paper, kinds[i].strength, kinds[i].soft, kinds[i].noise);
		struct sense_result r = sense_of(&c);

		not_blank += !r.blank;
	}
}

TEST(what_shines_through_leaves_a_page_blank)
{
	not_blank = 0;
	each_sample(shone_through_page);
	CHECK(not_blank <= 7); /* of 70, where 15 % of bold writing shines through */
}

/* ---- drawn pages --------------------------------------------------------------------------------- */
static struct pic paper(uint8_t level, unsigned int noise)
{
	struct pic p = pic_new(1448, 2048, 1);
	uint32_t seed = 3;

	for (size_t i = 0; i < (size_t)p.w * p.h; i++) {
		seed = seed * 1664525 + 1013904223;
		p.px[i] = clip(level - (double)(i % p.w) * 8 / p.w + (seed >> 8) % (2 * noise + 1) - (double)noise);
	}
	return p;
}

/* Strokes: a rectangle's outline of `thick` pixels. */
static void outline(struct pic *p, uint32_t x, uint32_t y, uint32_t w, uint32_t h, uint32_t thick, double by)
{
	for (uint32_t j = y; j < MIN(y + h, p->h); j++)
		for (uint32_t i = x; i < MIN(x + w, p->w); i++)
			if (i < x + thick || i >= x + w - thick || j < y + thick || j >= y + h - thick)
				*pic_at(p, i, j) = clip(*pic_at(p, i, j) - by);
}

/* Lines of strokes like writing. */
static void write_lines(struct pic *p, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
	for (uint32_t j = y; j + 16 < y + h; j += 40)
		for (uint32_t i = x; i + 10 < x + w; i += 14)
			outline(p, i, j, 9, 16, 3, 200);
}

static bool is_blank(struct pic p)
{
	struct sense_result r = sense_of(&p);

	pic_free(&p);
	CHECK_INT(r.verdict, SENSE_GOOD);
	return r.blank;
}

TEST(blank_is_what_bears_no_mark)
{
	for (unsigned int level = 200; level <= 250; level += 10) {
		struct pic p = paper((uint8_t)level, 3);

		CHECK(is_blank(copy(&p)));
		outline(&p, 700, 700, 3, 3, 3, 120); /* a speck of dust */
		CHECK(is_blank(copy(&p)));
		outline(&p, 720, 1950, 14, 20, 3, 150); /* a page's number */
		CHECK(!is_blank(p));
	}
}

TEST(a_faint_stamp_and_a_signature_are_marks)
{
	static const double faint[] = {35, 50, 90, 180};

	for (size_t i = 0; i < ARRAY_SIZE(faint); i++) {
		struct pic p = paper(240, 2);

		outline(&p, 900, 300, 300, 120, 4, faint[i]);
		CHECK(!is_blank(p));
	}
}

/* Of a colour that is as light as the paper. */
TEST(a_stamp_of_light_colour_is_a_mark)
{
	_cleanup_pic_ struct pic p = paper(240, 2);
	uint8_t chroma[724];
	struct sense_result r = {.asked = all};
	struct sense *s;

	CHECK_INT(sense_new(&all, p.w, p.h, 3, &s), 0);
	for (uint32_t y = 0; y < p.h; y++) {
		sense_row(s, 0, pic_at(&p, 0, y));
		memset(chroma, 128, sizeof(chroma));
		if (y % 2 == 0)
			sense_row(s, 1, chroma);
		if (y > 600 && y < 640)
			memset(chroma + 300, 152, 60);
		if (y % 2 == 0)
			sense_row(s, 2, chroma);
	}
	sense_judge(s, &r);
	sense_free(s);
	CHECK(!r.blank);
	CHECK(r.marks > 0);
}

TEST(a_blank_sheet_on_a_dark_desk_is_blank)
{
	struct pic p = paper(240, 2), desk = pic_new(1448, 2048, 1);

	for (uint32_t y = 0; y < desk.h; y++)
		for (uint32_t x = 0; x < desk.w; x++)
			*pic_at(&desk, x, y) = x > 150 && x < 1300 && y > 200 && y < 1850
						       ? *pic_at(&p, x, y)
						       : (uint8_t)(60 + (x * 7 + y * 3) % 23);
	pic_free(&p);
	CHECK(is_blank(desk));
}

TEST(an_empty_frame_is_nothing)
{
	static const uint8_t levels[] = {0, 5, 60, 100};

	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		_cleanup_pic_ struct pic p = paper(levels[i], 3);
		struct sense_result r = sense_of(&p);

		CHECK_STR(sense_verdict_name(r.verdict), "nothing");
		CHECK(!r.blank);
	}
}

/* Lines run off one side; which one that is says the upright page, however it is stored. */
TEST(writing_that_runs_off_a_side_is_cut_off)
{
	static const struct {
		uint32_t x, y, w, h;
		unsigned int side;
	} writing[] = {
		{150, 0, 1100, 1800, SENSE_TOP},
		{302, 200, 1160, 1600, SENSE_RIGHT},
		{150, 310, 1100, 1748, SENSE_BOTTOM},
		{0, 200, 1200, 1600, SENSE_LEFT},
		{150, 200, 1100, 1600, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(writing); i++) {
		_cleanup_pic_ struct pic p = paper(245, 2);
		struct sense_result r = {.asked = all};

		/* From a row or column in the midst of a stroke on. */
		write_lines(&p, writing[i].x, writing[i].y, writing[i].w, writing[i].h);
		r = sense_of(&p);
		CHECK_INT(r.cut_off, writing[i].side);
		CHECK_INT(r.verdict, writing[i].side ? SENSE_CUT_OFF : SENSE_GOOD);
	}
}

static unsigned int side_of(unsigned int orientation)
{
	_cleanup_pic_ struct pic p = paper(245, 2);
	_cleanup_mem_ struct mem_emit m = MEM_EMIT;
	_cleanup_buf_ struct buf jpeg = {};
	struct convert_options o = CONVERT_OPTIONS_DEFAULT;

	o.sense = all;
	write_lines(&p, 150, 0, 1100, 1800);
	make_jpeg(&p, (struct jpeg_make){.orientation = orientation}, &jpeg);
	CHECK_INT(convert_bytes(jpeg.data, jpeg.len, &o, &m), 0);
	CHECK_INT(m.pages, 1);
	return m.info.sense.cut_off;
}

TEST(sides_are_those_of_the_upright_page)
{
	/* The stored top is, upright: EXIF 2.32, 4.6.4. */
	CHECK_INT(side_of(1), SENSE_TOP);
	CHECK_INT(side_of(2), SENSE_TOP);
	CHECK_INT(side_of(3), SENSE_BOTTOM);
	CHECK_INT(side_of(4), SENSE_BOTTOM);
	CHECK_INT(side_of(5), SENSE_LEFT);
	CHECK_INT(side_of(6), SENSE_RIGHT);
	CHECK_INT(side_of(7), SENSE_RIGHT);
	CHECK_INT(side_of(8), SENSE_LEFT);
}

/* ---- sizes and switches -------------------------------------------------------------------------- */
TEST(any_size_is_taken)
{
	static const uint32_t sides[] = {1, 2, 3, 63, 64, 65, 255, 256, 257, 300, 511, 2047};

	for (size_t i = 0; i < ARRAY_SIZE(sides); i++)
		for (size_t k = 0; k < ARRAY_SIZE(sides); k++) {
			_cleanup_pic_ struct pic p = pic_page(sides[i], sides[k], 1);
			struct sense_result r = sense_of(&p);

			CHECK_INT(r.judged, sides[i] >= SENSE_SIDE_MIN && sides[k] >= SENSE_SIDE_MIN);
		}
}

TEST(words_for_switches)
{
	static const char *const bad[] = {"", "gate,", ",gate", "Gate", "gate, blank", "all", "none,gate"};
	struct sense_options o = {};

	CHECK_INT(sense_parse("gate,blank", &o), 0);
	CHECK(o.gate && o.blank);
	CHECK_INT(sense_parse("blank", &o), 0);
	CHECK(!o.gate && o.blank);
	CHECK_INT(sense_parse("none", &o), 0);
	CHECK(!sense_asked(&o));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_INT(sense_parse(bad[i], &o), -EINVAL);
}

static void check_json(const struct sense_result *r, const char *text)
{
	_cleanup_json_ cJSON *j = NULL;
	_cleanup_buf_ struct buf b = {};

	CHECK_INT(sense_json(r, &j), 0);
	CHECK_INT(json_print(j, false, &b), 0);
	CHECK_STR(buf_str(&b), text);
}

TEST(the_record_says_what_was_found)
{
	struct sense_result r = {.judged = true,
		.asked = all,
		.verdict = SENSE_CUT_OFF,
		.paper = 236,
		.text = 0.1204,
		.sharpness = 0.8,
		.cut_off = SENSE_TOP | SENSE_LEFT,
		.marks = 12};

	check_json(&r, "{\"gate\":{\"verdict\":\"cut-off\",\"paper\":236,\"text\":120,\"sharpness\":800,\"glare\":0,"
		       "\"cut_off\":[\"top\",\"left\"]},\"blank\":{\"blank\":false,\"marks\":12}}");
	r.asked.gate = false;
	check_json(&r, "{\"blank\":{\"blank\":false,\"marks\":12}}");
	check_json(&(struct sense_result){.asked = all}, "{\"gate\":{\"verdict\":\"unjudged\"}}");
}

/* A page does not change by being looked at, and nothing is said unasked. */
TEST(the_page_is_the_same_with_page_sense_and_without)
{
	_cleanup_pic_ struct pic p = pic_page(900, 1200, 3);
	struct convert_options o = CONVERT_OPTIONS_DEFAULT;

	for (unsigned int orientation = 1; orientation <= 8; orientation++) {
		_cleanup_mem_ struct mem_emit off = MEM_EMIT, on = MEM_EMIT;
		_cleanup_buf_ struct buf jpeg = {};

		make_jpeg(&p, (struct jpeg_make){.orientation = orientation}, &jpeg);
		o.sense = (struct sense_options){};
		CHECK_INT(convert_bytes(jpeg.data, jpeg.len, &o, &off), 0);
		CHECK(!off.info.sense.judged && !sense_asked(&off.info.sense.asked));
		o.sense = all;
		CHECK_INT(convert_bytes(jpeg.data, jpeg.len, &o, &on), 0);
		CHECK(on.info.sense.judged);
		CHECK(on.jpeg.len == off.jpeg.len && memcmp(on.jpeg.data, off.jpeg.data, on.jpeg.len) == 0);
	}
}
