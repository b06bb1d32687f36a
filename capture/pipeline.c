#include "capture/pipeline.h"

#include "capture/jpegenc.h"
#include "capture/scale.h"
#include "capture/thumb.h"
#include "capture/square.h"
#include "capture/warp.h"
#include "capture/watch.h"

#include <math.h>

#define EDGE       1e-6 /* pixels: less than this of one is none of it */
#define STRIP_ROWS 16 /* rows of a turned page given to the encoder at a time */

struct pipeline {
	const struct convert_options *options;
	struct convert_plan plan;
	struct image *im; /* borrowed */
	struct hold hold; /* the whole page, when it is to be squared */
	struct square_plan square;
	struct scaler *scaler[IMAGE_PLANES];
	struct orient_store store[IMAGE_PLANES]; /* when the order of rows changes */
	uint8_t *mirrored;                       /* one row, when only left and right change */
	struct jpegenc *enc;
	struct sense *sense; /* NULL: switched off */
	struct thumb *thumb; /* the same */
	struct flatten *flatten; /* the result held whole, when its light is to be evened */
	struct emit *emit;   /* borrowed */
	struct page_info *info;
	bool announced;
	int64_t started_us, cpu_us;
};

/* ---- the plan ------------------------------------------------------------------------------------ */
static uint32_t scaled(uint32_t side, uint32_t longest, uint32_t max_side)
{
	uint64_t v = ((uint64_t)side * max_side + longest / 2) / longest;

	return v ? (uint32_t)v : 1;
}

/* The smallest of libjpeg's fast sizes that leaves twice what we need, which costs nothing that can be measured. 1.7
 * times loses half a decibel for a tenth of the instructions; sizes of 5/8 to 7/8 are slower than the whole. */
static unsigned int choose_eighths(uint32_t longest, uint32_t max_side)
{
	for (unsigned int n = 1; n < 8; n *= 2)
		if ((uint64_t)longest * n >= (uint64_t)max_side * 8 * 2)
			return n;
	return 8;
}

/* The least rectangle of the upright page, `w` by `h`, that has all of what was seen; empty where that is elsewhere. */
static struct orient_rect crop_here(const struct convert_options *o, uint32_t w, uint32_t h)
{
	const struct orient_rect *c = &o->crop;
	const struct point whole[4] = {{0, 0}, {w, 0}, {w, h}, {0, h}};
	struct homography to;
	double x0 = w, y0 = h, x1 = 0, y1 = 0;

	if (!o->crop_of.width)
		return *c;
	to = homography_to(o->crop_of.width, o->crop_of.height, o->crop_of.has_corners ? o->crop_of.corner : whole);
	for (int i = 0; i < 4; i++) {
		struct point p = homography_at(&to, c->x + (i & 1 ? c->width : 0), c->y + (i & 2 ? c->height : 0));

		x0 = MIN(x0, MAX(p.x, 0.0));
		y0 = MIN(y0, MAX(p.y, 0.0));
		x1 = MAX(x1, MIN(p.x, (double)w));
		y1 = MAX(y1, MIN(p.y, (double)h));
	}
	if (!(x0 < x1 && y0 < y1))
		return (struct orient_rect){};
	/* Rounding must not take a row more. */
	x0 = floor(x0 + EDGE);
	y0 = floor(y0 + EDGE);
	return (struct orient_rect){(uint32_t)x0, (uint32_t)y0, (uint32_t)(ceil(x1 - EDGE) - x0), (uint32_t)(ceil(y1 - EDGE) - y0)};
}

