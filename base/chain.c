#include "base/chain.h"

#define FIRST     "{\"receipt\":"
#define MIDDLE    ",\"hash\":\""
#define TAIL      "\"}"
#define AROUND    (strlen(FIRST) + strlen(MIDDLE) + SHA256_HEX_SIZE - 1 + strlen(TAIL))

int chain_hash(const char *previous, const char *body, size_t len, char out[static SHA256_HEX_SIZE])
{
	uint8_t digest[SHA256_SIZE];
	struct sha256 *h;
	int r;

	r = sha256_new(&h);
	if (r < 0)
		return r;
	sha256_update(h, previous, strlen(previous));
	sha256_update(h, "\n", 1);
	sha256_update(h, body, len);
	sha256_final(h, digest);
	sha256_free(h);
	hex_encode(digest, sizeof(digest), out);
	return 0;
}

int chain_line(struct buf *out, const char *body, const char *hash)
{
	return buf_addf(out, FIRST "%s" MIDDLE "%s" TAIL, body, hash);
}

/* Every byte around the body has one form alone: there is nothing that could be changed unseen. */
static bool line_split(const char *line, size_t len, const char **ret_body, size_t *ret_len, const char **ret_hash)
{
	if (len <= AROUND || len > CHAIN_LINE_MAX)
		return false;
	*ret_body = line + strlen(FIRST);
	*ret_len = len - AROUND;
	*ret_hash = *ret_body + *ret_len + strlen(MIDDLE);
	return memcmp(line, FIRST, strlen(FIRST)) == 0 && memcmp(*ret_body + *ret_len, MIDDLE, strlen(MIDDLE)) == 0 &&
	       memcmp(*ret_hash + SHA256_HEX_SIZE - 1, TAIL, strlen(TAIL)) == 0;
}

static int broken(const char **ret_why, const char *why)
{
	*ret_why = why;
	return -EBADMSG;
}

static int receipt_follow(struct chain *c, const char *line, size_t len, cJSON **ret_body, const char **ret_why)
{
	char want[SHA256_HEX_SIZE];
	_cleanup_json_ cJSON *j = NULL;
	const char *body, *hash;
	size_t body_len;
	int64_t seq;
	int r;

	if (!line_split(line, len, &body, &body_len, &hash))
		return broken(ret_why, "is no receipt");
	r = chain_hash(c->hash, body, body_len, want);
	if (r >= 0)
		r = json_parse(body, body_len, &j, NULL);
	if (r == -ENOMEM)
		return r;
	if (r < 0 || json_get_i64(j, "seq", &seq) < 0)
		return broken(ret_why, "is no receipt");
	if (seq != c->seq + 1)
		return broken(ret_why, seq > c->seq + 1 ? "is not the next one: receipts before it are missing"
							: "is not the next one: its number was there before");
	if (memcmp(want, hash, SHA256_HEX_SIZE - 1) != 0)
		return broken(ret_why, "does not follow from the one before: one of the two was changed");
	c->seq = seq;
	memcpy(c->hash, want, sizeof(want));
	*ret_body = take_ptr(j);
	return 0;
}

int chain_follow(struct chain *c, const char *line, size_t len, cJSON **ret_body, const char **ret_why)
{
	int r;

	if (!chain_head_is(line, len))
		return receipt_follow(c, line, len, ret_body, ret_why);
	r = chain_head_follow(c, line, len, ret_why);
	if (r >= 0)
		*ret_body = NULL;
	return r;
}
