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

/* ---- signed heads -------------------------------------------------------------------------------------------------- */

#define HEAD_FIRST     "{\"head\":"
#define HEAD_MIDDLE    ",\"sig\":\""
#define KEY_TEXT_SIZE  (BASE64_SIZE(PUBLIC_KEY_SIZE) + 1)
#define SIGNATURE_MAX  72 /* of P-256 as DER */

int chain_head_line(struct buf *out, const char *body, const char *signature)
{
	return buf_addf(out, HEAD_FIRST "%s" HEAD_MIDDLE "%s" TAIL, body, signature);
}

/* A signature has one of few lengths: the last quote but one is where it begins. */
static bool head_split(const char *line, size_t len, const char **ret_body, size_t *ret_len, const char **ret_sig, size_t *ret_sig_len)
{
	const char *end = line + len - strlen(TAIL), *sig = end;

	if (len <= strlen(HEAD_FIRST HEAD_MIDDLE TAIL) || len > CHAIN_LINE_MAX || memcmp(line, HEAD_FIRST, strlen(HEAD_FIRST)) != 0 ||
		memcmp(end, TAIL, strlen(TAIL)) != 0)
		return false;
	while (sig > line && sig[-1] != '"')
		sig--;
	*ret_body = line + strlen(HEAD_FIRST);
	if (sig - *ret_body <= (ptrdiff_t)strlen(HEAD_MIDDLE) || memcmp(sig - strlen(HEAD_MIDDLE), HEAD_MIDDLE, strlen(HEAD_MIDDLE)) != 0)
		return false;
	*ret_len = (size_t)(sig - *ret_body) - strlen(HEAD_MIDDLE);
	*ret_sig = sig;
	*ret_sig_len = (size_t)(end - sig);
	return true;
}

/* Over the signature as well: a head that another one points at cannot get another signature. */
static int head_hash(const char *body, size_t len, const char *sig, size_t sig_len, char out[static SHA256_HEX_SIZE])
{
	_cleanup_buf_ struct buf text = {};
	int r = buf_add(&text, body, len);

	if (r >= 0)
		r = buf_addc(&text, '\n');
	if (r >= 0)
		r = buf_add(&text, sig, sig_len);
	if (r >= 0)
		sha256_hex_of(buf_str(&text), text.len, out);
	return r;
}

int chain_head_read(const char *line, size_t len, int64_t *ret_number, char hash[static SHA256_HEX_SIZE])
{
	_cleanup_json_ cJSON *j = NULL;
	const char *body, *sig;
	size_t body_len, sig_len;
	int r;

	if (!head_split(line, len, &body, &body_len, &sig, &sig_len))
		return -EBADMSG;
	r = json_parse(body, body_len, &j, NULL);
	if (r >= 0)
		r = json_get_i64(j, "head", ret_number) < 0 ? -EBADMSG : 0;
	return r < 0 ? r : head_hash(body, body_len, sig, sig_len, hash);
}

static void key_text(const uint8_t key[static PUBLIC_KEY_SIZE], char text[static KEY_TEXT_SIZE], char print[static SHA256_HEX_SIZE])
{
	text[base64_encode(key, PUBLIC_KEY_SIZE, text)] = 0;
	sha256_hex_of(key, PUBLIC_KEY_SIZE, print);
}

static int head_body(const struct chain *c, int64_t t, const char *trust, const uint8_t key[static PUBLIC_KEY_SIZE], struct buf *out)
{
	char text[KEY_TEXT_SIZE], print[SHA256_HEX_SIZE];

	key_text(key, text, print);
	return buf_addf(out,
		"{\"v\":1,\"head\":%lld,\"chain\":\"%s\",\"seq\":%lld,\"hash\":\"%s\",\"t\":%lld,\"trust\":\"%s\",\"prev\":\"%s\",\"key\":\"%s\","
		"\"public\":\"%s\"}",
		(long long)c->heads + 1, c->id, (long long)c->seq, c->hash, (long long)t, trust, c->head_hash, print, text);
}

int chain_head_sign(const struct chain *c, int64_t t, const char *trust, struct signing_key *key, struct buf *ret_body, struct buf *ret_signature)
{
	uint8_t public[PUBLIC_KEY_SIZE], hash[SHA256_SIZE], sig[KEY_SIGNATURE_MAX];
	char text[BASE64_SIZE(SIGNATURE_MAX) + 1];
	size_t len;
	int r;

	r = signing_key_public(key, public);
	if (r >= 0)
		r = head_body(c, t, trust, public, ret_body);
	if (r < 0)
		return r;
	sha256_of(buf_str(ret_body), ret_body->len, hash);
	r = signing_key_sign(key, hash, sig, &len);
	if (r < 0 || len > SIGNATURE_MAX)
		return r < 0 ? r : -EIO;
	text[base64_encode(sig, len, text)] = 0;
	return buf_adds(ret_signature, text);
}