int convert_plan(
	const struct image *im, const struct convert_options *o, struct convert_plan *ret, struct reject *why)
{
	struct convert_plan p = {
		.orient = orient_turned(orient_of(im->orientation), o->rotate), .crop = {0, 0, im->width, im->height}, .eighths = 8};
	uint32_t upright_w = p.orient.transpose ? im->height : im->width;
	uint32_t upright_h = p.orient.transpose ? im->width : im->height, longest;

	if (o->has_crop) {
		const struct orient_rect here = crop_here(o, upright_w, upright_h), *c = &here;

		if (!c->width || !c->height || c->x >= upright_w || c->y >= upright_h ||
			c->width > upright_w - c->x || c->height > upright_h - c->y)
			return reject_set(why, REJECT_UNSUPPORTED,
				"the crop %u,%u,%u,%u lies outside the page of %ux%u pixels", c->x, c->y,
				c->width, c->height, upright_w, upright_h);
		p.crop = orient_to_stored(&p.orient, im->width, im->height, c);
	}
	longest = MAX(p.crop.width, p.crop.height);
	p.width = p.crop.width;
	p.height = p.crop.height;
	if (longest > o->max_side) {
		p.width = scaled(p.crop.width, longest, o->max_side);
		p.height = scaled(p.crop.height, longest, o->max_side);
		p.eighths = choose_eighths(longest, o->max_side);
	}
	p.out_width = p.orient.transpose ? p.height : p.width;
	p.out_height = p.orient.transpose ? p.width : p.height;
	*ret = p;
	return 0;
}

/*
 * One axis of a plane. `per` is source pixels for one pixel of the result, `samples` the plane's samples for
 * one source pixel. A chroma sample of the result lies amid two pixels, counted from the upright page's edge:
 * when the axis is mirrored and its length odd, that is one pixel off.
 */
static struct scale_axis plan_axis(bool chroma, uint32_t in, uint32_t out, uint32_t crop_at,
	uint32_t crop_len, double samples, bool mirrored)
{
	double per = (double)crop_len / out;
	double shift = chroma && mirrored && out % 2 ? per : 0;

	return (struct scale_axis){
		.in = in,
		.out = chroma ? (out + 1) / 2 : out,
		.origin = (crop_at - shift) * samples,
		.step = (chroma ? 2 : 1) * per * samples,
	};
}

/* ---- rows through the stages --------------------------------------------------------------------- */
static int on_piece(void *ud, const void *data, size_t len)
{
	struct pipeline *p = ud;

	if (!p->announced) {
		int r = p->emit->ops->page(p->emit, p->info);

		if (r < 0)
			return r;
		p->announced = true;
	}
	return p->emit->ops->data(p->emit, data, len);
}

static int to_encoder(void *ud, unsigned int plane, const uint8_t *row)
{
	struct pipeline *p = ud;

	return jpegenc_row(p->enc, plane, row);
}

/* A row of the upright result. */
static int on_result(void *ud, unsigned int plane, const uint8_t *row)
{
	struct pipeline *p = ud;

	if (p->sense)
		sense_row(p->sense, plane, row);
	if (p->thumb)
		thumb_row(p->thumb, plane, row);
	if (!p->flatten)
		return to_encoder(p, plane, row);
	flatten_row(p->flatten, plane, row);
	return 0;
}

static int on_scaled_row(void *ud, unsigned int plane, const uint8_t *row)
{
	struct pipeline *p = ud;

	if (!orient_keeps_rows(&p->plan.orient)) {
		orient_store_add(&p->store[plane], row);
		return 0;
	}
	if (p->plan.orient.mirror_x) {
		orient_mirror_row(p->mirrored, row, plane ? (p->plan.width + 1) / 2 : p->plan.width);
		row = p->mirrored;
	}
	return on_result(p, plane, row);
}

static bool squares(const struct pipeline *p)
{
	return p->options->square && !p->options->has_crop;
}

static int push_band(struct pipeline *p, const struct image_band *band)
{
	for (unsigned int i = 0; i < p->im->n_planes; i++)
		for (unsigned int y = 0; y < band->n[i]; y++) {
			const uint8_t *row = band->rows[i][y];
			int r = squares(p) ? hold_push(&p->hold, i, row) : scaler_push(p->scaler[i], row);

			if (r < 0)
				return r;
		}
	return 0;
}

static int decode_all(struct pipeline *p, struct reject *why)
{
	for (;;) {
		struct image_band band;
		int64_t t0 = watch_us(), t1;
		int r = p->im->ops->next(p->im, &band, why);

		t1 = watch_us();
		p->info->us.decode += t1 - t0;
		if (r <= 0)
			return r;
		r = push_band(p, &band);
		p->info->us.scale += watch_us() - t1;
		if (r < 0)
			return r;
	}
}

