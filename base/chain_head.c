/* Signed heads of the chain: their one form, making them, and whether one comes next. */
#include "base/chain.h"

#define HEAD_FIRST     "{\"head\":"
#define HEAD_MIDDLE    ",\"sig\":\""
#define TAIL           "\"}"
#define KEY_TEXT_SIZE  (BASE64_SIZE(PUBLIC_KEY_SIZE) + 1)
#define SIGNATURE_MAX  72 /* of P-256 as DER */

/* What a head says. */
struct head {
	int64_t number, seq, t, after_head;
	char chain[CHAIN_ID_SIZE], hash[SHA256_HEX_SIZE], prev[SHA256_HEX_SIZE], trust[16], after[CHAIN_ID_SIZE];
	char why[CHAIN_WHY_MAX], by[CHAIN_BY_MAX];
	uint8_t key[PUBLIC_KEY_SIZE], next[PUBLIC_KEY_SIZE], lost[PUBLIC_KEY_SIZE];
	bool changes_key, loses_key;
};

/* A line in its parts; the body as it stands, and as it is understood. */
struct head_line {
	const char *body, *sig;
	size_t body_len, sig_len;
	struct head said;
	char hash[SHA256_HEX_SIZE];
};

static int broken(const char **ret_why, const char *why)
{
	*ret_why = why;
	return -EBADMSG;
}

bool chain_head_is(const char *line, size_t len)
{
	return len >= strlen(HEAD_FIRST) && memcmp(line, HEAD_FIRST, strlen(HEAD_FIRST)) == 0;
}

int chain_head_line(struct buf *out, const char *body, const char *signature)
{
	return buf_addf(out, HEAD_FIRST "%s" HEAD_MIDDLE "%s" TAIL, body, signature);
}

/* ---- its one form ------------------------------------------------------------------------------------------------------- */

static void key_text(const uint8_t key[static PUBLIC_KEY_SIZE], char text[static KEY_TEXT_SIZE])
{
	text[base64_encode(key, PUBLIC_KEY_SIZE, text)] = 0;
}

static int loss_print(const struct head *h, struct buf *out)
{
	char text[KEY_TEXT_SIZE];
	int r;

	key_text(h->lost, text);
	r = buf_addf(out, ",\"lost\":\"%s\",\"why\":", text);
	if (r >= 0)
		r = json_quote(out, h->why, strlen(h->why));
	if (r >= 0)
		r = buf_adds(out, ",\"by\":");
	return r < 0 ? r : json_quote(out, h->by, strlen(h->by));
}

static int head_print(const struct head *h, struct buf *out)
{
	char text[KEY_TEXT_SIZE], print[SHA256_HEX_SIZE];
	int r;

	key_text(h->key, text);
	sha256_hex_of(h->key, PUBLIC_KEY_SIZE, print);
	r = buf_addf(out,
		"{\"v\":1,\"head\":%lld,\"chain\":\"%s\",\"seq\":%lld,\"hash\":\"%s\",\"t\":%lld,\"trust\":\"%s\",\"prev\":\"%s\",\"key\":\"%s\","
		"\"public\":\"%s\"",
		(long long)h->number, h->chain, (long long)h->seq, h->hash, (long long)h->t, h->trust, h->prev, print, text);
	if (r >= 0 && h->changes_key) {
		key_text(h->next, text);
		r = buf_addf(out, ",\"next\":\"%s\"", text);
	}
	if (r >= 0 && h->loses_key)
		r = loss_print(h, out);
	if (r >= 0 && h->after[0])
		r = buf_addf(out, ",\"after\":\"%s\",\"after_head\":%lld", h->after, (long long)h->after_head);
	return r < 0 ? r : buf_addc(out, '}');
}

static int read_text(const cJSON *j, const char *member, char *out, size_t size)
{
	const char *text = json_get_string(j, member);

	return !text || str_copy(out, size, text) < 0 ? -EBADMSG : 0;
}

