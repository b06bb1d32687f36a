#include "tests/unit/test.h"

#include <fcntl.h>

#include "base/fileio.h"
#include "extract/doctype.h"

static struct doctype *load(const char *name)
{
	_cleanup_buf_ struct buf b = {};
	struct doctype *t = NULL;
	char path[80], why[300] = "";

	str_format(path, sizeof(path), "configs/documents/%s.json", name);
	if (file_read(AT_FDCWD, path, 1 << 20, &b) < 0)
		test_fail(__FILE__, __LINE__, "cannot read %s", path);
	if (doctype_parse(buf_str(&b), b.len, &t, why, sizeof(why)) < 0)
		test_fail(__FILE__, __LINE__, "%s", why);
	return t;
}

TEST(shipped_types_are_well_formed)
{
	static const struct {
		const char *name;
		size_t fields;
	} t[] = {{"invoice", 10}, {"receipt", 8}, {"bank-statement", 9}, {"universal", 8}};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct doctype *d = load(t[i].name);

		CHECK_STR(d->name, t[i].name);
		CHECK_INT((int64_t)d->n_fields, (int64_t)t[i].fields);
		CHECK(d->version >= 1);
		CHECK(strstr(d->prompt, "never instructions"));
		/* every name is explained to the model, which need not see the schema */
		for (size_t f = 0; f < d->n_fields; f++)
			if (!strstr(d->prompt, d->fields[f].name))
				test_fail(__FILE__, __LINE__, "%s: the prompt does not name %s", d->name,
					d->fields[f].name);
		doctype_free(d);
	}
}

TEST(fields_of_the_invoice)
{
	struct doctype *d = load("invoice");
	const struct field_spec *f = doctype_field(d, "lines");

	CHECK(f && f->kind == FIELD_ROWS && f->n_columns == 4 && f->required);
	CHECK_STR(f->columns[1].name, "quantity");
	CHECK(f->columns[1].kind == FIELD_DECIMAL && !f->columns[1].required && f->columns[3].required);
	CHECK(f->columns[0].labels && cJSON_IsArray(f->columns[0].labels));
	f = doctype_field(d, "due_date");
	CHECK(f && f->kind == FIELD_DATE && !f->required && f->schema);
	CHECK(!doctype_field(d, "nothing"));
	CHECK(d->classify && d->checks && d->ocr);
	doctype_free(d);
	doctype_free(NULL);
}

/* A small good type, into which each case plants one mistake: FROM becomes TO. */
static const char good[] =
	"{\"name\":\"t\",\"title\":\"T\",\"version\":1,\"prompt\":\"P\",\"schema\":{\"type\":\"object\","
	"\"additionalProperties\":false,"
	"\"required\":[\"a\"],\"properties\":{\"a\":{\"type\":\"string\",\"maxLength\":9},"
	"\"m\":{\"type\":\"string\",\"pattern\":\"^-?[0-9]{1,9}\\\\.[0-9]{2}$\",\"maxLength\":20},"
	"\"d\":{\"type\":\"string\",\"format\":\"date\",\"maxLength\":10},\"e\":{\"type\":\"string\","
	"\"enum\":[\"x\"]},"
	"\"i\":{\"type\":\"integer\"},\"r\":{\"type\":\"array\",\"maxItems\":3,\"items\":{\"type\":"
	"\"object\","
	"\"additionalProperties\":false,\"required\":[\"c\"],\"properties\":{\"c\":{\"type\":\"string\","
	"\"maxLength\":5}}}}}},"
	"\"fields\":[{\"name\":\"a\",\"title\":\"A\",\"kind\":\"text\",\"required\":true,\"labels\":[\"La\"]}"
	","
	"{\"name\":\"m\",\"title\":\"M\",\"kind\":\"money\"},{\"name\":\"d\",\"title\":\"D\",\"kind\":"
	"\"date\"},"
	"{\"name\":\"e\",\"title\":\"E\",\"kind\":\"enum\"},{\"name\":\"i\",\"title\":\"I\",\"kind\":"
	"\"integer\"},"
	"{\"name\":\"r\",\"title\":\"R\",\"kind\":\"rows\",\"columns\":[{\"name\":\"c\",\"title\":\"C\","
	"\"kind\":\"text\"}]}],"
	"\"classify\":[\"word\"],\"checks\":[],\"ocr\":{}}";