static int encode_turned(struct pipeline *p)
{
	for (uint32_t y = 0; y < p->plan.out_height; y += STRIP_ROWS)
		for (unsigned int i = 0; i < p->im->n_planes; i++) {
			unsigned int half = i ? 2 : 1;
			int r = orient_store_give(
				&p->store[i], &p->plan.orient, y / half, STRIP_ROWS / half, on_result, p, i);

			if (r < 0)
				return r;
		}
	return 0;
}

/* ---- setting up ---------------------------------------------------------------------------------- */
static int setup_plane(struct pipeline *p, unsigned int i)
{
	const struct convert_plan *plan = &p->plan;
	const struct image_plane *in = squares(p) ? &p->hold.held[i].plane : &p->im->plane[i];
	struct scale_axis x = plan_axis(
		i > 0, in->width, plan->width, plan->crop.x, plan->crop.width, in->sx, plan->orient.mirror_x);
	struct scale_axis y = plan_axis(i > 0, in->height, plan->height, plan->crop.y, plan->crop.height,
		in->sy, plan->orient.mirror_y);
	int r = scaler_new(&x, &y, on_scaled_row, p, i, &p->scaler[i]);

	if (r >= 0 && !orient_keeps_rows(&plan->orient))
		r = orient_store_init(&p->store[i], x.out, y.out);
	return r;
}

static int setup_sense(struct pipeline *p)
{
	const struct sense_options *o = &p->options->sense;
	uint32_t w = p->plan.out_width, h = p->plan.out_height;
	int r = 0;

	p->info->sense.asked = *o;
	if (o->gate || o->blank)
		r = sense_new(o, w, h, p->im->n_planes, &p->sense);
	if (r >= 0 && (o->hash || o->thumbnail))
		r = thumb_new(w, h, p->im->n_planes, &p->thumb);
	return r;
}

/* For the frame as a whole: its planes come from the decoder, or are held. */
static int setup(struct pipeline *p)
{
	struct jpegenc_options o = {.width = p->plan.out_width,
		.height = p->plan.out_height,
		.quality = p->options->quality,
		.sink = on_piece,
		.ud = p};
	int r = 0;

	p->mirrored = malloc(p->plan.width + 1);
	if (!p->mirrored)
		return -ENOMEM;
	for (unsigned int i = 0; i < p->im->n_planes && p->square.done == SQUARE_NOTHING; i++) {
		r = setup_plane(p, i);
		if (r < 0)
			return r;
	}
	r = setup_sense(p);
	if (r < 0)
		return r;
	if (p->options->flatten.flatten || p->options->flatten.contrast) {
		r = flatten_new(&p->options->flatten, p->plan.out_width, p->plan.out_height, p->im->n_planes, &p->flatten);
		if (r < 0)
			return r;
	}
	o.n_planes = p->im->n_planes;
	return jpegenc_new(&o, &p->enc);
}

static void describe(struct pipeline *p)
{
	struct page_info *info = p->info;
	bool turned = p->plan.orient.transpose;
	bool whole = p->im->plane[0].width == p->im->width && p->im->plane[0].height == p->im->height;

	info->width = p->plan.out_width;
	info->height = p->plan.out_height;
	info->source_width = turned ? p->im->height : p->im->width;
	info->source_height = turned ? p->im->width : p->im->height;
	info->format = p->im->ops->format;
	info->orientation = p->im->orientation;
	info->eighths = whole ? 8 : p->plan.eighths; /* not every decoder reduces */
	info->quality = p->options->quality;
	info->cropped = p->options->has_crop;
	info->grey = p->im->n_planes == 1;
	info->rotate = p->options->rotate * 90;
	info->square = squares(p) ? &p->square : NULL;
	info->flatten_asked = p->options->flatten;
}

static void pipeline_free(struct pipeline *p)
{
	for (unsigned int i = 0; i < IMAGE_PLANES; i++) {
		scaler_free(p->scaler[i]);
		orient_store_free(&p->store[i]);
	}
	jpegenc_free(p->enc);
	hold_free(&p->hold);
	sense_free(p->sense);
	thumb_free(p->thumb);
	flatten_free(p->flatten);
	free(p->mirrored);
}

