#include "daemon/clockset.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "base/log.h"
#include "base/util.h"

struct clockset {
	int fd;
	sd_event_source *source;
	void (*fn)(void *ud);
	void *ud;
};

/* A timer at the end of time, that is cancelled when the clock is set (timerfd_create(2)). */
static int arm(int fd)
{
	const struct itimerspec far = {.it_value.tv_sec = sizeof(time_t) > 4 ? (time_t)(INT64_MAX / 1000000000) : INT32_MAX};

	return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL) < 0 ? -errno : 0;
}

static int on_set(sd_event_source *source, int fd, uint32_t events, void *ud)
{
	struct clockset *c = ud;
	uint64_t n;

	if (read(fd, &n, sizeof(n)) < 0 && errno != ECANCELED)
		return 0;
	if (arm(fd) < 0) {
		log_warning("it will not be known when the clock is set: what waits for it looks once a minute");
		c->source = sd_event_source_disable_unref(c->source);
	}
	log_info("the clock was set");
	c->fn(c->ud);
	return 0;
}

int clockset_new(sd_event *e, void (*fn)(void *ud), void *ud, struct clockset **ret)
{
	struct clockset *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->fn = fn;
	c->ud = ud;
	c->fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	r = c->fd < 0 ? -errno : arm(c->fd);
	if (r >= 0)
		r = sd_event_add_io(e, &c->source, c->fd, EPOLLIN, on_set, c);
	if (r < 0) {
		clockset_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void clockset_free(struct clockset *c)
{
	if (!c)
		return;
	sd_event_source_disable_unref(c->source);
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}
