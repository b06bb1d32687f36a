#include "tests/unit/test.h"

#include "base/json.h"

static int parse(const char *s)
{
	_cleanup_json_ cJSON *j = NULL;

	return json_parse(s, strlen(s), &j, NULL);
}

TEST(accepts_json)
{
	for (const char *const *s = (const char *const[]){"{}", "[]", "null", "true", "false", "0", "-0",
		     "-1.5e-3", "1E+2", "\"\"", " \t\r\n{ \"a\" : [ 1 , 2 ] } \n",
		     "\"\\u00e9\\ud83d\\ude00\\n\\/\"", "\"\xc3\xa9\"", "[[[]]]", "{\"\":1}",
		     "{\"a\":1,\"A\":2}", "1e308", NULL};
		*s; s++)
		if (parse(*s) != 0)
			test_fail(__FILE__, __LINE__, "%s", *s);
}

TEST(refuses_what_is_not)
{
	for (const char *const *s = (const char *const[]){"", " ", "{", "[", "[1,]", "{\"a\":1,}", "{a:1}",
		     "{'a':1}", "{\"a\"}", "01", "1.", ".5", "+1", "-", "1e", "1e+", "0x1", "NaN", "Infinity",
		     "nul", "truex", "\"", "\"\\x\"", "\"\\u12\"", "\"\\u000\"", "\"\\ud800\"",
		     "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"a\nb\"", "\"\t\"", "[1 2]", "{} x", "[]]",
		     "{}{}", "\xef\xbb\xbf{}", "\"\xff\"", "\"\xed\xa0\x80\"", "\"\xc0\xaf\"", "\v1",
		     "// c\n1", "[1,,2]", "1e999", "-1e999", "[1e400]", "{\"a\":1,\"a\":2}",
		     "{\"a\":1,\"b\":{},\"\\u0061\":2}", "\"\\u0000\"", "{\"a\\u0000b\":1}",
		     "1111111111111111111111111111111111111111111111111111111111111111", NULL};
		*s; s++)
		if (parse(*s) != -EBADMSG)
			test_fail(__FILE__, __LINE__, "%s", *s);
}

TEST(nul_bytes)
{
	_cleanup_json_ cJSON *j = NULL;

	CHECK_INT(json_parse("1\0", 2, &j, NULL), -EBADMSG);
	CHECK_INT(json_parse("\"a\0\"", 4, &j, NULL), -EBADMSG);
	CHECK_INT(json_parse("[\0]", 3, &j, NULL), -EBADMSG);
	CHECK(!j);
}

TEST(length_counts_not_the_nul)
{
	_cleanup_json_ cJSON *j = NULL, *n = NULL;

	CHECK_INT(json_parse("[12]34", 4, &j, NULL), 0);
	CHECK_INT(json_parse("1234", 2, &n, NULL), 0);
	CHECK(n->valuedouble == 12);
}

static int nested(int depth, char open, char close)
{
	char s[512];
	int n = 0;

	for (int i = 0; i < depth; i++) {
		s[n++] = open;
		if (open == '{' && i < depth - 1) {
			memcpy(s + n, "\"a\":", 4);
			n += 4;
		}
	}
	for (int i = 0; i < depth; i++)
		s[n++] = close;
	s[n] = 0;
	return parse(s);
}

TEST(depth)
{
	CHECK_INT(nested(JSON_MAX_DEPTH, '[', ']'), 0);
	CHECK_INT(nested(JSON_MAX_DEPTH + 1, '[', ']'), -EBADMSG);
	CHECK_INT(nested(JSON_MAX_DEPTH, '{', '}'), 0);
	CHECK_INT(nested(JSON_MAX_DEPTH + 1, '{', '}'), -EBADMSG);
	CHECK_INT(parse("[[],[],[],{},{},[[]]]"), 0); /* depth, not count */
}

TEST(a_great_many_brackets)
{
	_cleanup_free_ char *s = malloc(1 << 20);
	_cleanup_json_ cJSON *j = NULL;

	memset(s, '[', 1 << 20);
	CHECK_INT(json_parse(s, 1 << 20, &j, NULL), -EBADMSG);
}