/* It goes beside a page that is safe by then. */
static int give_thumbnail(struct pipeline *p)
{
	_cleanup_buf_ struct buf jpeg = BUF_MAX(JPEGENC_PIECE);
	int r;

	if (!p->emit->ops->beside)
		return 0;
	r = thumb_jpeg(p->thumb, &jpeg);
	if (r >= 0)
		r = p->emit->ops->beside(p->emit, BESIDE_THUMBNAIL, jpeg.data, jpeg.len);
	if (r >= 0)
		r = p->emit->ops->beside_end(p->emit, BESIDE_THUMBNAIL);
	/* Too large, or no memory for it: that is no fault of the page's. */
	return r == -EMSGSIZE || r == -ENOMEM ? 0 : r;
}

static int finish(struct pipeline *p)
{
	struct page_info *info = p->info;
	int64_t from = watch_us();
	int r = 0;

	if (p->square.done != SQUARE_NOTHING) {
		r = square_give(&p->hold, &p->square, on_result, p);
	} else {
		for (unsigned int i = 0; i < p->im->n_planes && r >= 0; i++)
			r = scaler_done(p->scaler[i]) ? 0 : -EPROTO;
		if (r >= 0 && !orient_keeps_rows(&p->plan.orient))
			r = encode_turned(p);
	}
	if (r >= 0 && p->flatten)
		r = flatten_give(p->flatten, to_encoder, p, &info->flatten);
	if (r >= 0)
		r = jpegenc_finish(p->enc);
	if (r < 0)
		return r;
	if (p->sense)
		sense_judge(p->sense, &info->sense);
	if (p->thumb && p->options->sense.hash)
		info->sense.hashed = thumb_hash(p->thumb, &info->sense.hash);
	info->us.encode = jpegenc_us(p->enc);
	/* What was encoded while rows were being pushed, or turned, is not scaling. */
	info->us.scale += (watch_us() - from) - info->us.encode;
	info->us.scale = MAX(info->us.scale, 0);
	info->us.total += watch_us() - p->started_us;
	info->us.cpu = watch_cpu_us() - p->cpu_us;
	r = p->emit->ops->page_end(p->emit, info);
	return r < 0 || !p->options->sense.thumbnail ? r : give_thumbnail(p);
}

/* With the whole page held: how it is to lie, and if as it does, on as without. */
static int square_up(struct pipeline *p)
{
	int64_t from = watch_us();
	int r = square_decide(&p->hold, p->im->width, p->im->height, &p->plan.orient, p->options->max_side, &p->square);

	if (r >= 0 && p->square.done != SQUARE_NOTHING) {
		p->plan.out_width = p->info->width = p->square.width;
		p->plan.out_height = p->info->height = p->square.height;
	}
	if (r >= 0)
		r = setup(p);
	for (unsigned int i = 0; i < p->im->n_planes && r >= 0 && p->square.done == SQUARE_NOTHING; i++)
		r = hold_give(&p->hold, i, p->scaler[i]);
	p->info->us.scale += watch_us() - from;
	return r;
}

int page_convert(struct image *im, const struct convert_options *o, struct page_info *info, struct emit *e,
	struct reject *why)
{
	_cleanup_(pipeline_free) struct pipeline p = {.options = o,
		.im = im,
		.emit = e,
		.info = info,
		.started_us = watch_us(),
		.cpu_us = watch_cpu_us()};
	int r = convert_plan(im, o, &p.plan, why);

	if (r < 0)
		return r;
	if (!squares(&p)) /* what is cut out of the frame may be smaller, and is looked for at full size */
		im->shrink = (double)MAX(p.plan.crop.width, p.plan.crop.height) / MAX(p.plan.width, p.plan.height);
	r = im->ops->start(im, p.plan.eighths, why);
	if (r >= 0)
		r = squares(&p) ? hold_init(&p.hold, im, HOLD_MAX) : setup(&p);
	if (r < 0)
		return r;
	describe(&p);
	r = decode_all(&p, why);
	if (r >= 0 && squares(&p))
		r = square_up(&p);
	if (r < 0)
		return r;
	return finish(&p);
}