static void plant(const char *from, const char *to, struct buf *out)
{
	const char *at = strstr(good, from);

	if (!at)
		test_fail(__FILE__, __LINE__, "nothing to replace: %s", from);
	buf_add(out, good, (size_t)(at - good));
	buf_adds(out, to);
	buf_adds(out, at + strlen(from));
}

TEST(mistakes_are_named)
{
	static const struct {
		const char *from, *to, *why;
	} bad[] = {
		{"{\"name\":\"t\"", "{\"name\":\"T t\"", "name: must be"},
		{"{\"name\":\"t\"", "{\"name\":\"auto\"", "not \"auto\""},
		{"\"version\":1", "\"version\":0", "version"},
		{"\"version\":1", "\"version\":\"1\"", "version"},
		{"\"prompt\":\"P\"", "\"prompt\":\"\"", "prompt"},
		{"\"title\":\"T\"", "\"title\":7", "title"},
		{"\"ocr\":{}", "\"ocr\":[]", "ocr: must be"},
		{"\"ocr\":{}", "\"image\":true", "image: must be"},
		{"\"ocr\":{}", "\"image\":{\"flat\":true}", "image: unknown member \"flat\""},
		{"\"ocr\":{}", "\"image\":{\"flatten\":1}", "must be true or false"},
		{"\"ocr\":{}", "\"image\":{\"contrast\":\"no\"}", "must be true or false"},
		{"\"ocr\":{}", "\"orc\":{}", "unknown member \"orc\""},
		{"\"classify\":[\"word\"]", "\"classify\":[\"\"]", "classify"},
		{"\"classify\":[\"word\"]", "\"classify\":\"word\"", "classify"},
		{"\"checks\":[]", "\"checks\":{}", "checks"},
		{"\"checks\":[]", "\"checks\":[{\"check\":\"magic\"}]", "checks[0]: check must be"},
		{"\"checks\":[]", "\"checks\":[{\"check\":\"abn\",\"field\":\"a\"}]", "kind abn"},
		{"\"checks\":[]", "\"checks\":[{\"check\":\"gst\",\"gst\":\"m\"}]", "total is missing"},
		{"\"checks\":[]",
			"\"checks\":[{\"check\":\"gst\",\"gst\":\"m\",\"total\":\"m\",\"nett\":\"m\"}]",
			"unknown member \"nett\""},
		{"\"checks\":[]",
			"\"checks\":[{\"check\":\"gst\",\"gst\":\"m\",\"total\":\"m\",\"mixed\":1}]",
			"mixed must be true"},
		{"\"checks\":[]",
			"\"checks\":[{\"check\":\"sum\",\"rows\":\"r\",\"column\":\"c\",\"total\":\"m\"}]",
			"column of kind money"},
		{"\"checks\":[]",
			"\"checks\":[{\"check\":\"sum\",\"rows\":\"m\",\"column\":\"c\",\"total\":\"m\"}]",
			"kind rows"},
		{"\"schema\":", "\"schemas\":", "unknown member"},
		{"\"type\":\"integer\"", "\"type\":\"integer\",\"minimum\":1",
			"\"minimum\" is not supported"},
		{"\"i\":{\"type\":\"integer\"}", "\"i\":{\"type\":\"number\"}", "must be \"integer\""},
		{"\"a\":{\"type\":\"string\",\"maxLength\":9}", "\"a\":{\"type\":\"string\"}",
			"fields[0]: the schema has no maxLength"},
		{"\"maxItems\":3,", "", "no maxItems"},
		{"\"additionalProperties\":false,", "", "additionalProperties false"},
		{"\"pattern\":\"^-?[0-9]{1,9}\\\\.[0-9]{2}$\",", "", "takes \"12\""},
		{"^-?[0-9]", "^[0-9]", "refuses \"-3.00\""},
		{"\"format\":\"date\",", "", "needs \"format\""},
		{"\"enum\":[\"x\"]", "\"enum\":[1]", "texts only"},
		{"\"kind\":\"money\"", "\"kind\":\"cash\"", "fields[1]: kind must be"},
		{"\"kind\":\"integer\"", "\"kind\":\"text\"", "must be \"string\""},
		{"\"name\":\"m\"", "\"name\":\"M\"", "fields[1]: name must"},
		{"\"name\":\"m\"", "\"name\":\"mm\"", "not in the schema"},
		{"\"name\":\"d\",", "\"name\":\"m\",", "fields[2]"},
		{"\"kind\":\"date\"", "\"kind\":\"date\",\"label\":[]", "unknown member \"label\""},
		{"\"labels\":[\"La\"]", "\"labels\":[1]", "must hold texts"},
		{"\"required\":true,", "\"required\":false,", "required by the schema but not here"},
		{"\"required\":true,", "\"required\":1,", "required must be"},
		{"\"required\":[\"a\"]", "\"required\":[\"a\",\"zz\"]", "no property"},
		{"{\"name\":\"i\",\"title\":\"I\",\"kind\":\"integer\"},", "", "property \"i\" is no field"},
		{"\"columns\":[{", "\"columns\":[{\"required\":true,", "of a column"},
		{",\"columns\":[{\"name\":\"c\",\"title\":\"C\",\"kind\":\"text\"}]", "", "columns belong"},
		{"\"columns\":[{\"name\":\"c\",\"title\":\"C\",\"kind\":\"text\"}]", "\"columns\":[]",
			"fields[5].columns"},
		{"\"kind\":\"date\"", "\"kind\":\"date\",\"columns\":[]", "columns belong"},
		{"{\"name\":\"m\",",
			"{\"name\":\"a\",\"title\":\"A\",\"kind\":\"text\",\"required\":true},{\"name\":"
			"\"m\",",
			"there are two fields a"},
		{"\"fields\":[", "\"fields\":[7,", "fields[0]: must be an object"},
		{"{\"name\":\"t\"", "[{\"name\":\"t\"", "well-formed"},
		{"\"ocr\":{}", "\"system\":\"\"", "system: must be a text"},
		{"\"ocr\":{}", "\"system\":[\"S\"]", "system: must be a text"},
		{"\"ocr\":{}", "\"form\":\"json\"", "form: must be"},
		{"\"ocr\":{}", "\"form\":true", "form: must be"},
		{"\"ocr\":{}", "\"temperature\":1.01", "temperature: must be a number from 0 to 1"},
		{"\"ocr\":{}", "\"temperature\":\"0\"", "temperature: must be"},
		{"\"ocr\":{}", "\"topP\":-0.1", "topP: must be"},
		{"\"ocr\":{}", "\"topP\":0.5,\"temperature\":0.5", "take one of them"},
		{"\"ocr\":{}", "\"topK\":0", "topK: must be an integer from 1 to 128"},
		{"\"ocr\":{}", "\"topK\":129", "topK: must be"},
		{"\"ocr\":{}", "\"topK\":1.5", "topK: must be"},
		{"\"ocr\":{}", "\"examples\":[]", "examples: must be an array of 1 to 8"},
		{"\"ocr\":{}", "\"examples\":{}", "examples: must be"},
		{"\"ocr\":{}", "\"examples\":[1]", "examples[0]: must have"},
		{"\"ocr\":{}", "\"examples\":[{\"page\":\"p\",\"answer\":\"a\"}]", "examples[0]: must have"},
		{"\"ocr\":{}", "\"examples\":[{\"page\":\"p\",\"answer\":{\"a\":\"x\"},\"more\":1}]", "nothing else"},
		{"\"ocr\":{}", "\"examples\":[{\"page\":\"\",\"answer\":{\"a\":\"x\"}}]", "examples[0].page: must be"},
		{"\"ocr\":{}", "\"examples\":[{\"page\":\"p\",\"answer\":{}}]", "examples[0].answer: is empty"},
		{"\"ocr\":{}", "\"examples\":[{\"page\":\"p\",\"answer\":{\"a\":\"x\"}},{\"page\":\"p\",\"answer\":{\"m\":\"1.00\"}}]",
			"examples[1].answer: the schema refuses it: has no a"},
		{"\"ocr\":{}", "\"examples\":[{\"page\":\"p\",\"answer\":{\"a\":\"x\",\"m\":\"1\"}}]", "refuses it: m: "},
	};
	struct doctype *t;
	char why[300] = "";

	if (doctype_parse(good, strlen(good), &t, why, sizeof(why)) < 0)
		test_fail(__FILE__, __LINE__, "the good one: %s", why);
	doctype_free(t);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_buf_ struct buf b = {};
		int e;

		why[0] = 0;
		plant(bad[i].from, bad[i].to, &b);
		e = doctype_parse(buf_str(&b), b.len, &t, why, sizeof(why));
		if (e == 0)
			doctype_free(t);
		if (e != -EBADMSG || !strstr(why, bad[i].why))
			test_fail(__FILE__, __LINE__, "case %zu: %d \"%s\", want \"%s\"", i, e, why,
				bad[i].why);
	}
}