static int decode_key(const char *text, uint8_t out[static PUBLIC_KEY_SIZE])
{
	_cleanup_buf_ struct buf der = {};
	int r = base64_decode(text, strlen(text), &der);

	if (r < 0 || der.len != PUBLIC_KEY_SIZE)
		return r == -ENOMEM ? r : -EBADMSG;
	memcpy(out, der.data, PUBLIC_KEY_SIZE);
	return 0;
}

static int check_signature(const uint8_t key[static PUBLIC_KEY_SIZE], const char *body, size_t len, const char *sig, size_t sig_len)
{
	_cleanup_buf_ struct buf der = {};
	uint8_t hash[SHA256_SIZE];
	int r = base64_decode(sig, sig_len, &der);

	if (r < 0)
		return r == -ENOMEM ? r : -EKEYREJECTED;
	sha256_of(body, len, hash);
	return public_key_verify(key, hash, buf_str(&der), der.len);
}

/* The body in the one form that says what must be there: whatever else it says is a change. */
static int head_expected(const struct chain *c, const cJSON *j, const char *body, size_t len, uint8_t key[static PUBLIC_KEY_SIZE],
	struct chain *next, const char **ret_why)
{
	const char *trust = json_get_string(j, "trust"), *public = json_get_string(j, "public"), *id = json_get_string(j, "chain");
	_cleanup_buf_ struct buf want = {};
	int r;

	if (!trust || !public || !id || json_get_i64(j, "t", &next->signed_ms) < 0 || strlen(id) >= sizeof(next->id))
		return broken(ret_why, "is no head");
	if (c->heads > 0 && !streq(id, c->id))
		return broken(ret_why, "is a head of another chain: the database was made anew");
	str_copy(next->id, sizeof(next->id), id);
	r = decode_key(public, key);
	if (r >= 0)
		r = head_body(next, next->signed_ms, trust, key, &want);
	if (r < 0)
		return r == -ENOMEM ? r : broken(ret_why, "is no head");
	if (want.len != len || memcmp(buf_str(&want), body, len) != 0)
		return broken(ret_why, "is a head that does not fit: it, or what it signs, was changed, removed or added");
	return 0;
}

static int head_follow(struct chain *c, const char *line, size_t len, const char **ret_why)
{
	_cleanup_json_ cJSON *j = NULL;
	uint8_t key[PUBLIC_KEY_SIZE];
	const char *body, *sig;
	size_t body_len, sig_len;
	struct chain next = *c;
	int r;

	if (!head_split(line, len, &body, &body_len, &sig, &sig_len) || json_parse(body, body_len, &j, NULL) == -EBADMSG)
		return broken(ret_why, "is no head");
	if (!j)
		return -ENOMEM;
	r = head_expected(c, j, body, body_len, key, &next, ret_why);
	if (r < 0)
		return r;
	if (c->only_key && memcmp(c->only_key, key, sizeof(key)) != 0)
		return broken(ret_why, "is a head that another key has signed than the one that was given");
	if (!c->only_key && c->heads > 0 && memcmp(c->key, key, sizeof(key)) != 0)
		return broken(ret_why, "is a head that another key has signed than the one before");
	r = check_signature(key, body, body_len, sig, sig_len);
	if (r < 0)
		return r == -ENOMEM ? r : broken(ret_why, "is a head whose signature is not its key's");
	r = head_hash(body, body_len, sig, sig_len, next.head_hash);
	if (r < 0)
		return r;
	next.heads++;
	next.signed_seq = c->seq;
	memcpy(next.key, key, sizeof(key));
	*c = next;
	return 0;
}

int chain_follow(struct chain *c, const char *line, size_t len, cJSON **ret_body, const char **ret_why)
{
	int r;

	if (len < strlen(HEAD_FIRST) || memcmp(line, HEAD_FIRST, strlen(HEAD_FIRST)) != 0)
		return receipt_follow(c, line, len, ret_body, ret_why);
	r = head_follow(c, line, len, ret_why);
	if (r >= 0)
		*ret_body = NULL;
	return r;
}
