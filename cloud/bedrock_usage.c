/* Tokens, as each form names them; in bodies, in headers, and in what Bedrock adds to a stream. */
#include "base/parse.h"
#include "cloud/bedrock_internal.h"

/* The largest that is told by any of these names. */
static void count(const cJSON *usage, const char *const *names, int64_t *c)
{
	int64_t v;

	for (; *names; names++) {
		if (json_get_i64(usage, *names, &v) == 0)
			*c = MAX(*c, v);
	}
}

void bedrock_counts_read(const cJSON *usage, struct bedrock_counts *c)
{
	static const char *const in[] = {"inputTokens", "input_tokens", "inputTokenCount", NULL};
	static const char *const out[] = {"outputTokens", "output_tokens", "outputTokenCount", NULL};
	static const char *const cached[] = {"cacheReadInputTokens", "cacheReadInputTokenCount",
		"cache_read_input_tokens", NULL};
	static const char *const written[] = {"cacheWriteInputTokens", "cacheWriteInputTokenCount",
		"cache_creation_input_tokens", NULL};

	count(usage, in, &c->input);
	count(usage, out, &c->output);
	count(usage, cached, &c->cached);
	count(usage, written, &c->written);
}

int bedrock_counts_add(const struct bedrock_counts *c, const char *before, struct buf *out)
{
	const struct {
		const char *name;
		int64_t count;
	} members[] = {
		{"inputTokens", c->input},
		{"outputTokens", c->output},
		{"cacheReadInputTokens", c->cached},
		{"cacheWriteInputTokens", c->written},
	};
	const char *comma = "";
	int r = buf_addf(out, "%s{", before);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(members); i++) {
		if (members[i].count < 0)
			continue;
		r = buf_addf(out, "%s\"%s\":%lld", comma, members[i].name, (long long)members[i].count);
		comma = ",";
	}
	return r < 0 ? r : buf_adds(out, "}");
}

static int64_t header_count(const struct reply *r, const char *name)
{
	const char *text = reply_header(r, name);
	int64_t v;

	return text && parse_i64(text, 0, INT64_MAX, &v) == 0 ? v : -1;
}

static void read_headers(const struct reply *r, struct bedrock_counts *c)
{
	c->input = header_count(r, "x-amzn-bedrock-input-token-count");
	c->output = header_count(r, "x-amzn-bedrock-output-token-count");
	c->cached = header_count(r, "x-amzn-bedrock-cache-read-input-token-count");
	c->written = header_count(r, "x-amzn-bedrock-cache-write-input-token-count");
}

/* Takes the larger of each; what one of the two does not tell makes no difference. */
static void merge(struct bedrock_counts *c, const struct bedrock_counts *other, bool *differs)
{
	int64_t *const mine[] = {&c->input, &c->output, &c->cached, &c->written};
	const int64_t theirs[] = {other->input, other->output, other->cached, other->written};

	for (size_t i = 0; i < ARRAY_SIZE(theirs); i++) {
		*differs |= *mine[i] >= 0 && theirs[i] >= 0 && *mine[i] != theirs[i];
		*mine[i] = MAX(*mine[i], theirs[i]);
	}
}

void bedrock_read_usage(const struct reply *r, const cJSON *body, struct usage *u)
{
	struct bedrock_counts c = BEDROCK_COUNTS_NONE, metrics = BEDROCK_COUNTS_NONE, headers;

	bedrock_counts_read(json_get(body, "usage"), &c);
	bedrock_counts_read(json_get(body, "amazon-bedrock-invocationMetrics"), &metrics);
	read_headers(r, &headers);
	merge(&c, &metrics, &u->differs);
	merge(&c, &headers, &u->differs);
	u->reported = c.input >= 0 && c.output >= 0;
	/* we ask for no cache; should the service write one all the same, that is input which was paid for */
	u->input = (uint64_t)MAX(c.input, 0) + (uint64_t)MAX(c.written, 0);
	u->output = (uint64_t)MAX(c.output, 0);
	u->cached = (uint64_t)MAX(c.cached, 0);
}
