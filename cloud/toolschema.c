#include "cloud/toolschema.h"

#define DEPTH_MAX         16
#define STRING_DEFAULT    500
#define ARRAY_DEFAULT     200
#define REPETITIONS_MAX   1500 /* llama.cpp refuses from 2000 on */
#define ARRAY_REPETITIONS 300  /* an item is several rules */

typedef int (*copy_fn)(const cJSON *in, unsigned int depth, cJSON **ret);
typedef int (*fill_fn)(const cJSON *in, unsigned int depth, cJSON *out);

static int add_copy(cJSON *out, const char *name, const cJSON *item)
{
	return item ? json_add_take(out, name, cJSON_Duplicate(item, true)) : 0;
}

/* The members of "properties" and the schema of "items", each by `copy`. */
static int copy_children(const cJSON *in, unsigned int depth, copy_fn copy, cJSON *out)
{
	const cJSON *properties = json_get_object(in, "properties"), *items = json_get_object(in, "items"), *p;
	cJSON *object, *one;
	int r = 0;

	if (properties) {
		object = cJSON_AddObjectToObject(out, "properties");
		if (!object)
			return -ENOMEM;
		cJSON_ArrayForEach (p, properties) {
			r = copy(p, depth + 1, &one);
			if (r >= 0)
				r = json_add_take(object, p->string, one);
			if (r < 0)
				return r;
		}
	}
	if (items) {
		r = copy(items, depth + 1, &one);
		if (r >= 0)
			r = json_add_take(out, "items", one);
	}
	return r;
}

static int copy_schema(const cJSON *in, unsigned int depth, fill_fn fill, cJSON **ret)
{
	cJSON *out;
	int r;

	if (depth > DEPTH_MAX || !cJSON_IsObject(in))
		return -EINVAL;
	out = cJSON_CreateObject();
	if (!out)
		return -ENOMEM;
	r = fill(in, depth, out);
	if (r < 0) {
		cJSON_Delete(out);
		return r;
	}
	*ret = out;
	return 0;
}

/* ---- Nova -------------------------------------------------------------------------------------------------------- */

static int add_values(cJSON *out, const cJSON *in)
{
	const cJSON *constant = json_get(in, "const");
	cJSON *list;

	if (!constant)
		return add_copy(out, "enum", json_get(in, "enum"));
	list = cJSON_AddArrayToObject(out, "enum");
	if (!list || !cJSON_AddItemToArray(list, cJSON_Duplicate(constant, true)))
		return -ENOMEM;
	return 0;
}

static int add_description(cJSON *out, const cJSON *in)
{
	const char *format = json_get_string(in, "format");

	if (json_get_string(in, "description"))
		return add_copy(out, "description", json_get(in, "description"));
	return format && streq(format, "date") ? json_add_string(out, "description", "YYYY-MM-DD") : 0;
}

static int nova(const cJSON *in, unsigned int depth, cJSON **ret);

static int fill_nova(const cJSON *in, unsigned int depth, cJSON *out)
{
	int r = add_copy(out, "type", json_get(in, "type"));

	if (r >= 0 && depth)
		r = add_description(out, in);
	if (r >= 0 && depth)
		r = add_values(out, in);
	if (r >= 0)
		r = copy_children(in, depth, nova, out);
	return r < 0 ? r : add_copy(out, "required", json_get_array(in, "required"));
}

static int nova(const cJSON *in, unsigned int depth, cJSON **ret)
{
	return copy_schema(in, depth, fill_nova, ret);
}

int tool_schema_nova(const cJSON *schema, cJSON **ret)
{
	return nova(schema, 0, ret);
}

/* ---- llama-server ------------------------------------------------------------------------------------------------ */

static bool pattern_usable(const char *p)
{
	size_t len = strlen(p);

	if (len < 2 || p[0] != '^' || p[len - 1] != '$' || strstr(p, "[["))
		return false;
	for (; *p; p++) {
		if (*p != '\\')
			continue;
		p++;
		if (!*p || (*p >= '0' && *p <= '9') || ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z'))
			return false;
	}
	return true;
}

static int add_bound(cJSON *out, const cJSON *in, const char *name, int64_t without, int64_t most)
{
	int64_t v;

	if (json_get_i64(in, name, &v) < 0)
		v = without;
	return json_add_i64(out, name, MIN(v, most));
}

static int add_bounds(cJSON *out, const cJSON *in)
{
	static const char *const closed[] = {"enum", "const", "format"};
	const char *type = json_get_string(in, "type"), *pattern = json_get_string(in, "pattern");
	int64_t least;
	int r = 0;

	if (type && streq(type, "array"))
		return add_bound(out, in, "maxItems", ARRAY_DEFAULT, ARRAY_REPETITIONS);
	if (!type || !streq(type, "string"))
		return 0;
	if (pattern && pattern_usable(pattern))
		return json_add_string(out, "pattern", pattern);
	for (size_t i = 0; i < ARRAY_SIZE(closed); i++) {
		if (json_get(in, closed[i]))
			return 0;
	}
	if (json_get_i64(in, "minLength", &least) == 0)
		r = json_add_i64(out, "minLength", MIN(least, REPETITIONS_MAX));
	return r < 0 ? r : add_bound(out, in, "maxLength", STRING_DEFAULT, REPETITIONS_MAX);
}

static int llama(const cJSON *in, unsigned int depth, cJSON **ret);

static int fill_llama(const cJSON *in, unsigned int depth, cJSON *out)
{
	static const char *const kept[] = {"type", "enum", "const", "format", "required", "additionalProperties"};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(kept); i++)
		r = add_copy(out, kept[i], json_get(in, kept[i]));
	if (r >= 0)
		r = add_bounds(out, in);
	return r < 0 ? r : copy_children(in, depth, llama, out);
}

static int llama(const cJSON *in, unsigned int depth, cJSON **ret)
{
	return copy_schema(in, depth, fill_llama, ret);
}

int tool_schema_llama(const cJSON *schema, cJSON **ret)
{
	return llama(schema, 0, ret);
}
