#include "base/clock.h"

#include <sys/timex.h>
#include <time.h>

#include "base/util.h"
#include "build-date.h"

/* A Date header has whole seconds and travelled a while: nearer than this, it confirms our clock. */
#define DATE_NOISE_MS  2000
#define CONFIRM_MAX_MS ((int64_t)60 * 1000)
#define ROUND_TRIP_MAX ((int64_t)15 * 60 * 1000)
#define NEWS_MS        240000
#define FLOOR_LESS_MS  ((int64_t)86400 * 1000)
#define FLOOR_MAX_MS   ((int64_t)20 * 366 * 86400 * 1000) /* after the build */
#define STAMP_MAX_MS   INT64_C(253402300799999) /* the end of 9999 */

struct clock {
	const struct clock_ops *ops;
	void *ud;
	int64_t floor_ms;
	/* Server time minus boottime when it was learned. Kept against boottime, so that a step of realtime
	 * (the network came and set it) changes the skew by as much instead of making it wrong. */
	bool learned;
	int64_t server_offset_ms;
};

static int64_t read_ms(clockid_t id)
{
	struct timespec ts = {};

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t system_boottime_ms(void *ud)
{
	return read_ms(CLOCK_BOOTTIME);
}

static int64_t system_realtime_ms(void *ud)
{
	return read_ms(CLOCK_REALTIME);
}

static bool system_synchronised(void *ud)
{
	struct timex t = {};

	return adjtimex(&t) >= 0 && !(t.status & STA_UNSYNC);
}

static const struct clock_ops system_ops = {system_boottime_ms, system_realtime_ms, system_synchronised};

int clock_new(const struct clock_ops *ops, void *ud, struct clock **ret)
{
	struct clock *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->ops = ops ? ops : &system_ops;
	c->ud = ud;
	c->floor_ms = (int64_t)PAGEFERRY_BUILD_DATE * 1000;
	*ret = c;
	return 0;
}

void clock_free(struct clock *c)
{
	free(c);
}

int64_t clock_boottime_ms(const struct clock *c)
{
	return c->ops->boottime_ms(c->ud);
}

int64_t clock_realtime_ms(const struct clock *c)
{
	return c->ops->realtime_ms(c->ud);
}

enum time_trust clock_trust(const struct clock *c)
{
	int64_t skew = clock_skew_ms(c);

	if (clock_realtime_ms(c) < c->floor_ms)
		return TIME_UNTRUSTED;
	/* Whom a proved server contradicts is synchronised with a wrong one. */
	if (c->learned)
		return skew <= CONFIRM_MAX_MS && skew >= -CONFIRM_MAX_MS ? TIME_TRUSTED : TIME_PLAUSIBLE;
	return c->ops->synchronised(c->ud) ? TIME_TRUSTED : TIME_PLAUSIBLE;
}

void clock_raise_floor(struct clock *c, int64_t realtime_ms)
{
	c->floor_ms = MAX(c->floor_ms, realtime_ms);
}

void clock_learn_skew(struct clock *c, int64_t skew_ms)
{
	c->server_offset_ms = clock_realtime_ms(c) + skew_ms - clock_boottime_ms(c);
	c->learned = true;
}

bool clock_learn_date(struct clock *c, int64_t date_ms, int64_t round_trip_ms)
{
	int64_t skew = date_ms - clock_realtime_ms(c), before = clock_skew_ms(c), trip = MAX(round_trip_ms, INT64_C(0));

	if (trip > ROUND_TRIP_MAX)
		return false;
	if (skew <= DATE_NOISE_MS && skew >= -DATE_NOISE_MS - trip)
		skew = 0;
	else if (skew < 0)
		skew += trip / 2;
	clock_learn_skew(c, skew);
	return skew - before >= NEWS_MS || before - skew >= NEWS_MS;
}

int64_t clock_proven_floor_ms(const struct clock *c)
{
	int64_t proven = c->server_offset_ms + clock_boottime_ms(c) - FLOOR_LESS_MS;

	return c->learned ? MIN(proven, (int64_t)PAGEFERRY_BUILD_DATE * 1000 + FLOOR_MAX_MS) : 0;
}

int64_t clock_skew_ms(const struct clock *c)
{
	return c->learned ? c->server_offset_ms + clock_boottime_ms(c) - clock_realtime_ms(c) : 0;
}

int clock_signing_time(const struct clock *c, int64_t *ret_seconds)
{
	int64_t ms = clock_realtime_ms(c) + clock_skew_ms(c);

	if (ms < c->floor_ms)
		return -ETIME;
	*ret_seconds = ms / 1000;
	return 0;
}

void timestamp_format(int64_t realtime_ms, bool with_ms, char out[static TIMESTAMP_SIZE])
{
	int64_t ms = CLAMP(realtime_ms, 0, STAMP_MAX_MS);
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm = {};
	size_t n;

	gmtime_r(&seconds, &tm);
	n = strftime(out, TIMESTAMP_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	if (with_ms)
		str_format(out + n, TIMESTAMP_SIZE - n, ".%03dZ", (int)(ms % 1000));
	else
		str_copy(out + n, TIMESTAMP_SIZE - n, "Z");
}

static const char *const trust_names[] = {"untrusted", "plausible", "trusted"};

const char *time_trust_name(enum time_trust t)
{
	return trust_names[CLAMP((int)t, 0, (int)ARRAY_SIZE(trust_names) - 1)];
}

int time_trust_parse(const char *s, enum time_trust *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(trust_names); i++)
		if (streq(s, trust_names[i])) {
			*ret = (enum time_trust)i;
			return 0;
		}
	return -EINVAL;
}
