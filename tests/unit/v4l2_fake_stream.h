/* Of v4l2_fake.h: buffers and what comes in them. */
#pragma once

#include "tests/unit/v4l2_fake_device.h"

/* ---- buffers ------------------------------------------------------------------------------------- */
static inline int fake_request(struct fake *f, struct v4l2_requestbuffers *q)
{
	CHECK(f->format_set && !f->streaming);
	CHECK_INT(q->type, fake_type(f));
	CHECK_INT(q->memory, V4L2_MEMORY_MMAP);
	q->count = f->buffers ? f->buffers : MIN(q->count, (unsigned int)FAKE_BUFFERS);
	f->count = q->count;
	return 0;
}

static inline void fake_check_buffer(struct fake *f, const struct v4l2_buffer *b)
{
	CHECK_INT(b->type, fake_type(f));
	CHECK_INT(b->memory, V4L2_MEMORY_MMAP);
	CHECK(b->index < f->count);
	if (f->mplane)
		CHECK(b->m.planes && b->length >= f->n_planes && b->length <= VIDEO_MAX_PLANES);
}

static inline int fake_query_buffer(struct fake *f, struct v4l2_buffer *b)
{
	fake_check_buffer(f, b);
	if (!f->mplane) {
		b->length = f->plane_sizes[0];
		b->m.offset = b->index * 3 * 4096;
		return 0;
	}
	b->length = f->n_planes;
	for (unsigned int p = 0; p < f->n_planes; p++) {
		b->m.planes[p].length = f->plane_sizes[p];
		b->m.planes[p].m.mem_offset = (b->index * 3 + p) * 4096;
	}
	return 0;
}

static inline int fake_queue(struct fake *f, struct v4l2_buffer *b)
{
	fake_check_buffer(f, b);
	CHECK(!f->queued[b->index]);
	CHECK(f->memory[b->index][0]);
	f->queued[b->index] = true;
	f->out[b->index] = false;
	f->order[f->n_order++] = b->index;
	return 0;
}

/* The picture: a level of luma, with lines in it for sharpness. Chroma is neutral. */
static inline void fake_fill(struct fake *f, unsigned int index, unsigned int luma, unsigned int contrast)
{
	uint32_t fourcc = f->mplane ? f->format.fmt.pix_mp.pixelformat : f->format.fmt.pix.pixelformat;
	uint32_t width = f->format.fmt.pix.width, height = f->format.fmt.pix.height;
	uint32_t stride = f->mplane ? f->format.fmt.pix_mp.plane_fmt[0].bytesperline : f->format.fmt.pix.bytesperline;
	const char *layout = fake_layout(fourcc);
	unsigned int step = streq(layout, "rgb3") ? 3 : streq(layout, "yuyv") || streq(layout, "uyvy") ? 2 : 1;
	unsigned int at = streq(layout, "uyvy");

	for (unsigned int p = 0; p < f->n_planes; p++)
		memset(f->memory[index][p], 128, f->plane_sizes[p]);
	for (uint32_t y = 0; y < height; y++)
		for (uint32_t x = 0; x < width; x++) {
			uint8_t v = (uint8_t)MIN(luma + (x % 8 < 4 ? contrast : 0), 255U);
			uint8_t *to = f->memory[index][0] + (size_t)y * stride + x * step + at;

			for (unsigned int c = 0; c < (step == 3 ? 3U : 1U); c++)
				to[c] = v;
		}
}

static inline uint32_t fake_used(const struct fake *f, unsigned int p)
{
	uint32_t height = f->format.fmt.pix.height, stride, fourcc;

	if (f->jpeg)
		return (uint32_t)f->jpeg->len;
	if (f->mplane && f->n_planes > 1)
		return f->plane_sizes[p];
	fourcc = f->mplane ? f->format.fmt.pix_mp.pixelformat : f->format.fmt.pix.pixelformat;
	stride = f->mplane ? f->format.fmt.pix_mp.plane_fmt[0].bytesperline : f->format.fmt.pix.bytesperline;
	if (streq(fake_layout(fourcc), "nv12") || streq(fake_layout(fourcc), "yu12") || streq(fake_layout(fourcc), "yv12"))
		return stride * height * 3 / 2;
	return stride * height * (streq(fake_layout(fourcc), "nv16") ? 2 : 1);
}

static inline void fake_spoil(struct fake *f, struct v4l2_buffer *b)
{
	uint32_t *used = f->mplane ? &b->m.planes[f->n_planes - 1].bytesused : &b->bytesused;

	switch (f->frames % 4) {
	case 0:
		b->flags |= V4L2_BUF_FLAG_ERROR;
		break;
	case 1:
		*used /= 2;
		break;
	case 2:
		*used = 0;
		break;
	case 3:
		*used = f->plane_sizes[f->n_planes - 1] + 1;
		break;
	}
}

static inline void fake_stamp(struct fake *f, struct v4l2_buffer *b)
{
	if (!f->repeat_from || f->frames < f->repeat_from)
		f->sequence++;
	b->sequence = f->sequence;
	if (f->no_times)
		return;
	b->flags |= V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
	if (!f->repeat_from || f->frames < f->repeat_from) {
		b->timestamp.tv_sec = f->now / 1000;
		b->timestamp.tv_usec = f->now % 1000 * 1000;
	} else {
		b->timestamp.tv_sec = 1;
	}
}

static inline int fake_dequeue(struct fake *f, struct v4l2_buffer *b)
{
	unsigned int luma = 200, contrast = 30, i;

	CHECK_INT(b->type, fake_type(f));
	CHECK_INT(b->memory, V4L2_MEMORY_MMAP);
	CHECK(f->streaming);
	CHECK(f->n_order > 0); /* it would starve */
	if (f->on_frame)
		f->on_frame(f);
	i = f->order[0];
	memmove(f->order, f->order + 1, --f->n_order * sizeof(f->order[0]));
	b->index = i;
	f->queued[i] = false;
	f->out[i] = true;
	if (f->frames < f->dark_frames)
		luma = 16, contrast = 0;
	else if (f->frames < f->warm_frames)
		luma = 40 + f->frames * 160 / f->warm_frames;
	if (f->frames < f->focus_frames)
		contrast = 4 + f->frames * 26 / f->focus_frames;
	if (f->sharp_frame && f->frames + 1 == f->sharp_frame)
		contrast = 31;
	fake_fill(f, i, luma, contrast);
	if (f->jpeg)
		memcpy(f->memory[i][0], f->jpeg->data, f->jpeg->len);
	for (unsigned int p = 0; p < f->n_planes; p++) {
		if (f->mplane)
			b->m.planes[p].bytesused = fake_used(f, p);
		else
			b->bytesused = fake_used(f, p);
	}
	fake_stamp(f, b);
	if (f->always_bad || f->frames < f->bad_frames)
		fake_spoil(f, b);
	f->frames++;
	return 0;
}

static inline int fake_stream(struct fake *f, const int *type, bool on)
{
	CHECK_INT(*type, fake_type(f));
	if (on) {
		CHECK(!f->streaming);
		CHECK_INT(f->n_order, f->count); /* it may need every one of them before it begins */
		f->streaming = true;
		return 0;
	}
	/* Every dequeued buffer went back, unless giving it back is what failed. */
	if (!f->queue_failed && !f->gone)
		for (unsigned int i = 0; i < f->count; i++)
			CHECK(!f->out[i]);
	f->streaming = false;
	f->n_order = 0;
	return 0;
}
