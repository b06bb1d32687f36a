#include "hal/lights.h"

/*
 * The table, one light at a time. Each is a list of rules, read from the top: the first whose condition holds
 * decides, and the last has none, so every state has an answer. What the operator reads:
 *
 *   captured  blink  a page is being taken: leave it where it is
 *             on     the page was taken: it may be lifted
 *             alarm  the last scan gave no page: put it down again; with "safe" in alarm too: call somebody
 *             double there is no room, scans are refused until there is
 *             triple the page was taken but seems not to have come out well: scan it again?
 *   safe      on     the page survives anything from here on, a power cut too
 *             blink  a page is being taken or written
 *             off    nothing is promised
 *             alarm  the disk cannot be written: nothing that is scanned now would be kept
 *   delivered on     its fields went where they go, and nothing waits
 *             blink  pages wait their turn; nobody needs to do anything
 *             alarm  at least one page waits for a person
 *             off    nothing to deliver; or pages wait and the way out is down: that heals itself
 */
struct rule {
	bool (*when)(const struct service_state *s); /* NULL: always */
	enum light light;
};

static bool storage_failed(const struct service_state *s)
{
	return s->storage_failed;
}

static bool no_room(const struct service_state *s)
{
	return s->no_room;
}

static bool scanning(const struct service_state *s)
{
	return s->scanning;
}

static bool capture_failed(const struct service_state *s)
{
	return s->capture_failed;
}

static bool look_again(const struct service_state *s)
{
	return s->look_again;
}

static bool page_safe(const struct service_state *s)
{
	return s->last_page_safe;
}

static bool held(const struct service_state *s)
{
	return s->held > 0;
}

static bool stuck(const struct service_state *s)
{
	return s->waiting > 0 && s->offline;
}

static bool waiting(const struct service_state *s)
{
	return s->waiting > 0;
}

static bool delivered(const struct service_state *s)
{
	return s->last_page_delivered;
}

/* A scan in progress comes first: while it runs, "do not lift the page" is what matters. */
static const struct rule captured_rules[] = {
	{scanning, LIGHT_BLINK},
	{storage_failed, LIGHT_ALARM},
	{no_room, LIGHT_DOUBLE},
	{capture_failed, LIGHT_ALARM},
	{look_again, LIGHT_TRIPLE},
	{page_safe, LIGHT_ON},
	{NULL, LIGHT_OFF},
};

/* ON stands below everything that could make it a lie: a disk that fails, a new page on its way. A full disk
 * does not take back what was promised for the last page; that scans are refused shows on "captured". */
static const struct rule safe_rules[] = {
	{storage_failed, LIGHT_ALARM},
	{scanning, LIGHT_BLINK},
	{page_safe, LIGHT_ON},
	{NULL, LIGHT_OFF},
};

static const struct rule delivered_rules[] = {
	{held, LIGHT_ALARM},
	{stuck, LIGHT_OFF},
	{waiting, LIGHT_BLINK},
	{delivered, LIGHT_ON},
	{NULL, LIGHT_OFF},
};

static enum light first_match(const struct rule *r, const struct service_state *s)
{
	while (r->when && !r->when(s))
		r++;
	return r->light;
}

struct lights lights_for(const struct service_state *s)
{
	return (struct lights){
		.captured = first_match(captured_rules, s),
		.safe = first_match(safe_rules, s),
		.delivered = first_match(delivered_rules, s),
	};
}

const char *light_name(enum light l)
{
	static const char *const names[] = {"off", "on", "blink", "alarm", "double", "triple"};

	return (size_t)l < ARRAY_SIZE(names) ? names[l] : "off";
}
