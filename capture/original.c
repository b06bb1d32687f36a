#include "capture/original.h"

#include "base/log.h"
#include "base/text.h"

/* Once more from its start. False: it cannot be read twice. */
static bool rewind_input(struct input *in)
{
	if (!in->read) {
		in->at -= in->total - in->left;
		in->left = (size_t)in->total;
		return true;
	}
	if (in->fd < 0)
		return false;
	in->offset = 0;
	in->total = 0;
	in->left = 0;
	in->at = in->buffer;
	return true;
}

static int give_bytes(struct input *in, struct emit *e)
{
	int r;

	while ((r = input_more(in)) > 0) {
		size_t n = MIN(in->left, INPUT_BUFFER);

		r = e->ops->beside(e, BESIDE_ORIGINAL, in->at, n);
		if (r < 0)
			return r;
		in->at += n;
		in->left -= n;
	}
	return r < 0 ? -EBADMSG : 0;
}

/* A page that goes beside another. */
struct beside_emit {
	struct emit emit;
	struct emit *to; /* borrowed */
};

static int beside_page(struct emit *e, const struct page_info *p)
{
	return 0;
}

static int beside_data(struct emit *e, const void *data, size_t len)
{
	struct emit *to = ((struct beside_emit *)e)->to;

	return to->ops->beside(to, BESIDE_ORIGINAL, data, len);
}

static const struct emit_ops beside_ops = {.page = beside_page, .data = beside_data, .page_end = beside_page};

static int give_encoded(const struct page_item *item, const struct convert_options *o, struct emit *e, struct reject *why)
{
	struct convert_options native = CONVERT_OPTIONS_DEFAULT;
	struct beside_emit to = {.emit = {&beside_ops}, .to = e};
	struct page_info info = {.index = 1, .name = item->name};
	struct image *im = NULL;
	int r;

	native.max_side = IMAGE_SIDE_MAX;
	native.quality = ORIGINAL_QUALITY;
	native.limits = o->limits;
	r = item->input ? image_open(item->input, &native.limits, &im, why) : rawframe_open(&item->frame, &native.limits, &im, why);
	if (r >= 0)
		r = page_convert(im, &native, &info, &to.emit, why);
	image_close(im);
	return r;
}

static bool is_jpeg(struct input *in)
{
	return input_peek(in, 3) >= 3 && memcmp(in->at, "\xff\xd8\xff", 3) == 0;
}

int original_give(const struct page_item *item, const struct convert_options *o, struct emit *e)
{
	char safe[256];
	struct reject why = {.message = "it cannot be read twice"};
	int r = -EBADMSG;

	if (!o->original || !e->ops->beside)
		return 0;
	if (!item->input)
		r = give_encoded(item, o, e, &why);
	else if (rewind_input(item->input))
		r = is_jpeg(item->input) ? give_bytes(item->input, e) : give_encoded(item, o, e, &why);
	if (r == -EBADMSG || r == -ENOMEM) {
		/* What went out is taken back by the end that does not come. */
		log_warning("%s: its original is not kept: %s", text_safe_copy(safe, sizeof(safe), item->name), why.message);
		return 0;
	}
	return r < 0 ? r : e->ops->beside_end(e, BESIDE_ORIGINAL);
}
