#include "capture/input.h"

static ssize_t read_file(struct input *in, void *to, size_t len)
{
	ssize_t n;

	do
		n = pread(in->fd, to, len, in->offset);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	in->offset += n;
	return n;
}

int input_from_reader(struct input *in, input_read_fn fn, void *ud)
{
	uint8_t *buffer = malloc(INPUT_BUFFER);

	if (!buffer)
		return -ENOMEM;
	*in = (struct input){.read = fn, .fd = -1, .ud = ud, .buffer = buffer, .at = buffer};
	return 0;
}

int input_from_file(struct input *in, int fd)
{
	int r = input_from_reader(in, read_file, NULL);

	if (r < 0)
		return r;
	in->fd = fd;
	return 0;
}

void input_from_memory(struct input *in, const void *data, size_t len)
{
	*in = (struct input){.at = data, .left = len, .fd = -1, .total = len};
}

/* Reads behind what is in hand, which must lie at the buffer's start. */
static ssize_t read_behind(struct input *in)
{
	ssize_t n;

	n = in->read(in, in->buffer + in->left, INPUT_BUFFER - in->left);
	if (n <= 0)
		return n;
	in->left += (size_t)n;
	in->total += (uint64_t)n;
	return in->total > INPUT_MAX ? -EFBIG : n;
}

int input_more(struct input *in)
{
	ssize_t n;

	if (in->left > 0)
		return 1;
	if (!in->read)
		return 0;
	in->at = in->buffer;
	n = read_behind(in);
	return n > 0 ? 1 : (int)n;
}

ssize_t input_peek(struct input *in, size_t want)
{
	if (in->read && in->left < want && in->at != in->buffer) {
		memmove(in->buffer, in->at, in->left);
		in->at = in->buffer;
	}
	while (in->read && in->left < MIN(want, INPUT_BUFFER)) {
		ssize_t n = read_behind(in);

		if (n < 0)
			return n;
		if (n == 0)
			break;
	}
	return (ssize_t)in->left;
}

void input_close(struct input *in)
{
	free(in->buffer);
	*in = (struct input){.fd = -1};
}
