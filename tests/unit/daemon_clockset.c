/* A timer of ours in place of the kernel's: nobody sets the clock of the machine that tests run on. */
#include "daemon/clockset.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include "tests/unit/test.h"

static int timer = -1, armed, told;
static bool fails;

int timerfd_create(clockid_t clock, int flags)
{
	CHECK_INT(clock, CLOCK_REALTIME);
	CHECK_INT(flags, TFD_NONBLOCK | TFD_CLOEXEC);
	timer = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return timer;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
	CHECK_INT(fd, timer);
	CHECK_INT(flags, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET);
	CHECK(new->it_value.tv_sec >= INT32_MAX && new->it_interval.tv_sec == 0);
	armed++;
	errno = ECANCELED;
	return fails ? -1 : 0;
}

static void on_set(void *ud)
{
	CHECK(ud == &told);
	told++;
}

static void set_clock(sd_event *e)
{
	uint64_t one = 1;

	CHECK_INT(write(timer, &one, sizeof(one)), sizeof(one));
	while (sd_event_run(e, 0) > 0)
		;
}

TEST(each_step_is_told)
{
	struct clockset *c = NULL;
	sd_event *e = NULL;

	CHECK(sd_event_new(&e) >= 0);
	CHECK_INT(clockset_new(e, on_set, &told, &c), 0);
	CHECK_INT(armed, 1);
	CHECK_INT(sd_event_run(e, 0), 0);
	CHECK_INT(told, 0);
	for (int i = 1; i < 4; i++) {
		set_clock(e);
		CHECK_INT(told, i);
		CHECK_INT(armed, i + 1);
	}
	clockset_free(c);
	clockset_free(NULL);
	sd_event_unref(e);
}

TEST(without_it_the_service_goes_on)
{
	struct clockset *c = NULL;
	sd_event *e = NULL;

	told = 0;
	CHECK(sd_event_new(&e) >= 0);
	CHECK_INT(clockset_new(e, on_set, &told, &c), 0);
	fails = true;
	set_clock(e);
	CHECK_INT(told, 1);
	set_clock(e);
	CHECK_INT(told, 1);
	clockset_free(c);
	CHECK_INT(clockset_new(e, on_set, &told, &c), -ECANCELED);
	fails = false;
	sd_event_unref(e);
}
