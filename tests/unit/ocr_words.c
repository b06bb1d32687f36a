#include "ocr/words.h"

#include "tests/unit/test.h"

static void add(struct page_words *p, const char *text, int x, int y, int w, int h, int confidence)
{
	CHECK_INT(page_words_add(p,
			  (struct page_word){.x = x,
				  .y = y,
				  .w = w,
				  .h = h,
				  .confidence = confidence,
				  .block = 1,
				  .par = 1,
				  .line = 1},
			  text),
		0);
}

static void check_merged(struct page_words *p, struct page_words *late, const char *want)
{
	struct buf text = {};

	CHECK_INT(page_words_merge_take(p, late), 0);
	CHECK_INT((int64_t)late->n, 0);
	CHECK_INT(page_words_text(p, &text), 0);
	CHECK_STR(buf_str(&text), want);
	buf_free(&text);
	page_words_free(p);
}

TEST(late_words_fill_what_was_empty)
{
	struct page_words p = {}, late = {};

	add(&p, "Safety", 10, 10, 60, 20, 95);
	add(&late, "14", 200, 10, 20, 20, 90);
	check_merged(&p, &late, "Safety\n\n14");
}

TEST(late_words_replace_unsure_ones_only)
{
	struct page_words p = {}, late = {};

	add(&p, "Vrescription", 10, 10, 100, 30, 5);
	add(&p, "Amount", 300, 10, 60, 20, 70);
	add(&late, "Description", 12, 12, 95, 20, 96);
	add(&late, "Arnount", 300, 10, 60, 20, 99);
	check_merged(&p, &late, "Amount\n\nDescription");
}

TEST(of_two_late_words_the_surer_stays)
{
	struct page_words p = {}, late = {};

	add(&p, "x", 0, 500, 10, 10, 95);
	add(&late, "jount", 20, 10, 40, 20, 88);
	add(&late, "Amount", 10, 10, 60, 20, 94);
	check_merged(&p, &late, "x\n\nAmount");
}

TEST(a_letter_given_to_the_neighbour_is_taken_off)
{
	struct page_words p = {}, late = {};

	add(&p, "duct", 10, 10, 40, 20, 95);
	add(&p, "2m", 75, 12, 17, 14, 80);
	add(&p, "2m", 75, 112, 17, 14, 80); /* another line */
	add(&late, "2", 58, 10, 12, 18, 96);
	check_merged(&p, &late, "duct m 2m\n\n2");
}

TEST(json)
{
	struct page_words p = {};
	struct buf json = {};

	add(&p, "\"Caf\xc3\xa9\"", 1, 2, 3, 4, 50);
	add(&p, "b", 5, 6, 7, 8, 100);
	CHECK_INT(page_words_json(&p, &json), 0);
	CHECK_STR(buf_str(&json), "[{\"t\":\"\\\"Caf\xc3\xa9\\\"\",\"b\":[1,2,3,4],\"c\":50,\"l\":[1,1,1]},"
				  "{\"t\":\"b\",\"b\":[5,6,7,8],\"c\":100,\"l\":[1,1,1]}]");
	buf_free(&json);
	page_words_free(&p);
}
