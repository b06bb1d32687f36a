/* Any bytes as a page: decoded, scaled, turned and encoded, into nothing. */
#include "capture/run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int nothing_page(struct emit *e, const struct page_info *p)
{
	return 0;
}

static int nothing_data(struct emit *e, const void *data, size_t len)
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct emit_ops ops = {.page = nothing_page,
		.data = nothing_data,
		.page_end = nothing_page,
		.reject = nothing_reject,
		.end = nothing_end};
	struct convert_options o = CONVERT_OPTIONS_DEFAULT;
	struct emit e = {&ops};
	struct run_counts counts;
	struct input in;

	o.max_side = size ? 16 + data[size - 1] : 64;
	o.limits = (struct image_limits){.max_pixels = 2000000, .max_memory = 8 << 20};
	input_from_memory(&in, data, size);
	run_input(&in, "fuzz", &o, &e, &counts);
	return 0;
}