static int read_key(const cJSON *j, const char *member, uint8_t out[static PUBLIC_KEY_SIZE])
{
	const char *text = json_get_string(j, member);
	_cleanup_buf_ struct buf der = {};
	int r = text ? base64_decode(text, strlen(text), &der) : -EBADMSG;

	if (r < 0 || der.len != PUBLIC_KEY_SIZE)
		return r == -ENOMEM ? r : -EBADMSG;
	memcpy(out, der.data, PUBLIC_KEY_SIZE);
	return 0;
}

static int head_read(const cJSON *j, struct head *h)
{
	int r;

	if (json_get_i64(j, "head", &h->number) < 0 || json_get_i64(j, "seq", &h->seq) < 0 || json_get_i64(j, "t", &h->t) < 0 ||
		h->number < 1 || h->seq < 1 || read_text(j, "chain", h->chain, sizeof(h->chain)) < 0 ||
		read_text(j, "hash", h->hash, sizeof(h->hash)) < 0 || read_text(j, "trust", h->trust, sizeof(h->trust)) < 0 ||
		read_text(j, "prev", h->prev, sizeof(h->prev)) < 0)
		return -EBADMSG;
	r = read_key(j, "public", h->key);
	h->changes_key = json_get(j, "next");
	if (r >= 0 && h->changes_key)
		r = read_key(j, "next", h->next);
	h->loses_key = json_get(j, "lost");
	if (r >= 0 && h->loses_key)
		r = read_key(j, "lost", h->lost);
	if (r >= 0 && h->loses_key && (read_text(j, "why", h->why, sizeof(h->why)) < 0 || read_text(j, "by", h->by, sizeof(h->by)) < 0))
		r = -EBADMSG;
	if (r >= 0 && json_get(j, "after") &&
		(read_text(j, "after", h->after, sizeof(h->after)) < 0 || json_get_i64(j, "after_head", &h->after_head) < 0))
		r = -EBADMSG;
	return r;
}

/* Over the signature as well: a head that another one points at cannot get another signature. */
static int head_hash(const struct head_line *l, char out[static SHA256_HEX_SIZE])
{
	_cleanup_buf_ struct buf text = {};
	int r = buf_add(&text, l->body, l->body_len);

	if (r >= 0)
		r = buf_addc(&text, '\n');
	if (r >= 0)
		r = buf_add(&text, l->sig, l->sig_len);
	if (r >= 0)
		sha256_hex_of(buf_str(&text), text.len, out);
	return r;
}

/* A signature has one of few lengths: the last quote but one is where it begins. */
static bool head_split(const char *line, size_t len, struct head_line *l)
{
	const char *end = line + len - strlen(TAIL), *sig = end;

	if (len <= strlen(HEAD_FIRST HEAD_MIDDLE TAIL) || len > CHAIN_LINE_MAX || !chain_head_is(line, len) || memcmp(end, TAIL, strlen(TAIL)) != 0)
		return false;
	while (sig > line && sig[-1] != '"')
		sig--;
	l->body = line + strlen(HEAD_FIRST);
	if (sig - l->body <= (ptrdiff_t)strlen(HEAD_MIDDLE) || memcmp(sig - strlen(HEAD_MIDDLE), HEAD_MIDDLE, strlen(HEAD_MIDDLE)) != 0)
		return false;
	l->body_len = (size_t)(sig - l->body) - strlen(HEAD_MIDDLE);
	l->sig = sig;
	l->sig_len = (size_t)(end - sig);
	return true;
}

/* Whatever is not in the one form says something that nobody checks. */
static int head_parse(const char *line, size_t len, struct head_line *l)
{
	_cleanup_json_ cJSON *j = NULL;
	_cleanup_buf_ struct buf again = {};
	int r;

	*l = (struct head_line){};
	if (!head_split(line, len, l))
		return -EBADMSG;
	r = json_parse(l->body, l->body_len, &j, NULL);
	if (r >= 0)
		r = head_read(j, &l->said);
	if (r >= 0)
		r = head_print(&l->said, &again);
	if (r < 0)
		return r == -ENOMEM ? r : -EBADMSG;
	if (again.len != l->body_len || memcmp(buf_str(&again), l->body, l->body_len) != 0)
		return -EBADMSG;
	return head_hash(l, l->hash);
}

/* ---- signatures --------------------------------------------------------------------------------------------------------- */