TEST(how_a_model_is_asked)
{
	_cleanup_buf_ struct buf plain = {}, said = {};
	struct doctype *t;
	char why[300] = "";

	CHECK_INT(doctype_parse(good, strlen(good), &t, why, sizeof(why)), 0);
	CHECK(!t->image_flatten && !t->image_contrast);
	CHECK(!t->ask.system && !t->ask.plain && !t->ask.examples && !t->ask.temperature && !t->ask.top_p && !t->ask.top_k);
	doctype_free(t);
	plant("\"ocr\":{}", "\"form\":\"plain\",\"topP\":0.25,\"topK\":128,\"system\":\"S\"", &plain);
	CHECK_INT(doctype_parse(buf_str(&plain), plain.len, &t, why, sizeof(why)), 0);
	CHECK(t->ask.plain && t->ask.top_p->valuedouble == 0.25 && t->ask.top_k == 128);
	CHECK_STR(t->ask.system, "S");
	doctype_free(t);
	buf_clear(&plain);
	plant("\"ocr\":{}", "\"image\":{\"flatten\":true,\"contrast\":false}", &plain);
	CHECK_INT(doctype_parse(buf_str(&plain), plain.len, &t, why, sizeof(why)), 0);
	CHECK(t->image_flatten && !t->image_contrast);
	doctype_free(t);
	plant("\"ocr\":{}", "\"form\":\"tool\",\"temperature\":1,\"examples\":[{\"answer\":{\"a\":\"x\"},\"page\":\"p\"}]", &said);
	CHECK_INT(doctype_parse(buf_str(&said), said.len, &t, why, sizeof(why)), 0);
	CHECK(!t->ask.plain && t->ask.temperature->valuedouble == 1 && !t->ask.top_k && cJSON_GetArraySize(t->ask.examples) == 1);
	doctype_free(t);
}

