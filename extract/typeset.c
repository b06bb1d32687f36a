#include <stdio.h>

#include "extract/doctype.h"
#include "extract/doctype_internal.h"

#define TYPESET_TEXT_MAX ((size_t)4 << 20)

void typeset_free(struct typeset *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_types; i++)
		doctype_free(s->types[i]);
	free(s->types);
	free(s);
}

static void typeset_freep(struct typeset **s)
{
	typeset_free(*s);
}

static int fail(char *why, size_t why_size, const char *what)
{
	if (why_size > 0 && snprintf(why, why_size, "document types: %s", what) < 0)
		why[0] = 0;
	return -EBADMSG;
}

static int add_types_of(struct typeset *s, cJSON *array, char *why, size_t why_size)
{
	while (array->child) {
		struct doctype *t;
		int e = doctype_from_json_take(
			cJSON_DetachItemViaPointer(array, array->child), &t, why, why_size);

		if (e < 0)
			return e;
		s->types[s->n_types++] = t;
		if (typeset_find(s, t->name) != t)
			return fail(why, why_size, "two types have the same name");
	}
	return 0;
}

int typeset_parse(const char *text, size_t len, struct typeset **ret, char *why, size_t why_size)
{
	_cleanup_(typeset_freep) struct typeset *s = NULL;
	_cleanup_json_ cJSON *json = NULL;
	int n, e;

	if (len > TYPESET_TEXT_MAX)
		return fail(why, why_size, "too large");
	e = json_parse(text, len, &json, NULL);
	if (e < 0)
		return e == -EBADMSG ? fail(why, why_size, "not well-formed JSON") : e;
	n = cJSON_IsArray(json) ? cJSON_GetArraySize(json) : 0;
	if (n < 1 || n > TYPESET_MAX)
		return fail(why, why_size, "not an array of 1 to 64 types");
	s = calloc(1, sizeof(*s));
	if (!s || !(s->types = calloc((size_t)n, sizeof(struct doctype *))))
		return -ENOMEM;
	e = add_types_of(s, json, why, why_size);
	if (e < 0)
		return e;
	*ret = take_ptr(s);
	return 0;
}

static int print_types(const struct doctype *const *types, size_t n, struct buf *out)
{
	int e = buf_addc(out, '[');

	for (size_t i = 0; i < n && e == 0; i++) {
		if (i > 0)
			e = buf_addc(out, ',');
		if (e == 0)
			e = json_print(types[i]->json, false, out);
	}
	return e < 0 ? e : buf_addc(out, ']');
}

const struct doctype *typeset_find(const struct typeset *s, const char *name)
{
	for (size_t i = 0; i < s->n_types; i++)
		if (streq(s->types[i]->name, name))
			return s->types[i];
	return NULL;
}

/* "universal" first, the others by name: the text does not depend on the order in which files were read. */
static int by_name(const void *a, const void *b)
{
	const struct doctype *x = *(const struct doctype *const *)a, *y = *(const struct doctype *const *)b;
	bool ux = streq(x->name, "universal"), uy = streq(y->name, "universal");

	return ux != uy ? (ux ? -1 : 1) : strcmp(x->name, y->name);
}

int typeset_select(const struct typeset *all, const char *name, struct buf *out)
{
	const struct doctype *types[TYPESET_MAX];
	size_t n = 0;

	if (!typeset_find(all, streq(name, "auto") ? "universal" : name) || all->n_types > TYPESET_MAX)
		return -ENOENT;
	for (size_t i = 0; i < all->n_types; i++)
		if (streq(name, "auto") || streq(name, all->types[i]->name))
			types[n++] = all->types[i];
	qsort(types, n, sizeof(const struct doctype *), by_name);
	return print_types(types, n, out);
}
