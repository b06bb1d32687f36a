/* Shared by v4l2*.c only: a device that is open (v4l2_device.c), what it can do (v4l2_format.c, v4l2_control.c) and what its
 * frames are worth (v4l2_frame.c). */
#pragma once

#include <linux/videodev2.h>

#include "capture/glance.h"
#include "capture/v4l2_io.h"

#define V4L2_BUFFERS 4 /* asked for; a driver that cannot stream with them gives more, and needs all of them queued */

/* What the source's name and the configuration ask for. */
struct v4l2_wish {
	char device[256];       /* a path, or "auto" */
	char format[8];         /* "nv12", "mjpeg"; "": the best */
	uint32_t width, height; /* 0: the largest */
	char controls[SOURCE_CONTROLS_SIZE];
	source_notice_fn notice; /* what of them cannot be set; may be NULL */
	void *notice_ud;
	struct image_limits limits;
};

/* What the driver made of it. */
struct v4l2_shape {
	uint32_t fourcc;
	const struct raw_format *raw; /* NULL: JPEG, or for libv4lconvert */
	bool jpeg;
	uint32_t width, height;
	unsigned int n_planes; /* in memory */
	uint32_t stride[IMAGE_PLANES];
	bool full_range, bt709;
};

struct v4l2_mapping {
	void *data;
	size_t len;
};

struct v4l2_convert;

/* Everything here exists only while the device is open; a reopened one begins anew. */
struct v4l2_device {
	struct v4l2_io io;
	char path[256];
	int fd;        /* -1: closed */
	uint32_t type; /* V4L2_BUF_TYPE_VIDEO_CAPTURE or ..._MPLANE */
	struct image_limits limits;
	struct v4l2_shape shape;
	struct v4l2_mapping buffers[VIDEO_MAX_FRAME][IMAGE_PLANES];
	unsigned int n_buffers;
	bool streaming, has_events;
	bool ours[VIDEO_MAX_FRAME];   /* dequeued and not given back yet */
	struct v4l2_convert *convert; /* owned; only for formats of no other use */
};

static inline bool v4l2_is_mplane(const struct v4l2_device *d)
{
	return d->type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
}

/* A frame that was dequeued. */
struct v4l2_shot {
	unsigned int index;
	uint32_t flags, sequence;
	int64_t time_us; /* CLOCK_MONOTONIC; -1: the driver does not say */
	struct {
		const uint8_t *data;
		size_t len;
	} plane[IMAGE_PLANES];
};

int v4l2_ctl(struct v4l2_device *d, unsigned long request, void *arg);
/* A negative errno as a verdict. */
int v4l2_failed(const struct v4l2_device *d, const char *doing, int error, struct reject *why);

/* ---- v4l2_device.c ---- */
/* Finds and opens the node, sets it up, and starts the stream. On failure it is closed. */
int v4l2_device_open(struct v4l2_device *d, const struct v4l2_io *io, const struct v4l2_wish *wish, struct reject *why);
void v4l2_device_close(struct v4l2_device *d);
/* The next frame, whatever it is worth, within `wait_ms`. */
int v4l2_device_take(struct v4l2_device *d, int64_t wait_ms, struct v4l2_shot *ret, struct reject *why);
int v4l2_device_give_back(struct v4l2_device *d, unsigned int index, struct reject *why);

/* ---- v4l2_format.c ---- */
/* Chooses format and size, sets them, and reads back what became of it. */
int v4l2_set_format(struct v4l2_device *d, const struct v4l2_wish *wish, struct reject *why);
/* Is there a picture at the input? HDMI's timings are taken over. Nothing said is yes. */
int v4l2_check_signal(struct v4l2_device *d, struct reject *why);

/* ---- v4l2_control.c ---- */
/* Sets what is wished. What cannot be set is told; it is no reason not to scan. */
void v4l2_set_controls(struct v4l2_device *d, const struct v4l2_wish *wish);

/* ---- v4l2_frame.c ---- */
/* Is the frame whole (a JPEG is decoded, at an eighth)? 0 and what it looks like, or -EBADMSG. */
int v4l2_frame_look(struct v4l2_device *d, const struct v4l2_shot *shot, struct glance *ret, struct reject *why);
/* As a raw frame, converted if need be; valid until the buffer is given back or another is converted. */
int v4l2_frame_raw(struct v4l2_device *d, const struct v4l2_shot *shot, struct raw_frame *ret, struct reject *why);

/* ---- v4l2_convert.c: formats that are left to libv4lconvert ---- */
/* Is there a format of this single-planar device that it can make something of? Sets the shape. 0, or -ENOTSUP. */
int v4l2_convert_new(struct v4l2_device *d, struct v4l2_format *ret_format, struct v4l2_convert **ret);
/* The driver's answer to it; asked before frames come. */
int v4l2_convert_begin(struct v4l2_convert *c, const struct v4l2_format *source);
int v4l2_convert_frame(
	struct v4l2_convert *c, const uint8_t *data, size_t len, struct raw_frame *ret, struct reject *why);
void v4l2_convert_free(struct v4l2_convert *c); /* NULL is fine */