TEST(not_a_type_at_all)
{
	static const char *const texts[] = {"", "null", "[]", "{", "{}", "{\"name\":null}", "\"x\"", "\xff",
		"{\"name\":\"a\",\"name\":\"a\"}"};
	struct doctype *t = NULL;
	char why[300];

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		CHECK_INT(doctype_parse(texts[i], strlen(texts[i]), &t, why, sizeof(why)), -EBADMSG);
	CHECK_INT(doctype_parse(good, (size_t)300 * 1024, &t, why, sizeof(why)), -EBADMSG);
	CHECK(strstr(why, "larger than"));
	CHECK(!t);
}

static void add_type(struct buf *out, const char *name)
{
	char head[60];

	if (out->len > 1)
		buf_addc(out, ',');
	str_format(head, sizeof(head), "{\"name\":\"%s\"", name);
	plant("{\"name\":\"t\"", head, out);
}

static struct typeset *set_of(const char *const *names, size_t n)
{
	_cleanup_buf_ struct buf b = {};
	struct typeset *s = NULL;
	char why[300] = "";

	buf_addc(&b, '[');
	for (size_t i = 0; i < n; i++)
		add_type(&b, names[i]);
	buf_addc(&b, ']');
	if (typeset_parse(buf_str(&b), b.len, &s, why, sizeof(why)) < 0)
		test_fail(__FILE__, __LINE__, "%s", why);
	return s;
}

