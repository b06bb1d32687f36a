#include "daemon/prices.h"

#include <stdio.h>

#include "base/parse.h"

#define PRICES_MAX   128
#define REGIONS_SIZE 128
#define USD_DIGITS   6 /* USD a million tokens, times 10^6: picodollars a token */
#define USD_MAX      ((int64_t)100000 * 1000000)

struct entry {
	char model[160];
	char regions[REGIONS_SIZE]; /* separated by blanks */
	struct price price;
};

struct prices {
	size_t n;
	struct entry entries[PRICES_MAX];
};

static int parse_price(const char *v, void *target, const void *arg, char *allowed, size_t n)
{
	int64_t pusd;

	if (parse_decimal(v, USD_DIGITS, &pusd) < 0 || pusd < 0 || pusd > USD_MAX) {
		str_format(
			allowed, n, "USD a million tokens, 0 to 100000 with up to %d decimals", USD_DIGITS);
		return -EINVAL;
	}
	*(int64_t *)target = pusd;
	return 0;
}

static const struct ini_string regions_size = {REGIONS_SIZE}, date_size = {sizeof(((struct price *)0)->date)};

/* -1: not given. */
static const struct ini_key keys[] = {
	{"Model *", "Region", ini_parse_text, offsetof(struct entry, regions), &regions_size, NULL,
		"regions where this price holds, separated by blanks"},
	{"Model *", "Input", parse_price, offsetof(struct entry, price.input_pusd), NULL, NULL,
		"USD a million input tokens"},
	{"Model *", "Output", parse_price, offsetof(struct entry, price.output_pusd), NULL, NULL,
		"USD a million output tokens"},
	{"Model *", "Cached", parse_price, offsetof(struct entry, price.cached_pusd), NULL, NULL,
		"USD a million input tokens read from a cache; as Input= when absent"},
	{"Model *", "Date", ini_parse_text, offsetof(struct entry, price.date), &date_size, NULL,
		"when the price was looked up, YYYY-MM-DD"},
};

static void *section(void *ud, const char *name_of_section, const char *name, char *why, size_t why_size)
{
	struct prices *p = ud;

	for (size_t i = 0; name && i < p->n; i++)
		if (streq(p->entries[i].model, name))
			return &p->entries[i];
	if (!name || !name[0] || p->n == PRICES_MAX ||
		str_copy(p->entries[p->n].model, sizeof(p->entries[0].model), name) < 0) {
		str_format(why, why_size, "[Model ID] with an id of 1 to 159 characters, at most %d of them",
			PRICES_MAX);
		return NULL;
	}
	p->entries[p->n].price = (struct price){.input_pusd = -1, .output_pusd = -1, .cached_pusd = -1};
	return &p->entries[p->n++];
}

/* What no single key shows. */
static int check(struct prices *p, const char *file, struct buf *errors)
{
	int bad = 0;

	for (size_t i = 0; i < p->n; i++) {
		struct entry *e = &p->entries[i];

		if (e->price.cached_pusd < 0)
			e->price.cached_pusd = e->price.input_pusd;
		if (e->price.input_pusd >= 0 && e->price.output_pusd >= 0 && e->regions[0])
			continue;
		bad = buf_addf(errors, "%s: [Model %s] needs Region=, Input= and Output=\n", file, e->model) <
				      0
			      ? -ENOMEM
			      : -EINVAL;
	}
	return bad;
}

int prices_read(const char *file, struct prices **ret, struct buf *errors)
{
	struct ini_table table = {.keys = keys, .n_keys = ARRAY_SIZE(keys), .section = section};
	struct prices *p;
	int r;

	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	table.ud = p;
	r = ini_read(&table, file, false, errors);
	if (r >= 0)
		r = check(p, file, errors);
	if (r < 0) {
		prices_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void prices_free(struct prices *p)
{
	free(p);
}

static bool has_word(const char *list, const char *word)
{
	char one[REGIONS_SIZE];

	while (parse_word(&list, one, sizeof(one)) > 0)
		if (streq(one, word))
			return true;
	return false;
}

static const struct price *find(const struct prices *p, const char *model, const char *region)
{
	for (size_t i = 0; p && i < p->n; i++)
		if (streq(p->entries[i].model, model))
			return region && has_word(p->entries[i].regions, region) ? &p->entries[i].price
										 : NULL;
	return NULL;
}

const struct price *prices_find(const struct prices *p, const char *model, const char *region)
{
	const struct price *own = find(p, model, region);
	const char *id = starts_with(model, "arn:") ? strrchr(model, '/') : NULL;

	return own || !id ? own : find(p, id + 1, region);
}

static int64_t add_cost(int64_t sum, int64_t price, uint64_t tokens)
{
	int64_t cost;

	if (__builtin_mul_overflow(price, tokens, &cost) || __builtin_add_overflow(sum, cost, &sum))
		return INT64_MAX;
	return sum;
}

int64_t price_cost(const struct price *p, uint64_t input, uint64_t output, uint64_t cached)
{
	return add_cost(
		add_cost(add_cost(p->request_pusd, p->input_pusd, input), p->output_pusd, output), p->cached_pusd, cached);
}
