/* The members that say how a model is asked: system, form, examples, temperature, topP, topK. All are optional. */
#include <stdarg.h>
#include <stdio.h>

#include "extract/doctype_internal.h"
#include "extract/schema.h"

#define SYSTEM_MAX  8192
#define PAGE_MAX    16384
#define TOP_K_MAX   128 /* Nova's limit; Claude's is 500 */

static int fail(char *why, size_t size, const char *fmt, ...) _printf_(3, 4);
static int fail(char *why, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(why, size, fmt, ap) < 0 && size)
		why[0] = '\0';
	va_end(ap);
	return -EBADMSG;
}

static int read_system(const cJSON *j, struct doctype_ask *a, char *why, size_t size)
{
	if (!json_get(j, "system"))
		return 0;
	a->system = json_get_string(j, "system");
	if (!a->system || !a->system[0] || strlen(a->system) > SYSTEM_MAX)
		return fail(why, size, "system: must be a text of 1 to %d bytes", SYSTEM_MAX);
	return 0;
}

static int read_form(const cJSON *j, struct doctype_ask *a, char *why, size_t size)
{
	const char *form = json_get_string(j, "form");

	if (!json_get(j, "form"))
		return 0;
	if (!form || (!streq(form, "tool") && !streq(form, "plain")))
		return fail(why, size, "form: must be \"tool\" or \"plain\"");
	a->plain = streq(form, "plain");
	return 0;
}

static int read_fraction(const cJSON *j, const char *name, const cJSON **ret, char *why, size_t size)
{
	const cJSON *n = json_get(j, name);

	if (n && (!cJSON_IsNumber(n) || !(n->valuedouble >= 0 && n->valuedouble <= 1)))
		return fail(why, size, "%s: must be a number from 0 to 1", name);
	*ret = n;
	return 0;
}

static int read_sampling(const cJSON *j, struct doctype_ask *a, char *why, size_t size)
{
	int e = read_fraction(j, "temperature", &a->temperature, why, size);

	if (e == 0)
		e = read_fraction(j, "topP", &a->top_p, why, size);
	if (e < 0)
		return e;
	if (a->temperature && a->top_p)
		return fail(why, size, "topP: there is a temperature: models take one of them");
	if (json_get(j, "topK") && (json_get_i64(j, "topK", &a->top_k) < 0 || a->top_k < 1 || a->top_k > TOP_K_MAX))
		return fail(why, size, "topK: must be an integer from 1 to %d", TOP_K_MAX);
	return 0;
}

struct complaint {
	char *text;
	size_t size;
};

static int first_violation(void *ud, const char *path, const char *what)
{
	struct complaint *c = ud;

	fail(c->text, c->size, "%s%s%s", path, *path ? ": " : "", what);
	return 1;
}

static int read_example(const struct doctype *t, size_t i, const cJSON *example, char *why, size_t size)
{
	const char *page = json_get_string(example, "page");
	const cJSON *answer = json_get_object(example, "answer");
	char text[200] = "";
	struct complaint c = {text, sizeof(text)};
	int e;

	if (!page || !answer || cJSON_GetArraySize(example) != 2)
		return fail(why, size, "examples[%zu]: must have a text \"page\" and an object \"answer\", and nothing else", i);
	if (!page[0] || strlen(page) > PAGE_MAX)
		return fail(why, size, "examples[%zu].page: must be a text of 1 to %d bytes", i, PAGE_MAX);
	if (!answer->child)
		return fail(why, size, "examples[%zu].answer: is empty", i);
	e = schema_validate(t->schema, answer, first_violation, &c);
	return e > 0 ? fail(why, size, "examples[%zu].answer: the schema refuses it: %s", i, text) : e;
}

static int read_examples(const struct doctype *t, const cJSON *j, struct doctype_ask *a, char *why, size_t size)
{
	const cJSON *list = json_get(j, "examples"), *example;
	size_t i = 0;
	int e = 0;

	if (!list)
		return 0;
	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) < 1 || cJSON_GetArraySize(list) > DOCTYPE_EXAMPLES_MAX)
		return fail(why, size, "examples: must be an array of 1 to %d examples", DOCTYPE_EXAMPLES_MAX);
	cJSON_ArrayForEach (example, list) {
		e = read_example(t, i++, example, why, size);
		if (e < 0)
			return e;
	}
	a->examples = list;
	return 0;
}

int doctype_read_ask(struct doctype *t, char *why, size_t why_size)
{
	struct doctype_ask a = {};
	int e = read_system(t->json, &a, why, why_size);

	if (e == 0)
		e = read_form(t->json, &a, why, why_size);
	if (e == 0)
		e = read_sampling(t->json, &a, why, why_size);
	if (e == 0)
		e = read_examples(t, t->json, &a, why, why_size);
	if (e < 0)
		return e;
	t->ask = a;
	return 0;
}
