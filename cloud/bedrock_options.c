/* What may be asked of Bedrock beside the question: metadata for its invocation log, and what a guardrail traced. */
#include "base/text.h"
#include "cloud/bedrock_internal.h"

#define PAIRS_MAX 16 /* Converse's limit */
#define PAIR_MAX  256

/* Of keys and values; blanks too for AWS, but here they part the pairs. */
static bool bytes_ok(const char *s, size_t len)
{
	static const char others[] = ":_@$#=/+,-.";

	for (size_t i = 0; i < len; i++) {
		bool alnum = (s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z');

		if (!alnum && !strchr(others, s[i]))
			return false;
	}
	return len <= PAIR_MAX;
}

static bool is(const char *s, size_t len, const char *word)
{
	return len == strlen(word) && memcmp(s, word, len) == 0;
}

/* NULL: as it stands. */
static const char *meant(const struct job *j, const char *value, size_t len)
{
	return is(value, len, "%page") ? j->page_id : is(value, len, "%type") ? j->types->types[0]->name : NULL;
}

static int add_pair(const struct job *j, const char *pair, size_t len, struct buf *out)
{
	size_t key = strcspn(pair, "=");
	const char *value = pair + key + 1, *instead;
	int r;

	if (key >= len)
		return -EINVAL;
	instead = meant(j, value, len - key - 1);
	r = json_quote(out, pair, key);
	if (r >= 0)
		r = buf_adds(out, ":");
	return r < 0 ? r : instead ? json_quote(out, instead, strlen(instead)) : json_quote(out, value, len - key - 1);
}

int bedrock_add_metadata(const struct bedrock_config *c, const struct job *j, struct buf *out)
{
	const char *at = c->metadata + strspn(c->metadata, " ");
	int r = buf_adds(out, "{");

	for (bool first = true; r >= 0 && *at; first = false) {
		size_t len = strcspn(at, " ");

		if (!first)
			r = buf_adds(out, ",");
		if (r >= 0)
			r = add_pair(j, at, len, out);
		at += len;
		at += strspn(at, " ");
	}
	return r < 0 ? r : buf_adds(out, "}");
}

bool bedrock_metadata_ok(const char *text)
{
	const char *at = text + strspn(text, " ");
	size_t n = 0;

	while (*at) {
		size_t len = strcspn(at, " "), key = strcspn(at, "=");
		const char *value = at + key + 1;

		if (key >= len || key == 0 || ++n > PAIRS_MAX || !bytes_ok(at, key))
			return false;
		len -= key + 1;
		if (!is(value, len, "%page") && !is(value, len, "%type") && !bytes_ok(value, len))
			return false;
		for (const char *before = text + strspn(text, " "); before < at; before += strcspn(before, " "), before += strspn(before, " "))
			if (strcspn(before, "=") == key && memcmp(before, at, key) == 0)
				return false; /* twice */
		at = value + len;
		at += strspn(at, " ");
	}
	return true;
}

/* Everything that acted has an "action"; what it matched is on the page, and is not told. */
static int add_actions(const cJSON *j, const char *policy, struct buf *out)
{
	const char *action = json_get_string(j, "action"), *name = json_get_string(j, "name");
	const cJSON *child;
	int r = 0;

	if (!name)
		name = json_get_string(j, "type");
	if (action && !streq(action, "NONE"))
		r = buf_addf(out, "%s%s%s%s %s", out->len ? ", " : "", policy, name ? " " : "", name ? name : "", action);
	cJSON_ArrayForEach (child, j) {
		size_t len = child->string ? strlen(child->string) : 0;

		if (r >= 0 && (cJSON_IsObject(child) || cJSON_IsArray(child)))
			r = add_actions(child, len > 6 && streq(child->string + len - 6, "Policy") ? child->string : policy, out);
	}
	return r;
}

void bedrock_trace_text(const cJSON *body, char *out, size_t size)
{
	_cleanup_buf_ struct buf text = BUF_MAX(4096);
	const cJSON *trace = json_get_object(body, "trace");

	if (!trace)
		trace = json_get_object(body, "amazon-bedrock-trace");
	(void)add_actions(json_get_object(trace, "guardrail"), "guardrail", &text); /* as much as there is room for */
	text_safe_copy(out, size, buf_str(&text));
}