TEST(typeset_selected_reads_back)
{
	struct typeset *s = set_of((const char *const[]){"zebra", "universal", "ant"}, 3), *again;
	_cleanup_buf_ struct buf a = {}, b = {};
	char why[100];

	CHECK(typeset_select(s, "auto", &a) == 0);
	CHECK(typeset_parse(buf_str(&a), a.len, &again, why, sizeof(why)) == 0);
	CHECK(typeset_select(again, "auto", &b) == 0);
	CHECK_STR(buf_str(&a), buf_str(&b));
	CHECK(!strchr(buf_str(&a), '\n') && !strchr(buf_str(&a), '\t'));
	CHECK_STR(typeset_find(again, "ant")->name, "ant");
	CHECK(!typeset_find(again, "bee"));
	typeset_free(s);
	typeset_free(again);
	typeset_free(NULL);
}

TEST(auto_is_universal_first_then_by_name)
{
	struct typeset *x = set_of((const char *const[]){"zebra", "universal", "ant"}, 3);
	struct typeset *y = set_of((const char *const[]){"ant", "zebra", "universal"}, 3), *chosen;
	_cleanup_buf_ struct buf a = {}, b = {}, one = {}, none = {};
	char why[100];

	CHECK(typeset_select(x, "auto", &a) == 0);
	CHECK(typeset_select(y, "auto", &b) == 0);
	CHECK_STR(buf_str(&a), buf_str(&b));
	CHECK(typeset_parse(buf_str(&a), a.len, &chosen, why, sizeof(why)) == 0);
	CHECK_INT((int64_t)chosen->n_types, 3);
	CHECK_STR(chosen->types[0]->name, "universal");
	CHECK_STR(chosen->types[1]->name, "ant");
	typeset_free(chosen);
	CHECK(typeset_select(x, "zebra", &one) == 0);
	CHECK(typeset_parse(buf_str(&one), one.len, &chosen, why, sizeof(why)) == 0);
	CHECK_INT((int64_t)chosen->n_types, 1);
	CHECK_STR(chosen->types[0]->name, "zebra");
	typeset_free(chosen);
	CHECK_INT(typeset_select(x, "bee", &none), -ENOENT);
	typeset_free(x);
	typeset_free(y);
	x = set_of((const char *const[]){"zebra"}, 1);
	CHECK_INT(typeset_select(x, "auto", &none), -ENOENT);
	CHECK_INT((int64_t)none.len, 0);
	typeset_free(x);
}

TEST(typeset_refuses)
{
	_cleanup_buf_ struct buf twice = {}, many = {};
	struct typeset *s = NULL;
	char why[300] = "";

	CHECK_INT(typeset_parse("[]", 2, &s, why, sizeof(why)), -EBADMSG);
	CHECK_INT(typeset_parse("{}", 2, &s, why, sizeof(why)), -EBADMSG);
	CHECK_INT(typeset_parse("[1", 2, &s, why, sizeof(why)), -EBADMSG);
	CHECK_INT(typeset_parse("[1]", 3, &s, why, sizeof(why)), -EBADMSG);
	buf_addc(&twice, '[');
	add_type(&twice, "a");
	add_type(&twice, "a");
	buf_addc(&twice, ']');
	CHECK_INT(typeset_parse(buf_str(&twice), twice.len, &s, why, sizeof(why)), -EBADMSG);
	CHECK(strstr(why, "same name"));
	buf_addc(&many, '[');
	for (int i = 0; i <= TYPESET_MAX; i++) {
		char name[20];

		str_format(name, sizeof(name), "a%d", i);
		add_type(&many, name);
	}
	buf_addc(&many, ']');
	CHECK_INT(typeset_parse(buf_str(&many), many.len, &s, why, sizeof(why)), -EBADMSG);
	CHECK(!s);
}

TEST(kind_names)
{
	CHECK_STR(field_kind_name(FIELD_ROWS), "rows");
	CHECK_STR(field_kind_name(FIELD_ABN), "abn");
	CHECK_STR(field_kind_name((enum field_kind)99), "unknown");
}
