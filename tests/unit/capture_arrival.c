/* When is there a page to take? Scenes as frames at a glance, in order. */
#include "capture/arrival.h"
#include "tests/unit/test.h"

enum { DESK, PAGE_A, PAGE_B, HAND, SHEET, N_SCENES };

/* A desk is even; a page is bright with lines of writing, which differ from page to page; a hand is dark and over a third;
 * a sheet is bright and bare. */
static struct glance scene(int what, int light, int64_t at_ms)
{
	struct glance g = {.at_ms = at_ms};

	for (unsigned int i = 0; i < GLANCE_CELLS; i++) {
		unsigned int x = i % GLANCE_ACROSS, y = i / GLANCE_ACROSS;
		bool on = x >= 6 && x < 26 && y >= 3 && y < 21;
		bool ink = on && (what == PAGE_A || what == PAGE_B) && y % 3 != 1 && x > 8 && x < (what == PAGE_A ? 24U : 16U + y % 8);
		int mean = what != DESK && on ? 210 : 90;

		if (ink)
			mean = 170;
		if (what == HAND && x > 10)
			mean = 50 + (int)(x * 3 + at_ms / 10 % 40); /* it moves */
		g.mean[i] = (uint8_t)CLAMP(mean + light, 0, 255);
		g.detail[i] = ink ? 40 : 4;
	}
	return g;
}

struct film {
	struct arrival a;
	int64_t now_ms;
	unsigned int taken;
};

/* Shows a scene for some frames of 100 ms; a page that is to be taken is taken. */
static void show(struct film *f, int what, int light, unsigned int frames)
{
	for (unsigned int i = 0; i < frames; i++) {
		struct glance g = scene(what, light, f->now_ms += 100);

		if (arrival_feed(&f->a, &g)) {
			f->taken++;
			arrival_taken(&f->a);
		}
	}
}

TEST(a_page_is_taken_once)
{
	struct film f = {};

	show(&f, DESK, 0, 20);
	CHECK_INT(f.taken, 0);
	show(&f, HAND, 0, 8);
	CHECK_INT(f.taken, 0);
	show(&f, PAGE_A, 0, 5);
	CHECK_INT(f.taken, 0); /* it was put down this moment */
	show(&f, PAGE_A, 0, 100);
	CHECK_INT(f.taken, 1);
}

TEST(the_next_comes_after_a_change)
{
	struct film f = {};

	show(&f, DESK, 0, 20);
	show(&f, PAGE_A, 0, 20);
	show(&f, HAND, 0, 10);
	show(&f, PAGE_A, 0, 50);
	CHECK_INT(f.taken, 1); /* a hand came and went */
	show(&f, PAGE_B, 0, 20);
	CHECK_INT(f.taken, 2); /* changed while nobody looked, and much alike */
	show(&f, HAND, 0, 5);
	show(&f, DESK, 0, 30);
	CHECK_INT(f.taken, 2); /* taken away */
	show(&f, PAGE_B, 0, 20);
	CHECK_INT(f.taken, 3); /* and laid down again: that was meant */
}

TEST(what_lies_there_at_start_is_no_page)
{
	struct film f = {};

	show(&f, PAGE_A, 0, 50);
	CHECK_INT(f.taken, 0);
	show(&f, DESK, 0, 20);
	show(&f, PAGE_B, 0, 20);
	CHECK_INT(f.taken, 1);
	show(&f, PAGE_A, 0, 20); /* the ground */
	CHECK_INT(f.taken, 1);
}

TEST(a_bare_sheet_and_light_are_no_page)
{
	struct film f = {};

	show(&f, DESK, 0, 20);
	show(&f, SHEET, 0, 30);
	CHECK_INT(f.taken, 0);
	show(&f, PAGE_A, 0, 20);
	for (int light = 0; light > -60; light--) /* dusk */
		show(&f, PAGE_A, light, 5);
	CHECK_INT(f.taken, 1);
	show(&f, PAGE_B, -60, 20);
	CHECK_INT(f.taken, 2);
}

/* What never rests is never taken; what may not be taken yet is asked for again and again. */
TEST(rest_is_needed_and_lasts)
{
	struct film f = {};
	unsigned int asked = 0;

	show(&f, DESK, 0, 20);
	for (int i = 0; i < 50; i++)
		show(&f, i % 2 ? PAGE_A : PAGE_B, 0, 3);
	CHECK_INT(f.taken, 0);
	for (int i = 0; i < 30; i++) {
		struct glance g = scene(PAGE_A, 0, f.now_ms += 100);

		asked += arrival_feed(&f.a, &g);
	}
	CHECK(asked > 20);
	show(&f, PAGE_A, 0, 10);
	CHECK_INT(f.taken, 1);
}
