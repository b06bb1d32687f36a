/* Runs that stay between scans: with the camera on for a while, or watching for pages (docs/architecture.md). */
#include "capture/helper_internal.h"

#include <poll.h>

#include "capture/watch.h"

#define STAY_MAX_MS (INT64_C(30) * 60 * 1000) /* then it ends by itself, between pages: the next run begins anew */
#define TELL_MS     5000                      /* while watching: that all is well, or that a page waits */

static int64_t now_ms(void)
{
	return watch_us() / 1000;
}

int helper_say(struct helper *h, cJSON *head, const char *type)
{
	int r = head ? json_add_string(head, "type", type) : -ENOMEM;

	if (r >= 0)
		r = frame_write(h->out_fd, head, NULL, 0);
	cJSON_Delete(head);
	return r;
}

/* Reads what is there within `wait_ms`. 1: something, 0: nothing; or negative errno (-EPIPE: the other end is gone). */
static int feed(struct helper *h, int64_t wait_ms)
{
	struct pollfd p = {.fd = h->in_fd, .events = POLLIN};
	char chunk[HELPER_CHUNK];
	ssize_t n = poll(&p, 1, (int)MAX(wait_ms, 0));

	if (n == 0 || (n < 0 && errno == EINTR))
		return 0;
	n = n < 0 ? -errno : helper_receive(h, chunk, sizeof(chunk));
	if (n <= 0)
		return n == 0 || n == -ECONNRESET ? -EPIPE : (int)n;
	n = frame_reader_feed(h->reader, chunk, (size_t)n);
	return n < 0 ? (int)n : 1;
}

/* Waits for a frame "next": 1; 0: none came in time; or negative errno. */
static int wait_for_next(struct helper *h, int64_t wait_ms)
{
	int64_t until = now_ms() + wait_ms;

	for (;;) {
		struct frame_piece piece;
		int r = frame_reader_next(h->reader, &piece);

		if (r < 0)
			return r;
		if (r == FRAME_HEAD)
			return piece.type && streq(piece.type, "next") ? 1 : -EPROTO;
		if (r != FRAME_NONE)
			continue;
		r = feed(h, until - now_ms());
		if (r < 0 || (r == 0 && now_ms() >= until))
			return r;
	}
}

int helper_stay_warm(void *ud, struct page_source *s, struct reject *why)
{
	struct helper *h = ud;
	int r;

	if (now_ms() - h->started_ms > STAY_MAX_MS)
		return 0;
	r = helper_say(h, cJSON_CreateObject(), "idle");
	if (r >= 0)
		r = wait_for_next(h, h->warm_ms);
	return r == -EPIPE ? 0 : r;
}

/* One frame. 1: a scan was asked for; 0: go on; or negative errno. */
static int watch_frame(struct helper *h, struct page_source *s, bool *ret_rests, struct reject *why)
{
	struct glance g = {};
	int r = s->ops->glance(s, &g, why);

	if (r <= 0)
		return r < 0 ? r : -ENODATA;
	*ret_rests = arrival_feed(&h->arrival, &g);
	if (!*ret_rests && now_ms() < h->tell_ms)
		return wait_for_next(h, 0);
	r = helper_say(h, cJSON_CreateObject(), *ret_rests ? "rests" : "idle");
	h->tell_ms = now_ms() + TELL_MS;
	/* The answer to a page that rests comes at once, or not before the page is looked at again. */
	return r < 0 ? r : wait_for_next(h, *ret_rests ? TELL_MS : 0);
}

int helper_stay_watching(void *ud, struct page_source *s, struct reject *why)
{
	struct helper *h = ud;
	bool rests = false;
	int r;

	h->tell_ms = 0; /* the daemon waits for a word after each scan */
	do
		r = watch_frame(h, s, &rests, why);
	while (r == 0 && (rests || now_ms() - h->started_ms < STAY_MAX_MS));
	if (r == 1)
		arrival_taken(&h->arrival);
	return r == -ENODATA || r == -EPIPE ? 0 : r;
}