TEST(a_great_many_members)
{
	_cleanup_buf_ struct buf b = {};
	_cleanup_json_ cJSON *j = NULL;

	buf_addc(&b, '{');
	for (int i = 0; i < 50000; i++)
		buf_addf(&b, "\"k%d\":0,", i);
	buf_adds(&b, "\"k49999\":1}");
	CHECK_INT(json_parse(b.data, b.len, &j, NULL), -EBADMSG);
}

TEST(offset_of_the_error)
{
	_cleanup_json_ cJSON *j = NULL;
	size_t at = 99;

	CHECK_INT(json_parse("{\"a\": x}", 8, &j, &at), -EBADMSG);
	CHECK_INT(at, 6);
	CHECK_INT(json_parse("[1] ?", 5, &j, &at), -EBADMSG);
	CHECK_INT(at, 4);
}

TEST(prefix)
{
	_cleanup_json_ cJSON *j = NULL, *k = NULL;
	const char *s = " {\"a\":1} and so on } \xff";
	size_t used = 0;

	CHECK_INT(json_parse_prefix(s, strlen(s), &j, &used), 0);
	CHECK_INT(used, 8);
	CHECK(json_get(j, "a"));
	CHECK_INT(json_parse_prefix("{\"a\":", 5, &k, &used), -EBADMSG);
	CHECK_INT(json_parse_prefix("prose", 5, &k, &used), -EBADMSG);
}

TEST(typed_access)
{
	_cleanup_json_ cJSON *j = NULL;
	const char *s = "{\"s\":\"x\",\"i\":-5,\"f\":1.5,\"e\":1e2,\"big\":9007199254740991,\"huge\":"
			"9007199254740993,\"t\":true,"
			"\"n\":null,\"o\":{},\"a\":[],\"S\":1}";
	int64_t i = 0;
	bool b = false;

	CHECK_INT(json_parse(s, strlen(s), &j, NULL), 0);
	CHECK_STR(json_get_string(j, "s"), "x");
	CHECK(!json_get_string(j, "i") && !json_get_string(j, "none") && !json_get_string(NULL, "s"));
	CHECK(json_get_i64(j, "i", &i) == 0 && i == -5);
	CHECK(json_get_i64(j, "e", &i) == 0 && i == 100);
	CHECK(json_get_i64(j, "big", &i) == 0 && i == INT64_C(9007199254740991));
	CHECK_INT(json_get_i64(j, "huge", &i), -EBADMSG);
	CHECK_INT(json_get_i64(j, "f", &i), -EBADMSG);
	CHECK_INT(json_get_i64(j, "s", &i), -EBADMSG);
	CHECK_INT(json_get_i64(j, "t", &i), -EBADMSG);
	CHECK_INT(json_get_i64(j, "n", &i), -ENOENT);
	CHECK_INT(json_get_i64(j, "none", &i), -ENOENT);
	CHECK_INT(json_get_i64(json_get(j, "a"), "x", &i), -ENOENT); /* an array has no members */
	CHECK(json_get_bool(j, "t", &b) == 0 && b);
	CHECK_INT(json_get_bool(j, "i", &b), -EBADMSG);
	CHECK_INT(json_get_bool(j, "n", &b), -ENOENT);
	CHECK(json_get_object(j, "o") && !json_get_object(j, "a") && json_get_array(j, "a") &&
		!json_get_array(j, "o"));
	CHECK(!cJSON_IsString(json_get(j, "S")));
}