static int check_signature(const uint8_t key[static PUBLIC_KEY_SIZE], const struct head_line *l, const char *sig, size_t sig_len)
{
	_cleanup_buf_ struct buf der = {};
	uint8_t hash[SHA256_SIZE];
	int r = base64_decode(sig, sig_len, &der);

	if (r < 0)
		return r == -ENOMEM ? r : -EKEYREJECTED;
	sha256_of(l->body, l->body_len, hash);
	return public_key_verify(key, hash, buf_str(&der), der.len);
}

/* By the key that it names, and by the next one where it changes. */
static int check_signatures(const struct head_line *l)
{
	const char *dot = memchr(l->sig, '.', l->sig_len);
	size_t first = dot ? (size_t)(dot - l->sig) : l->sig_len;
	int r;

	if (!dot != !l->said.changes_key)
		return -EKEYREJECTED;
	r = check_signature(l->said.key, l, l->sig, first);
	return r < 0 || !dot ? r : check_signature(l->said.next, l, dot + 1, l->sig_len - first - 1);
}

static int add_signature(struct signing_key *key, const struct buf *body, struct buf *out)
{
	uint8_t hash[SHA256_SIZE], sig[KEY_SIGNATURE_MAX];
	char text[BASE64_SIZE(SIGNATURE_MAX) + 1];
	size_t len;
	int r;

	sha256_of(buf_str(body), body->len, hash);
	r = signing_key_sign(key, hash, sig, &len);
	if (r < 0 || len > SIGNATURE_MAX)
		return r < 0 ? r : -EIO;
	text[base64_encode(sig, len, text)] = 0;
	return buf_adds(out, text);
}

int chain_head_sign(const struct chain *c, const struct chain_signing *s, struct buf *ret_body, struct buf *ret_signature)
{
	struct head h = {.number = c->heads + 1, .seq = c->seq, .t = s->t, .changes_key = s->next};
	const struct chain *after = c->heads == 0 ? s->after : NULL;
	int r = 0;

	str_copy(h.chain, sizeof(h.chain), c->id);
	str_copy(h.hash, sizeof(h.hash), c->hash);
	str_copy(h.trust, sizeof(h.trust), s->trust);
	str_copy(h.prev, sizeof(h.prev), after ? after->head_hash : c->head_hash);
	if (after) {
		str_copy(h.after, sizeof(h.after), after->id);
		h.after_head = after->heads;
	}
	if (s->why) {
		h.loses_key = true;
		memcpy(h.lost, c->key, sizeof(h.lost));
		r = str_copy(h.why, sizeof(h.why), s->why);
		if (r >= 0)
			r = str_copy(h.by, sizeof(h.by), s->by);
	}
	if (r >= 0)
		r = signing_key_public(s->key, h.key);
	if (r >= 0 && s->next)
		r = signing_key_public(s->next, h.next);
	if (r >= 0)
		r = head_print(&h, ret_body);
	if (r >= 0)
		r = add_signature(s->key, ret_body, ret_signature);
	if (r >= 0 && s->next)
		r = buf_addc(ret_signature, '.');
	if (r >= 0 && s->next)
		r = add_signature(s->next, ret_body, ret_signature);
	return r;
}

/* ---- following ---------------------------------------------------------------------------------------------------------- */

/* What is before it is only what it says itself. */
static void begin_at(struct chain *c, const struct head *h)
{
	c->seq = c->from_seq = h->seq;
	c->from_head = h->number;
	c->heads = h->number - 1;
	str_copy(c->hash, sizeof(c->hash), h->hash);
	str_copy(c->head_hash, sizeof(c->head_hash), h->prev);
	memcpy(c->key, h->loses_key ? h->lost : h->key, sizeof(c->key));
	str_copy(c->id, sizeof(c->id), h->chain);
}

