/*
 * Any bytes as a page, decoded, scaled, laid straight, evened out, looked at and encoded, into nothing. What begins with the
 * name of a raw frame and a new line (page-8x6.nv12) is one. The last bytes say what is asked for: crop, switches, turns
 * and quality, size.
 */
#include <math.h>

#include "capture/look.h"
#include "capture/rawname.h"
#include "capture/record.h"
#include "capture/run.h"
#include "capture/square.h"

#define TAIL 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The record must be one that can be made, and squaring without corners is none. */
static int nothing_page(struct emit *e, const struct page_info *p)
{
	_cleanup_json_ cJSON *done = NULL, *found = NULL;

	for (int i = 0; i < 4 && p->square && p->square->done != SQUARE_NOTHING; i++)
		if (!isfinite(p->square->corner[i].x) || !isfinite(p->square->corner[i].y))
			abort();
	if (record_done(p, &done) < 0 || sense_json(&p->sense, &found) < 0)
		abort();
	return 0;
}

static int nothing_data(struct emit *e, const void *data, size_t len)
{
	return 0;
}

static int nothing_beside(struct emit *e, enum beside what, const void *data, size_t len)
{
	return 0;
}

static int nothing_beside_end(struct emit *e, enum beside what)
{
	return 0;
}

static int nothing_reject(struct emit *e, unsigned int index, const char *name, const struct reject *why)
{
	return 0;
}

static int nothing_end(struct emit *e, bool ok, const char *reason, const char *message)
{
	return 0;
}

static const struct emit_ops nothing = {.page = nothing_page,
	.data = nothing_data,
	.page_end = nothing_page,
	.beside = nothing_beside,
	.beside_end = nothing_beside_end,
	.reject = nothing_reject,
	.end = nothing_end};

static void choose(struct convert_options *o, const uint8_t *tail)
{
	uint8_t on = tail[4];

	o->square = on & 1;
	o->flatten = (struct flatten_options){.flatten = on & 2, .contrast = on & 4};
	o->sense = (struct sense_options){.gate = on & 8, .blank = on & 8, .hash = on & 16, .thumbnail = on & 16};
	o->original = on & 32;
	o->has_crop = on & 64;
	o->crop = (struct orient_rect){tail[0], tail[1], tail[2], tail[3]};
	o->rotate = tail[5] % 4;
	o->quality = 1 + tail[6] % 100;
	o->max_side = MAX_SIDE_MIN + 2 * tail[7];
}

static void raw_page(const char *name, const uint8_t *data, size_t size, const struct convert_options *o, struct emit *e)
{
	struct page_info info = {.index = 1, .name = name};
	struct raw_frame f;
	struct reject why = {};
	struct image *im = NULL;
	struct glance look;

	if (rawname_parse(name, &f, &why) < 0 ||
		raw_frame_lay_out(&f, data, size, raw_format_row(f.format, f.width), &why) < 0)
		return;
	look_at_raw(&f, &look, &why);
	if (rawframe_open(&f, &o->limits, &im, &why) >= 0)
		page_convert(im, o, &info, e, &why);
	image_close(im);
}

static bool is_raw(const uint8_t *data, size_t size, char name[64])
{
	const uint8_t *end = size ? memchr(data, '\n', MIN(size, (size_t)63)) : NULL;

	if (!end)
		return false;
	memcpy(name, data, (size_t)(end - data));
	name[end - data] = 0;
	return rawname_is_raw(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct convert_options o = CONVERT_OPTIONS_DEFAULT;
	uint8_t tail[TAIL] = {};
	struct emit e = {&nothing};
	struct run_counts counts;
	struct reject why = {};
	struct glance look;
	struct input in;
	char name[64];

	for (size_t i = 0; i < MIN(size, sizeof(tail)); i++)
		tail[TAIL - 1 - i] = data[size - 1 - i];
	choose(&o, tail);
	o.limits = (struct image_limits){.max_pixels = 2000000, .max_memory = 8 << 20};
	if (is_raw(data, size, name)) {
		raw_page(name, data + strlen(name) + 1, size - strlen(name) - 1, &o, &e);
		return 0;
	}
	input_from_memory(&in, data, size);
	run_input(&in, "fuzz", &o, &e, &counts);
	if (tail[4] & 128) {
		input_from_memory(&in, data, size);
		look_at_encoded(&in, &o.limits, &look, &why);
	}
	return 0;
}
