/* The loop itself: how long one piece of work kept it. */
#include "daemon/loop.h"

#include "tests/unit/test.h"

struct work {
	int64_t now;
	const int64_t *takes; /* ms of each turn; the last is negative */
	sd_event_source *source;
	sd_event *event;
};

static int64_t boottime(void *ud)
{
	return ((struct work *)ud)->now;
}

static int64_t realtime(void *ud)
{
	return INT64_C(1893553445000);
}

static bool synchronised(void *ud)
{
	return false;
}

static int on_turn(sd_event_source *source, void *ud)
{
	struct work *w = ud;

	if (*w->takes < 0)
		return sd_event_exit(w->event, 7);
	w->now += *w->takes++;
	return loop_defer(w->event, &w->source, SD_EVENT_PRIORITY_NORMAL, on_turn, w);
}

TEST(the_longest_turn_is_told)
{
	static const struct clock_ops ops = {boottime, realtime, synchronised};
	static const int64_t takes[] = {3, 250, 40, -1};
	struct work w = {.now = 5000, .takes = takes};
	int64_t longest = 20;
	struct clock *clock;

	CHECK_INT(clock_new(&ops, &w, &clock), 0);
	CHECK_INT(sd_event_new(&w.event), 0);
	CHECK(loop_defer(w.event, &w.source, SD_EVENT_PRIORITY_NORMAL, on_turn, &w) >= 0);
	CHECK_INT(loop_run(w.event, clock, &longest), 7);
	CHECK_INT(longest, 250);
	sd_event_source_disable_unref(w.source);
	sd_event_unref(w.event);
	clock_free(clock);
}