TEST(builds_and_prints)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	_cleanup_buf_ struct buf out = {}, pretty = {};
	int64_t v;

	CHECK_INT(json_add_i64(j, "max", INT64_MAX), 0);
	CHECK_INT(json_add_i64(j, "min", INT64_MIN), 0);
	CHECK_INT(json_add_i64(j, "n", -7), 0);
	CHECK_INT(json_add_string(j, "s", "q\"\\\n\x01\xc3\xa9"), 0);
	CHECK_INT(json_add_string(j, "z", NULL), 0);
	CHECK_INT(json_add_string(j, "bad",
			  "a\xff"
			  "b"),
		0);
	CHECK_INT(json_add_bool(j, "b", true), 0);
	CHECK_INT(json_add_take(j, "a", cJSON_CreateArray()), 0);
	CHECK_INT(json_print(j, false, &out), 0);
	CHECK_STR(buf_str(&out), "{\"max\":9223372036854775807,\"min\":-9223372036854775808,\"n\":-7,\"s\":"
				 "\"q\\\"\\\\\\n\\u0001\xc3\xa9\","
				 "\"z\":null,\"bad\":\"a\xef\xbf\xbd"
				 "b\",\"b\":true,\"a\":[]}");
	CHECK_INT(parse(buf_str(&out)), 0);
	CHECK_INT(json_print(j, true, &pretty), 0);
	CHECK(strstr(buf_str(&pretty), "\n\t\"n\": -7,\n"));
	CHECK(json_get_i64(j, "n", &v) == 0 && v == -7); /* before printing and parsing again, too */
	CHECK_INT(json_get_i64(j, "max", &v), -EBADMSG);
}

static void check_print(const char *text, bool pretty, const char *want)
{
	_cleanup_json_ cJSON *j = NULL;
	_cleanup_buf_ struct buf out = {};

	CHECK_INT(json_parse(text, strlen(text), &j, NULL), 0);
	CHECK_INT(json_print(j, pretty, &out), 0);
	CHECK_STR(buf_str(&out), want);
}

TEST(numbers_come_back)
{
	check_print("[0,-0,1,-17,2147483648,1795219200007,9007199254740991,-9007199254740992]", false,
		"[0,-0,1,-17,2147483648,1795219200007,9007199254740991,-9007199254740992]");
	check_print("[0.1,0.30000000000000004,1e21,1.7976931348623157e308,5e-324,1e-7]", false,
		"[0.1,0.30000000000000004,1e+21,1.7976931348623157e+308,4.94065645841247e-324,1e-07]");
}

TEST(pretty)
{
	check_print("{\"a\":{},\"b\":[],\"c\":[1,\"x\"],\"d\":[{\"e\":null}]}", true,
		"{\n\t\"a\": {},\n\t\"b\": [],\n\t\"c\": [1, \"x\"],\n\t\"d\": [\n\t\t{\n\t\t\t\"e\": "
		"null\n\t\t}\n\t]\n}");
}

TEST(printing_is_all_or_nothing)
{
	_cleanup_json_ cJSON *j = NULL;
	_cleanup_buf_ struct buf out = BUF_MAX(8);

	CHECK_INT(json_parse("[1,2,3,4,5]", 11, &j, NULL), 0);
	CHECK_INT(buf_adds(&out, "x"), 0);
	CHECK_INT(json_print(j, false, &out), -EMSGSIZE);
	CHECK_INT(json_quote(&out, "12345678", 8), -EMSGSIZE);
	CHECK_STR(buf_str(&out), "x");
	CHECK_INT(json_print(NULL, false, &out), -ENOMEM);
}

TEST(add_to_nothing)
{
	CHECK_INT(json_add_take(NULL, "a", cJSON_CreateTrue()), -ENOMEM);
	CHECK_INT(json_add_string(NULL, "a", "b"), -ENOMEM);
	CHECK_INT(json_add_take(NULL, "a", NULL), -ENOMEM);
}

TEST(quoting)
{
	_cleanup_buf_ struct buf b = {};

	CHECK_INT(json_quote(&b, "a\"\\\b\f\n\r\t\x1f\0\xff\xc3\xa9/", 14), 0);
	CHECK_STR(buf_str(&b), "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u001f\\u0000\xef\xbf\xbd\xc3\xa9/\"");
	buf_clear(&b);
	CHECK_INT(json_quote(&b, "", 0), 0);
	CHECK_STR(buf_str(&b), "\"\"");
}
