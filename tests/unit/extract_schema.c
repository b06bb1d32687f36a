#include "tests/unit/test.h"

#include "extract/schema.h"

static cJSON *parsed(const char *json)
{
	cJSON *j = NULL;

	if (json_parse(json, strlen(json), &j, NULL) < 0)
		test_fail(__FILE__, __LINE__, "test's own JSON: %s", json);
	return j;
}

TEST(lint_takes_the_subset)
{
	static const char *const good[] = {
		"{}",
		"{\"type\":\"object\",\"title\":\"T\",\"description\":\"D\",\"additionalProperties\":false,"
		"\"required\":[\"a\"],"
		"\"properties\":{\"a\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":5,\"pattern\":\"^["
		"a-z]+$\"},"
		"\"b\":{\"type\":\"array\",\"maxItems\":3,\"items\":{\"type\":\"integer\"}},\"c\":{\"enum\":["
		"1,\"x\",null,true]},"
		"\"d\":{\"const\":\"x\"},\"e\":{\"type\":\"string\",\"format\":\"date\"}}}",
		"{\"pattern\":\"^-?[0-9]{1,12}\\\\.[0-9]{2}$\"}",
		"{\"additionalProperties\":true}",
		"{\"const\":null}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		_cleanup_json_ cJSON *s = parsed(good[i]);
		char why[200] = "";

		if (schema_lint(s, why, sizeof(why)) < 0)
			test_fail(__FILE__, __LINE__, "%s: %s", good[i], why);
	}
}

