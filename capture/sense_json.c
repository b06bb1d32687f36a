/* Words for page sense: its switches, and what it says in the page's record. */
#include "base/parse.h"
#include "capture/sense.h"

static const struct {
	const char *name;
	size_t at;
} switches[] = {
	{"gate", offsetof(struct sense_options, gate)},
	{"blank", offsetof(struct sense_options, blank)},
	{"hash", offsetof(struct sense_options, hash)},
	{"thumbnail", offsetof(struct sense_options, thumbnail)},
};

static int set_switch(const char *word, size_t len, struct sense_options *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(switches); i++)
		if (strlen(switches[i].name) == len && memcmp(switches[i].name, word, len) == 0) {
			*(bool *)((char *)o + switches[i].at) = true;
			return 0;
		}
	return -EINVAL;
}

int sense_parse(const char *words, struct sense_options *ret)
{
	struct sense_options o = {};
	int r = 0;

	if (streq(words, "none")) {
		*ret = o;
		return 0;
	}
	for (;; words++) {
		size_t len = strcspn(words, ",");

		r = set_switch(words, len, &o);
		words += len;
		if (r < 0)
			return r;
		if (!*words)
			break;
	}
	*ret = o;
	return 0;
}

const char *sense_verdict_name(enum sense_verdict v)
{
	static const char *const names[] = {
		[SENSE_GOOD] = "good",
		[SENSE_NOTHING] = "nothing",
		[SENSE_BLURRED] = "blurred",
		[SENSE_GLARE] = "glare",
		[SENSE_CUT_OFF] = "cut-off",
	};

	return names[v];
}

static int64_t thousandths(double share)
{
	return (int64_t)(share * 1000 + 0.5);
}

static int add_sides(cJSON *j, unsigned int sides)
{
	static const char *const names[] = {"top", "right", "bottom", "left"};
	cJSON *list = cJSON_CreateArray();

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		cJSON *name = sides & 1u << i ? cJSON_CreateString(names[i]) : NULL;

		if (sides & 1u << i && (!name || !cJSON_AddItemToArray(list, name))) {
			cJSON_Delete(name);
			cJSON_Delete(list);
			return -ENOMEM;
		}
	}
	return json_add_take(j, "cut_off", list);
}

static int add_gate(cJSON *j, const struct sense_result *s)
{
	cJSON *g = cJSON_CreateObject();
	int r = g ? 0 : -ENOMEM;

	r = r < 0 ? r : json_add_string(g, "verdict", s->judged ? sense_verdict_name(s->verdict) : "unjudged");
	if (s->judged) {
		r = r < 0 ? r : json_add_i64(g, "paper", s->paper);
		r = r < 0 ? r : json_add_i64(g, "text", thousandths(s->text));
		if (s->sharpness > 0)
			r = r < 0 ? r : json_add_i64(g, "sharpness", thousandths(s->sharpness));
		r = r < 0 ? r : json_add_i64(g, "glare", thousandths(s->glare));
		r = r < 0 ? r : add_sides(g, s->cut_off);
	}
	if (r < 0) {
		cJSON_Delete(g);
		return r;
	}
	return json_add_take(j, "gate", g);
}

static int add_blank(cJSON *j, const struct sense_result *s)
{
	cJSON *b = cJSON_CreateObject();
	int r = b ? 0 : -ENOMEM;

	r = r < 0 ? r : json_add_bool(b, "blank", s->blank);
	r = r < 0 ? r : json_add_i64(b, "marks", s->marks);
	if (r < 0) {
		cJSON_Delete(b);
		return r;
	}
	return json_add_take(j, "blank", b);
}

static int add_hash(cJSON *j, uint64_t hash)
{
	char hex[17];

	str_format(hex, sizeof(hex), "%016llx", (unsigned long long)hash);
	return json_add_string(j, "hash", hex);
}

int sense_json(const struct sense_result *s, cJSON **ret)
{
	cJSON *j = cJSON_CreateObject();
	int r = j ? 0 : -ENOMEM;

	if (r >= 0 && s->asked.gate)
		r = add_gate(j, s);
	if (r >= 0 && s->asked.blank && s->judged)
		r = add_blank(j, s);
	if (r >= 0 && s->hashed)
		r = add_hash(j, s->hash);
	if (r < 0) {
		cJSON_Delete(j);
		return r;
	}
	*ret = j;
	return 0;
}
