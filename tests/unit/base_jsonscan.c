#include <stdio.h>

#include "base/jsonscan.h"
#include "tests/unit/test.h"

static int scan(const char *text, size_t piece)
{
	struct jsonscan s = {};
	size_t len = strlen(text);
	int r = 0;

	for (size_t at = 0; at < len; at += piece)
		r = jsonscan_take(&s, text + at, MIN(piece, len - at));
	return r;
}

/* A text that is one object, in which whatever comes before its last byte is none yet. */
static const char whole[] =
	" {\"a\" : [ ], \"b\":{}, \"\\u00e4\\n\":[1,-0,0.5,-12.25e+3,1E9,true,false,null,\"x\\\"\\\\\\/\\b\\f\\n\\r\\t\\u183d\"],\"c\":{\"d\":[[{}]]}}";

TEST(an_object_is_whole_at_its_last_byte)
{
	for (size_t piece = 1; piece <= sizeof(whole); piece++)
		CHECK_INT(scan(whole, piece), 1);
	for (size_t len = 0; len + 1 < sizeof(whole) - 1; len++) {
		struct jsonscan s = {};

		CHECK_INT(jsonscan_take(&s, whole, len), 0);
	}
	CHECK_INT(scan("{} \n\t\r", 2), 1);
}

/* Says what the parser says, of every text that is a good one with a byte changed or left out. */
TEST(agrees_with_the_parser)
{
	static const char bytes[] = "{}[],:\"\\ 0-+.eEtu/\n\x01x";
	char text[sizeof(whole)];

	for (size_t i = 0; i < sizeof(whole) - 1; i++) {
		for (size_t k = 0; k < sizeof(bytes); k++) {
			_cleanup_json_ cJSON *j = NULL;
			bool is_object;

			memcpy(text, whole, sizeof(whole));
			if (k < sizeof(bytes) - 1)
				text[i] = bytes[k];
			else
				memmove(text + i, text + i + 1, sizeof(whole) - i - 1);
			is_object = json_parse(text, strlen(text), &j, NULL) == 0 && cJSON_IsObject(j);
			if ((scan(text, 5) == 1) != is_object)
				test_fail(__FILE__, __LINE__, "%d, but the parser says %d: %s", scan(text, 5), is_object, text);
		}
	}
}

TEST(what_is_none_stays_none)
{
	static const char *const none[] = {"[", "x", "\"", "1", "{a", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":[1,]}", "{\"a\":01", "{\"a\":-x",
		"{\"a\":1.}", "{\"a\":1e}", "{\"a\":tru}", "{\"a\":nulll", "{\"a\":\"\t", "{\"a\":\"\\x", "{\"a\":\"\\u12g", "{]", "{\"a\":[}", "{}x", "{}{"};
	struct jsonscan s = {};
	char deep[JSON_MAX_DEPTH + 8] = "{\"a\":";

	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		CHECK_INT(scan(none[i], 1), -EBADMSG);
	CHECK_INT(jsonscan_take(&s, "{}x", 3), -EBADMSG);
	CHECK_INT(jsonscan_take(&s, "", 0), -EBADMSG);
	memset(deep + 5, '[', JSON_MAX_DEPTH - 1);
	CHECK_INT(scan(deep, 1), 0);
	deep[JSON_MAX_DEPTH + 4] = '[';
	CHECK_INT(scan(deep, 1), -EBADMSG);
}