TEST(lint_refuses_the_rest)
{
	static const struct {
		const char *schema, *why;
	} bad[] = {
		{"[]", "must be an object"},
		{"true", "must be an object"},
		{"{\"minimum\":1}", "\"minimum\" is not supported"},
		{"{\"$ref\":\"#\"}", "not supported"},
		{"{\"anyOf\":[]}", "not supported"},
		{"{\"Type\":\"string\"}", "not supported"},
		{"{\"minItems\":1}", "not supported"},
		{"{\"uniqueItems\":true}", "not supported"},
		{"{\"oneOf\":[{}]}", "not supported"},
		{"{\"type\":\"text\"}", "type must be"},
		{"{\"type\":[\"string\",\"null\"]}", "type must be"},
		{"{\"type\":1}", "type must be"},
		{"{\"properties\":[]}", "properties must be"},
		{"{\"properties\":{\"a\":1}}", "a: a schema must"},
		{"{\"properties\":{\"a\":{\"items\":{\"x\":1}}}}", "a[]: keyword"},
		{"{\"items\":[{}]}", "must be an object"},
		{"{\"items\":false}", "must be an object"},
		{"{\"required\":\"a\"}", "required must"},
		{"{\"required\":[1]}", "required must"},
		{"{\"required\":[\"a\",\"a\"]}", "twice"},
		{"{\"additionalProperties\":{}}", "true or false"},
		{"{\"enum\":[]}", "enum must"},
		{"{\"enum\":{}}", "enum must"},
		{"{\"enum\":[[1]]}", "enum may hold"},
		{"{\"const\":{}}", "const must"},
		{"{\"minLength\":-1}", "minLength must"},
		{"{\"maxLength\":1.5}", "maxLength must"},
		{"{\"maxItems\":\"3\"}", "maxItems must"},
		{"{\"maxLength\":1e12}", "maxLength must"},
		{"{\"format\":\"email\"}", "format must"},
		{"{\"format\":1}", "format must"},
		{"{\"pattern\":1}", "pattern must"},
		{"{\"pattern\":\"(\"}", "not an extended"},
		{"{\"pattern\":\"^\\\\d+$\"}", "backslash"},
		{"{\"pattern\":\"(a)\\\\1\"}", "backslash"},
		{"{\"pattern\":\"(?:a)\"}", "not allowed"},
		{"{\"pattern\":\"[[:digit:]]\"}", "not allowed"},
		{"{\"pattern\":\"((a{1,99}){1,99}){1,99}\"}", "repeats too much"},
		{"{\"pattern\":\"a{99999999999}\"}", "repeats too much"},
		{"{\"pattern\":\"a+++++++++++\"}", "repeats too much"},
		{"{\"pattern\":\"(((((((((((a+)+)+)+)+)+)+)+)+)+)+)+\"}", "repeats too much"},
		{"{\"pattern\":\"((a?b?c?d?e?f?g?){10})+++\"}", "may be left out"},
		{"{\"pattern\":\"a%+??????????????????????????????????????????????????????????????????????????????++++/\"}",
			"may be left out"},
		{"{\"pattern\":\"a{3\"}", "not a repetition"},
		{"{\"pattern\":\"a{x}\"}", "not a repetition"},
		{"{\"pattern\":\"\xc3\xa9\"}", "ASCII"},
		{"{\"pattern\":\"a\\\\\"}", "backslash"},
		{"{\"description\":1}", "description must"},
		{"{\"title\":[]}", "title must"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_json_ cJSON *s = parsed(bad[i].schema);
		char why[200] = "";

		if (schema_lint(s, why, sizeof(why)) != -EINVAL || !strstr(why, bad[i].why))
			test_fail(__FILE__, __LINE__, "%s: \"%s\", want \"%s\"", bad[i].schema, why,
				bad[i].why);
	}
}

TEST(lint_caps_depth_and_pattern)
{
	_cleanup_json_ cJSON *deep = cJSON_CreateObject(), *longer = cJSON_CreateObject();
	char pattern[400], why[200];

	CHECK(deep && longer);
	for (int i = 0; i < 30; i++) {
		cJSON *outer = cJSON_CreateObject();

		cJSON_AddItemToObject(outer, "items", deep);
		deep = outer;
	}
	CHECK(schema_lint(deep, why, sizeof(why)) == -EINVAL);
	CHECK(strstr(why, "nested deeper"));
	memset(pattern, 'a', sizeof(pattern));
	pattern[sizeof(pattern) - 1] = 0;
	json_add_string(longer, "pattern", pattern);
	CHECK(schema_lint(longer, why, sizeof(why)) == -EINVAL);
	CHECK(strstr(why, "too long"));
	CHECK(schema_lint(longer, NULL, 0) == -EINVAL);
}

struct seen {
	int n;
	char text[400];
};

static int note(void *ud, const char *path, const char *what)
{
	struct seen *s = ud;
	size_t len = strlen(s->text);

	s->n++;
	if (len < sizeof(s->text))
		snprintf(s->text + len, sizeof(s->text) - len, "%s|%s;", path, what);
	return 0;
}

TEST(each_keyword_holds_and_fails)
{
	static const struct {
		const char *schema, *value;
		int violations;
		const char *text;
	} t[] = {
		{"{}", "[1,{\"a\":null}]", 0, ""},
		{"{\"type\":\"string\"}", "\"x\"", 0, ""},
		{"{\"type\":\"string\"}", "1", 1, "|is not of type string;"},
		{"{\"type\":\"number\"}", "1.5", 0, ""},
		{"{\"type\":\"number\"}", "\"1\"", 1, "not of type number"},
		{"{\"type\":\"integer\"}", "3", 0, ""},
		{"{\"type\":\"integer\"}", "3.0", 0, ""},
		{"{\"type\":\"integer\"}", "3.5", 1, "integer"},
		{"{\"type\":\"boolean\"}", "false", 0, ""},
		{"{\"type\":\"boolean\"}", "0", 1, "boolean"},
		{"{\"type\":\"null\"}", "null", 0, ""},
		{"{\"type\":\"null\"}", "0", 1, "null"},
		{"{\"type\":\"string\"}", "null", 1, "string"},
		{"{\"type\":\"object\"}", "{}", 0, ""},
		{"{\"type\":\"object\"}", "[]", 1, "object"},
		{"{\"type\":\"array\"}", "[]", 0, ""},
		{"{\"type\":\"array\"}", "{}", 1, "array"},
		{"{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"a\":\"x\",\"b\":1}", 0, ""},
		{"{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"a\":1}", 1,
			"a|is not of type string;"},
		{"{\"properties\":{\"a\":{\"type\":\"string\"}}}", "[1]", 0, ""},
		{"{\"required\":[\"a\",\"b\"]}", "{\"a\":null}", 1, "|has no b;"},
		{"{\"required\":[\"a\"]}", "{\"A\":1}", 1, "has no a"},
		{"{\"additionalProperties\":false,\"properties\":{\"a\":{}}}", "{\"a\":1}", 0, ""},
		{"{\"additionalProperties\":false,\"properties\":{\"a\":{}}}", "{\"a\":1,\"b\":2}", 1,
			"|may not have a member b;"},
		{"{\"additionalProperties\":true,\"properties\":{\"a\":{}}}", "{\"b\":2}", 0, ""},
		{"{\"additionalProperties\":false}", "{\"b\":2}", 1, "member b"},
		{"{\"items\":{\"type\":\"integer\"}}", "[1,2]", 0, ""},
		{"{\"items\":{\"type\":\"integer\"}}", "[1,\"x\",2,null]", 2,
			"[1]|is not of type integer;[3]|"},
		{"{\"enum\":[\"a\",1,null,true]}", "1", 0, ""},
		{"{\"enum\":[\"a\",1,null,true]}", "null", 0, ""},
		{"{\"enum\":[\"a\"]}", "\"A\"", 1, "allowed values"},
		{"{\"enum\":[1]}", "\"1\"", 1, "allowed"},
		{"{\"const\":\"a\"}", "\"a\"", 0, ""},
		{"{\"const\":\"a\"}", "\"b\"", 1, "only allowed"},
		{"{\"const\":null}", "null", 0, ""},
		{"{\"const\":null}", "0", 1, "only"},
		{"{\"minLength\":2}", "\"ab\"", 0, ""},
		{"{\"minLength\":2}", "\"a\"", 1, "fewer than 2"},
		{"{\"minLength\":2}", "\"\xc3\xa9\"", 1, "1 characters"},
		{"{\"minLength\":2}", "5", 0, ""},
		{"{\"maxLength\":2}", "\"\xc3\xa9\xc3\xa9\"", 0, ""},
		{"{\"maxLength\":2}", "\"abc\"", 1, "has 3 characters, more than 2"},
		{"{\"maxItems\":2}", "[1,2]", 0, ""},
		{"{\"maxItems\":2}", "[1,2,3]", 1, "more than 2"},
		{"{\"maxItems\":0}", "[]", 0, ""},
		{"{\"pattern\":\"^[0-9]{3}$\"}", "\"123\"", 0, ""},
		{"{\"pattern\":\"^[0-9]{3}$\"}", "\"1234\"", 1, "pattern"},
		{"{\"pattern\":\"b\"}", "\"abc\"", 0, ""},
		{"{\"pattern\":\"^b\"}", "\"abc\"", 1, "pattern"},
		{"{\"pattern\":\"x\"}", "5", 0, ""},
		{"{\"format\":\"date\"}", "\"2026-11-21\"", 0, ""},
		{"{\"format\":\"date\"}", "\"2026-02-29\"", 1, "not a date"},
		{"{\"format\":\"date\"}", "\"21/11/2026\"", 1, "not a date"},
		{"{\"format\":\"date\"}", "7", 0, ""},
		{"{\"properties\":{\"l\":{\"items\":{\"properties\":{\"m\":{\"type\":\"string\"}}}}}}",
			"{\"l\":[{},{},{\"m\":1}]}", 1, "l[2].m|"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		_cleanup_json_ cJSON *s = parsed(t[i].schema), *v = parsed(t[i].value);
		struct seen seen = {};
		char why[200];
		int n;

		if (schema_lint(s, why, sizeof(why)) < 0)
			test_fail(__FILE__, __LINE__, "%s: lint: %s", t[i].schema, why);
		n = schema_validate(s, v, note, &seen);
		if (n != t[i].violations || seen.n != n || !strstr(seen.text, t[i].text))
			test_fail(__FILE__, __LINE__, "%s on %s: %d, \"%s\"", t[i].schema, t[i].value, n,
				seen.text);
		CHECK_INT(schema_validate(s, v, NULL, NULL), t[i].violations);
	}
}

static int stop_at_first(void *ud, const char *path, const char *what)
{
	++*(int *)ud;
	return 1;
}

TEST(callback_can_stop)
{
	_cleanup_json_ cJSON *s = parsed("{\"items\":{\"type\":\"string\"}}"), *v = parsed("[1,2,3,4]");
	int calls = 0;

	CHECK_INT(schema_validate(s, v, stop_at_first, &calls), 1);
	CHECK_INT(calls, 1);
}

TEST(hostile_names_and_lengths)
{
	_cleanup_json_ cJSON *s =
		parsed("{\"additionalProperties\":false,\"properties\":{\"p\":{\"pattern\":\"^a*$\"}}}");
	_cleanup_json_ cJSON *v = cJSON_CreateObject();
	char name[3000], *text = malloc(200000);
	struct seen seen = {};

	CHECK(v && text);
	memset(name, 'n', sizeof(name));
	memcpy(name, "\x1b[31m", 5);
	name[sizeof(name) - 1] = 0;
	json_add_bool(v, name, true);
	memset(text, 'a', 200000);
	text[199999] = 0;
	json_add_string(v, "p", text);
	free(text);
	CHECK_INT(schema_validate(s, v, note, &seen), 2);
	CHECK(!strchr(seen.text, '\x1b'));
	CHECK(strstr(seen.text, "p|is too long to be matched"));
}
