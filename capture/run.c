#include "capture/run.h"

#include "base/log.h"
#include "capture/original.h"
#include "capture/watch.h"

static int open_image(
	const struct page_item *item, const struct convert_options *o, struct image **ret, struct reject *why)
{
	if (item->input)
		return image_open(item->input, &o->limits, ret, why);
	return rawframe_open(&item->frame, &o->limits, ret, why);
}

static int convert(const struct page_item *item, const struct convert_options *o, struct emit *e,
	unsigned int index, struct reject *why)
{
	struct page_info info = {.index = index, .name = item->name, .grab = item->grab};
	struct image *im = NULL;
	int64_t from = watch_us();
	int r = open_image(item, o, &im, why);

	if (r < 0)
		return r;
	info.us.grab = item->grab_us;
	info.us.open = watch_us() - from;
	info.us.total = info.us.grab + info.us.open;
	r = page_convert(im, o, &info, e, why);
	image_close(im);
	return r < 0 ? r : original_give(item, o, e);
}

/* What happened to a page, told to the emitter. A page too big for memory is that page's fault alone. */
static int settle(struct emit *e, int r, unsigned int index, const char *name, struct reject *why,
	struct run_counts *counts)
{
	if (r == -ENOMEM)
		r = reject_set(why, REJECT_TOO_LARGE, "not enough memory for this page");
	if (r != -EBADMSG) {
		counts->pages += r >= 0;
		return r;
	}
	counts->rejected++;
	return e->ops->reject(e, index, name, why);
}

/* The last frame. Where the emitter itself failed, nobody listens. */
static int end(struct emit *e, int r)
{
	if (r < 0) {
		e->ops->end(e, false, "io", errno_text(r));
		return r;
	}
	return e->ops->end(e, true, NULL, NULL);
}

int run_refuse(struct emit *e, const char *reason, const char *message)
{
	return e->ops->end(e, false, reason, message);
}

int run_input(struct input *in, const char *name, const struct convert_options *o, struct emit *e,
	struct run_counts *ret)
{
	struct page_item item = {.input = in};
	struct run_counts counts = {};
	struct reject why = {};
	int r;

	if (str_copy(item.name, sizeof(item.name), name) < 0)
		str_copy(item.name, sizeof(item.name), "page");
	r = convert(&item, o, e, 1, &why);
	r = settle(e, r, 1, item.name, &why, &counts);
	*ret = counts;
	return end(e, r);
}

static int all_pages(
	struct page_source *s, const struct convert_options *o, struct emit *e, struct run_counts *counts)
{
	for (unsigned int index = 1;; index++) {
		struct page_item item = {};
		struct reject why = {};
		int r = s->ops->next(s, &item, &why);

		if (r == 0)
			return 0;
		if (r > 0)
			r = convert(&item, o, e, index, &why);
		r = settle(e, r, index, item.name, &why, counts);
		if (r < 0)
			return r;
	}
}

/* Scan after scan, for as long as there is to be another. */
static int all_scans(struct page_source *s, const struct convert_options *o, const struct run_stay *stay, struct emit *e,
	struct run_counts *counts, struct reject *why)
{
	int r = stay && stay->wait_first ? 1 : all_pages(s, o, e, counts);

	while (r >= 0 && stay) {
		r = stay->wait(stay->ud, s, why);
		if (r <= 0)
			return r;
		s->ops->again(s);
		r = all_pages(s, o, e, counts);
	}
	return r;
}

int run_source(const char *source, const struct source_options *so, const struct convert_options *o,
	const struct run_stay *stay, struct emit *e, struct run_counts *ret)
{
	struct page_source *s = NULL;
	struct run_counts counts = {};
	struct reject why = {};
	int r = source_open(source, so, &s, &why);

	if (r >= 0)
		r = all_scans(s, o, stay, e, &counts, &why);
	source_close(s);
	counts.failed = r == -EBADMSG;
	*ret = counts;
	if (counts.failed)
		return run_refuse(e, reject_name(why.reason), why.message);
	return end(e, r);
}
