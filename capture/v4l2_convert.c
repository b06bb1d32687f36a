/*
 * Formats of old and odd cameras (Bayer, vendors' own compression): libv4lconvert makes RGB of them. The last resort, so the
 * library is loaded only when it is needed: to all other pages it would be 0.2 MiB of memory for nothing.
 */
#include "capture/v4l2_internal.h"

#include <assert.h>
#include <dlfcn.h>
#include <stdio.h>

#include <libv4l-plugin.h>
#include <libv4lconvert.h>

#define LIBRARY "libv4lconvert.so.0"

/* The functions that are used, by their names in the library. */
struct functions {
	typeof(v4lconvert_create_with_dev_ops) *create;
	typeof(v4lconvert_destroy) *destroy;
	typeof(v4lconvert_try_format) *try_format;
	typeof(v4lconvert_fixup_fmt) *fixup;
	typeof(v4lconvert_convert) *convert;
	typeof(v4lconvert_get_error_message) *error;
};

struct v4l2_convert {
	void *handle; /* of the library */
	struct functions fn;
	struct v4lconvert_data *lib;
	struct v4l2_device *device; /* borrowed */
	struct v4l2_format source, result;
	uint8_t *pixels; /* owned: the frame converted last */
	size_t size;
};

static void *ops_init(int fd)
{
	return NULL;
}

static void ops_close(void *ud)
{
}

/* The library wants what ioctl() does: -1 and errno. */
static int ops_ioctl(void *ud, int fd, unsigned long request, void *arg)
{
	int r = v4l2_ctl(ud, request, arg);

	if (r >= 0)
		return r;
	errno = -r;
	return -1;
}

static ssize_t ops_read(void *ud, int fd, void *to, size_t n)
{
	errno = ENOSYS;
	return -1;
}

static ssize_t ops_write(void *ud, int fd, const void *from, size_t n)
{
	errno = ENOSYS;
	return -1;
}

static const struct libv4l_dev_ops ops = {
	.init = ops_init, .close = ops_close, .ioctl = ops_ioctl, .read = ops_read, .write = ops_write};

static bool load(struct v4l2_convert *c)
{
	static const char *const names[] = {"v4lconvert_create_with_dev_ops", "v4lconvert_destroy",
		"v4lconvert_try_format", "v4lconvert_fixup_fmt", "v4lconvert_convert", "v4lconvert_get_error_message"};
	void *found[ARRAY_SIZE(names)];

	static_assert(sizeof(found) == sizeof(c->fn), "a name for each function");
	c->handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!c->handle)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		found[i] = dlsym(c->handle, names[i]);
		if (!found[i])
			return false;
	}
	memcpy(&c->fn, found, sizeof(c->fn)); /* POSIX's way from a pointer to a function */
	return true;
}

int v4l2_convert_new(struct v4l2_device *d, struct v4l2_format *ret_format, struct v4l2_convert **ret)
{
	struct v4l2_convert *c = calloc(1, sizeof(*c));
	struct v4l2_format wish = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE};

	if (!c)
		return -ENOMEM;
	c->device = d;
	if (load(c))
		c->lib = c->fn.create(d->fd, d, &ops);
	/* More than any device has: the largest comes back. */
	wish.fmt.pix = (struct v4l2_pix_format){
		.pixelformat = V4L2_PIX_FMT_RGB24, .width = 16384, .height = 16384, .field = V4L2_FIELD_NONE};
	if (!c->lib || c->fn.try_format(c->lib, &wish, &c->source) < 0 ||
		wish.fmt.pix.pixelformat != V4L2_PIX_FMT_RGB24) {
		v4l2_convert_free(c);
		return -ENOTSUP;
	}
	*ret_format = c->source;
	*ret = c;
	return 0;
}

int v4l2_convert_begin(struct v4l2_convert *c, const struct v4l2_format *source)
{
	const struct v4l2_pix_format *p = &source->fmt.pix;

	c->source = *source;
	c->result = (struct v4l2_format){.type = V4L2_BUF_TYPE_VIDEO_CAPTURE};
	c->result.fmt.pix = (struct v4l2_pix_format){
		.pixelformat = V4L2_PIX_FMT_RGB24, .width = p->width, .height = p->height, .field = V4L2_FIELD_NONE};
	c->fn.fixup(&c->result);
	free(c->pixels);
	c->size = (size_t)p->width * p->height * 3;
	c->pixels = malloc(c->size);
	return c->pixels ? 0 : -ENOMEM;
}

int v4l2_convert_frame(
	struct v4l2_convert *c, const uint8_t *data, size_t len, struct raw_frame *ret, struct reject *why)
{
	const struct v4l2_pix_format *p = &c->result.fmt.pix;
	int n = c->fn.convert(c->lib, &c->source, &c->result, (unsigned char *)data, (int)MIN(len, (size_t)INT32_MAX),
		c->pixels, (int)c->size);

	/* It decodes what it can of a damaged frame, and says so by giving less. */
	if (n < 0 || (size_t)n != c->size)
		return reject_set(why, REJECT_DAMAGED, "a frame cannot be converted: %s", c->fn.error(c->lib));
	*ret = (struct raw_frame){
		.format = raw_format_by_name("rgb3"),
		.width = p->width,
		.height = p->height,
		.full_range = true,
		.plane = {{c->pixels, c->size, p->width * 3}},
	};
	return 0;
}

void v4l2_convert_free(struct v4l2_convert *c)
{
	if (!c)
		return;
	if (c->lib)
		c->fn.destroy(c->lib);
	if (c->handle)
		dlclose(c->handle);
	free(c->pixels);
	free(c);
}