static const char *out_of_place(const struct chain *c, const struct head *h)
{
	const char *prev = c->head_hash;

	if (c->heads > 0 && !streq(h->chain, c->id))
		return "is a head of another chain: the database was made anew";
	if (h->number > c->heads && h->seq > c->seq)
		return "is a head from further on: receipts before it, or a file of them, are missing";
	if (h->after[0] && (h->number != 1 || streq(h->after, h->chain)))
		return "is a head that says of another chain what only the first one can";
	if (h->number == 1 && h->after[0])
		prev = h->prev; /* of that chain: whoever has both can tell */
	if (h->number != c->heads + 1 || h->seq != c->seq || !streq(h->hash, c->hash) || !streq(h->prev, prev))
		return "is a head that does not fit: it, or what it signs, was changed, removed or added";
	if (h->loses_key && (h->number == 1 || h->changes_key || memcmp(c->key, h->lost, sizeof(c->key)) != 0 ||
				    memcmp(h->key, h->lost, sizeof(h->key)) == 0))
		return "is a head that says of a key that it was lost, which was not the one before";
	if (c->heads > 0 && !h->loses_key && memcmp(c->key, h->key, sizeof(c->key)) != 0)
		return "is a head that another key has signed than the one before";
	return NULL;
}

static bool is_given(const struct chain *c, const uint8_t key[static PUBLIC_KEY_SIZE])
{
	for (size_t i = 0; i < c->n_keys; i++)
		if (memcmp(c->keys[i], key, PUBLIC_KEY_SIZE) == 0)
			return true;
	return false;
}

/* What the new key says of the time before it, it has found so: only the one that was lost vouches for that. */
static void lose_key(struct chain *c, const struct head *h)
{
	struct chain_loss *l = &c->loss;

	*l = (struct chain_loss){.head = h->number, .seq = h->seq, .t = h->t, .key_seen = c->key_seen || c->signed_seq == 0};
	if (c->signed_seq > 0) {
		l->signed_seq = c->signed_seq;
		l->signed_head = c->heads;
	}
	str_copy(l->trust, sizeof(l->trust), h->trust);
	str_copy(l->why, sizeof(l->why), h->why);
	str_copy(l->by, sizeof(l->by), h->by);
	memcpy(l->lost, h->lost, sizeof(l->lost));
	memcpy(l->key, h->key, sizeof(l->key));
	c->key_losses++;
	c->key_seen = false;
}

static void move_on(struct chain *c, const struct head_line *l)
{
	const struct head *h = &l->said;

	if (h->loses_key)
		lose_key(c, h);
	c->heads++;
	c->signed_seq = c->seq;
	c->signed_ms = h->t;
	str_copy(c->head_hash, sizeof(c->head_hash), l->hash);
	str_copy(c->id, sizeof(c->id), h->chain);
	memcpy(c->key, h->changes_key ? h->next : h->key, sizeof(c->key));
	c->key_changes += h->changes_key;
	c->key_seen |= is_given(c, h->key) || is_given(c, c->key);
	if (h->after[0]) {
		str_copy(c->after, sizeof(c->after), h->after);
		str_copy(c->after_hash, sizeof(c->after_hash), h->prev);
		c->after_head = h->after_head;
	}
}

int chain_head_follow(struct chain *c, const char *line, size_t len, const char **ret_why)
{
	struct chain next = *c;
	struct head_line l;
	const char *why;
	int r;

	r = head_parse(line, len, &l);
	if (r < 0)
		return r == -ENOMEM ? r : broken(ret_why, "is no head");
	if (c->in_parts && c->heads > 0 && c->signed_seq == c->seq && streq(l.hash, c->head_hash))
		return 0;
	if (c->in_parts && c->seq == 0)
		begin_at(&next, &l.said);
	why = out_of_place(&next, &l.said);
	if (why)
		return broken(ret_why, why);
	r = c->unchecked ? 0 : check_signatures(&l);
	if (r < 0)
		return r == -ENOMEM ? r : broken(ret_why, "is a head whose signature is not its key's");
	move_on(&next, &l);
	*c = next;
	return 0;
}

int chain_head_read(const char *line, size_t len, struct chain *ret)
{
	struct chain c = CHAIN_BEGIN;
	struct head_line l;
	int r = head_parse(line, len, &l);

	if (r < 0)
		return r;
	begin_at(&c, &l.said);
	c.from_seq = c.from_head = 0;
	move_on(&c, &l);
	*ret = c;
	return 0;
}
