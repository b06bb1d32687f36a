#include "tests/unit/test.h"

#include "hal/lights.h"

static const uint32_t counts[] = {0, 1, 2, UINT32_MAX};

/* The n-th of all states: eight booleans and two counts. */
static struct service_state nth(unsigned int n)
{
	return (struct service_state){
		.scanning = n & 1,
		.capture_failed = n & 2,
		.last_page_safe = n & 4,
		.last_page_delivered = n & 8,
		.no_room = n & 16,
		.storage_failed = n & 32,
		.offline = n & 64,
		.waiting = counts[n >> 7 & 3],
		.held = counts[n >> 9 & 3],
		.look_again = n >> 11 & 1,
	};
}
#define N_STATES (1u << 12)

static bool known(enum light l)
{
	return l == LIGHT_OFF || l == LIGHT_ON || l == LIGHT_BLINK || l == LIGHT_ALARM || l == LIGHT_DOUBLE ||
	       l == LIGHT_TRIPLE;
}

/* Fails with the state's number when a rule does not hold. */
#define HOLDS(n, cond)                                                                                       \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			test_fail(__FILE__, __LINE__, "state %u: %s", (unsigned int)(n), #cond);             \
	} while (0)

TEST(every_state_has_an_answer)
{
	for (unsigned int n = 0; n < N_STATES; n++) {
		struct service_state s = nth(n);
		struct lights l = lights_for(&s), again = lights_for(&s);

		HOLDS(n, known(l.captured) && known(l.safe) && known(l.delivered));
		HOLDS(n, l.captured == again.captured && l.safe == again.safe &&
				 l.delivered == again.delivered);
	}
}

TEST(safe_is_never_a_lie)
{
	for (unsigned int n = 0; n < N_STATES; n++) {
		struct service_state s = nth(n);
		struct lights l = lights_for(&s);

		HOLDS(n, l.safe != LIGHT_ON || (s.last_page_safe && !s.scanning && !s.storage_failed));
		HOLDS(n, l.safe == LIGHT_ON || !s.last_page_safe || s.scanning ||
				 s.storage_failed); /* and never forgotten */
	}
}

TEST(captured_says_when_to_lift_the_page)
{
	for (unsigned int n = 0; n < N_STATES; n++) {
		struct service_state s = nth(n);
		struct lights l = lights_for(&s);

		HOLDS(n, (l.captured == LIGHT_BLINK) == s.scanning);
		HOLDS(n, l.captured != LIGHT_ON || (s.last_page_safe && !s.capture_failed));
		HOLDS(n, s.scanning || s.no_room || !s.capture_failed || l.captured == LIGHT_ALARM);
	}
}

/* It never takes the place of what is worse, and says nothing of whether the page is safe. */
TEST(a_page_to_look_at_again_has_a_light_of_its_own)
{
	for (unsigned int n = 0; n < N_STATES; n++) {
		struct service_state s = nth(n), fine = s;
		struct lights l = lights_for(&s), without;

		fine.look_again = false;
		without = lights_for(&fine);
		HOLDS(n, (l.captured == LIGHT_TRIPLE) == (s.look_again && !s.scanning && !s.storage_failed && !s.no_room &&
							      !s.capture_failed));
		HOLDS(n, l.captured == without.captured || l.captured == LIGHT_TRIPLE);
		HOLDS(n, l.safe == without.safe && l.delivered == without.delivered);
	}
}

/* What is full, what is broken and what failed are told apart by the lights alone, but while a scan runs. */
TEST(no_room_has_a_light_of_its_own)
{
	for (unsigned int n = 0; n < N_STATES; n++) {
		struct service_state s = nth(n);
		struct lights l = lights_for(&s);

		HOLDS(n, (l.captured == LIGHT_DOUBLE) == (s.no_room && !s.scanning && !s.storage_failed));
		HOLDS(n, l.safe != LIGHT_DOUBLE && l.delivered != LIGHT_DOUBLE);
		HOLDS(n, (l.safe == LIGHT_ALARM) == s.storage_failed);
	}
}

TEST(delivered_waits_for_all)
{
	for (unsigned int n = 0; n < N_STATES; n++) {
		struct service_state s = nth(n);
		struct lights l = lights_for(&s);

		HOLDS(n, l.delivered != LIGHT_ON || (s.last_page_delivered && s.waiting == 0 && s.held == 0));
		HOLDS(n, l.delivered != LIGHT_BLINK || (s.waiting > 0 && !s.offline));
		HOLDS(n, (l.delivered == LIGHT_ALARM) == (s.held > 0));
	}
}

TEST(a_person_is_called_when_needed_and_only_then)
{
	for (unsigned int n = 0; n < N_STATES; n++) {
		struct service_state s = nth(n);
		struct lights l = lights_for(&s);
		bool alarm = l.captured == LIGHT_ALARM || l.captured == LIGHT_DOUBLE || l.safe == LIGHT_ALARM || l.delivered == LIGHT_ALARM;
		bool trouble = s.held > 0 || s.storage_failed || s.no_room || s.capture_failed;

		HOLDS(n, !alarm || trouble);
		HOLDS(n, alarm || !trouble || s.scanning); /* what a running scan hides shows when it ends */
		HOLDS(n, !s.storage_failed || l.safe == LIGHT_ALARM); /* but never this */
	}
}

/* Being offline alone is no alarm: pages wait and go out later. */
TEST(offline_is_not_an_alarm)
{
	struct service_state s = {.last_page_safe = true, .waiting = 40, .offline = true};
	struct lights l = lights_for(&s);

	CHECK(l.captured == LIGHT_ON && l.safe == LIGHT_ON && l.delivered == LIGHT_OFF);
}

/* One page from the start to the end. */
TEST(the_life_of_a_page)
{
	struct service_state s = {};
	struct lights l = lights_for(&s);

	CHECK(l.captured == LIGHT_OFF && l.safe == LIGHT_OFF && l.delivered == LIGHT_OFF);
	s.scanning = true;
	l = lights_for(&s);
	CHECK(l.captured == LIGHT_BLINK && l.safe == LIGHT_BLINK && l.delivered == LIGHT_OFF);
	s = (struct service_state){.last_page_safe = true, .waiting = 1};
	l = lights_for(&s);
	CHECK(l.captured == LIGHT_ON && l.safe == LIGHT_ON && l.delivered == LIGHT_BLINK);
	s = (struct service_state){.last_page_safe = true, .last_page_delivered = true};
	l = lights_for(&s);
	CHECK(l.captured == LIGHT_ON && l.safe == LIGHT_ON && l.delivered == LIGHT_ON);
}

TEST(names)
{
	CHECK_STR(light_name(LIGHT_OFF), "off");
	CHECK_STR(light_name(LIGHT_ON), "on");
	CHECK_STR(light_name(LIGHT_BLINK), "blink");
	CHECK_STR(light_name(LIGHT_ALARM), "alarm");
	CHECK_STR(light_name(LIGHT_DOUBLE), "double");
	CHECK_STR(light_name((enum light)99), "off");
}

TEST(null_board_remembers)
{
	struct lights shown = {}, l = {LIGHT_ON, LIGHT_BLINK, LIGHT_ALARM};

	CHECK_STR(null_board.name, "null");
	CHECK_INT(null_board.show(&shown, &l), 0);
	CHECK(shown.captured == LIGHT_ON && shown.safe == LIGHT_BLINK && shown.delivered == LIGHT_ALARM);
	CHECK_INT(null_board.show(NULL, &l), 0);
}
