#include "base/chain.h"

#include <stdio.h>

#include "tests/unit/test.h"

#define N 4

static char bodies[N][64];
static struct buf lines[N];

/* By hand, from docs/architecture.md. */
static void make_lines(void)
{
	char text[200], hash[SHA256_HEX_SIZE] = CHAIN_NOTHING;

	for (int i = 0; i < N; i++) {
		str_format(bodies[i], sizeof(bodies[i]), "{\"v\":1,\"seq\":%d,\"kind\":\"sent\",\"t\":%d}", i + 1, 1000 * i);
		str_format(text, sizeof(text), "%s\n%s", hash, bodies[i]);
		sha256_hex_of(text, strlen(text), hash);
		buf_clear(&lines[i]);
		CHECK_INT(chain_line(&lines[i], bodies[i], hash), 0);
		str_format(text, sizeof(text), "{\"receipt\":%s,\"hash\":\"%s\"}", bodies[i], hash);
		CHECK_STR(buf_str(&lines[i]), text);
	}
}

/* Follows these lines; how many held. */
static int follow(const int *order, int n)
{
	struct chain c = CHAIN_BEGIN;
	int i;

	for (i = 0; i < n; i++) {
		const char *why = NULL;
		cJSON *body = NULL;
		int r = chain_follow(&c, buf_str(&lines[order[i]]), lines[order[i]].len, &body, &why);

		CHECK(r == 0 || (r == -EBADMSG && why && !body));
		cJSON_Delete(body);
		if (r < 0)
			break;
	}
	CHECK_INT(c.seq, i);
	return i;
}

static void forget_lines(void)
{
	for (int i = 0; i < N; i++)
		buf_free(&lines[i]);
}

TEST(a_chain_holds)
{
	struct chain c = CHAIN_BEGIN;
	const char *why;
	cJSON *body;

	make_lines();
	CHECK_INT(follow((const int[]){0, 1, 2, 3}, 4), 4);
	CHECK_INT(chain_follow(&c, buf_str(&lines[0]), lines[0].len, &body, &why), 0);
	CHECK_STR(json_get_string(body, "kind"), "sent");
	CHECK(strstr(buf_str(&lines[0]), c.hash));
	cJSON_Delete(body);
	forget_lines();
}

TEST(each_removal_swap_and_repetition_shows)
{
	make_lines();
	CHECK_INT(follow((const int[]){1, 2, 3}, 3), 0);
	CHECK_INT(follow((const int[]){0, 2, 3}, 3), 1);
	CHECK_INT(follow((const int[]){0, 1, 3}, 3), 2);
	CHECK_INT(follow((const int[]){1, 0, 2, 3}, 4), 0);
	CHECK_INT(follow((const int[]){0, 2, 1, 3}, 4), 1);
	CHECK_INT(follow((const int[]){0, 1, 3, 2}, 4), 2);
	CHECK_INT(follow((const int[]){0, 0, 1, 2}, 4), 1);
	CHECK_INT(follow((const int[]){0, 1, 2, 2, 3}, 5), 3);
	forget_lines();
}

/* Each byte in each line to each other value, and away, and doubled: at that line at the latest it shows. */
TEST(every_change_of_a_byte_shows)
{
	const int all[] = {0, 1, 2, 3};

	make_lines();
	for (int i = 0; i < N; i++)
		for (size_t at = 0; at < lines[i].len; at++)
			for (int by = 1; by < 256; by++) {
				lines[i].data[at] ^= (char)by;
				CHECK_INT(follow(all, N), i);
				lines[i].data[at] ^= (char)by;
			}
	for (int i = 0; i < N; i++)
		for (size_t at = 0; at < lines[i].len; at++) {
			struct buf whole = lines[i], other = {};

			CHECK_INT(buf_add(&other, whole.data, at), 0);
			CHECK_INT(buf_add(&other, whole.data + at + 1, whole.len - at - 1), 0);
			lines[i] = other;
			CHECK_INT(follow(all, N), i);
			buf_clear(&lines[i]);
			CHECK_INT(buf_add(&lines[i], whole.data, at + 1), 0);
			CHECK_INT(buf_add(&lines[i], whole.data + at, whole.len - at), 0);
			CHECK_INT(follow(all, N), i);
			/* and cut off here */
			lines[i].len = at;
			buf_terminate(&lines[i]);
			CHECK_INT(follow(all, N), i);
			buf_free(&lines[i]);
			lines[i] = whole;
		}
	CHECK_INT(follow(all, N), N);
	forget_lines();
}

/* A body of another number whose hash is right, and one that is no JSON. */
TEST(what_is_hashed_must_be_the_next_receipt)
{
	static const char *const odd[] = {"{\"seq\":2}", "{\"seq\":0}", "{\"seq\":\"1\"}", "{}", "[]", "{\"seq\":1", "{\"seq\":1}{}"};
	char hash[SHA256_HEX_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		_cleanup_buf_ struct buf line = {};
		struct chain c = CHAIN_BEGIN;
		const char *why = NULL;
		cJSON *body;

		CHECK_INT(chain_hash(CHAIN_NOTHING, odd[i], strlen(odd[i]), hash), 0);
		CHECK_INT(chain_line(&line, odd[i], hash), 0);
		CHECK_INT(chain_follow(&c, buf_str(&line), line.len, &body, &why), -EBADMSG);
		CHECK(why && c.seq == 0);
		CHECK_STR(c.hash, CHAIN_NOTHING);
	}
}

/* ---- signed heads ------------------------------------------------------------------------------------------------- */

#define M (N + 2)

static struct buf story[M + 1]; /* receipts 1 and 2, head, 3 and 4, head; of one whose key is lost, one more */

static struct signing_key *new_key(void)
{
	struct signing_key *k = NULL;

	CHECK_INT(signing_key_generate(&k), 0);
	return k;
}

static void add_line(struct chain *c, int at, const struct buf *line)
{
	const char *why = "?";
	cJSON *body = NULL;

	buf_clear(&story[at]);
	CHECK_INT(buf_add(&story[at], line->data, line->len), 0);
	if (chain_follow(c, buf_str(line), line->len, &body, &why) < 0)
		test_fail(__FILE__, __LINE__, "line %d: %s", at, why);
	cJSON_Delete(body);
}

static void add_head(struct chain *c, int at, struct signing_key *k, struct signing_key *next)
{
	_cleanup_buf_ struct buf body = {}, sig = {}, line = {};

	CHECK_INT(chain_head_sign(c, &(struct chain_signing){.key = k, .next = next, .t = 5000 + at, .trust = "trusted"}, &body, &sig), 0);
	CHECK_INT(chain_head_line(&line, buf_str(&body), buf_str(&sig)), 0);
	add_line(c, at, &line);
}

static void tell(struct signing_key *first, struct signing_key *second)
{
	struct chain c = CHAIN_BEGIN;

	make_lines();
	str_copy(c.id, sizeof(c.id), "00112233445566778899aabbccddeeff");
	for (int i = 0, at = 0; i < N; i++) {
		add_line(&c, at++, &lines[i]);
		if (i % 2 == 1)
			add_head(&c, at++, i < 2 ? first : second, i < 2 && first != second ? second : NULL);
	}
	forget_lines();
	CHECK(c.heads == 2 && c.signed_seq == 4 && c.signed_ms == 5005);
}

static void forget_story(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(story); i++)
		buf_free(&story[i]);
}

/* How many of these lines hold, and how far that came. */
static int listen_to(const int *order, int n, struct chain *ret)
{
	struct chain c = *ret;
	int i;

	for (i = 0; i < n; i++) {
		const struct buf *line = &story[order[i]];
		const char *why = NULL;
		cJSON *body = NULL;

		if (chain_follow(&c, buf_str(line), line->len, &body, &why) < 0) {
			CHECK(why);
			break;
		}
		cJSON_Delete(body);
	}
	*ret = c;
	return i;
}

static int listen(const int *order, int n)
{
	struct chain c = CHAIN_BEGIN;

	return listen_to(order, n, &c);
}

static const int in_order[] = {0, 1, 2, 3, 4, 5};

static bool key_is_seen(const uint8_t *key)
{
	struct chain c = CHAIN_BEGIN;

	c.keys = (const uint8_t (*)[PUBLIC_KEY_SIZE])key;
	c.n_keys = 1;
	CHECK_INT(listen_to(in_order, M, &c), M);
	return c.key_seen;
}

TEST(signed_heads_hold_by_their_key_alone)
{
	struct signing_key *k = new_key(), *other = new_key();
	uint8_t public[PUBLIC_KEY_SIZE], wrong[PUBLIC_KEY_SIZE];

	CHECK_INT(signing_key_public(k, public), 0);
	CHECK_INT(signing_key_public(other, wrong), 0);
	tell(k, k);
	CHECK_INT(listen(in_order, M), M);
	CHECK(key_is_seen(public));
	CHECK(!key_is_seen(wrong));
	signing_key_free(k);
	signing_key_free(other);
	forget_story();
}

TEST(another_key_than_before_shows)
{
	struct signing_key *k = new_key(), *other = new_key();
	struct chain c = CHAIN_BEGIN;
	_cleanup_buf_ struct buf body = {}, sig = {}, line = {};
	const char *why = NULL;
	struct chain read;
	cJSON *j;

	tell(k, k);
	for (int i = 0; i < 5; i++) {
		cJSON *b = NULL;

		CHECK_INT(chain_follow(&c, buf_str(&story[i]), story[i].len, &b, &why), 0);
		cJSON_Delete(b);
	}
	CHECK_INT(chain_head_sign(&c, &(struct chain_signing){.key = other, .t = 1, .trust = "trusted"}, &body, &sig), 0);
	CHECK_INT(chain_head_line(&line, buf_str(&body), buf_str(&sig)), 0);
	CHECK_INT(chain_follow(&c, buf_str(&line), line.len, &j, &why), -EBADMSG);
	CHECK(strstr(why, "another key"));
	CHECK_INT(chain_head_read(buf_str(&line), line.len, &read), 0);
	CHECK(read.heads == 2 && read.seq == 4 && streq(read.id, c.id) && streq(read.hash, c.hash));
	CHECK_INT(chain_head_read(buf_str(&story[0]), story[0].len, &read), -EBADMSG);
	signing_key_free(k);
	signing_key_free(other);
	forget_story();
}

TEST(each_removal_and_swap_among_heads_shows)
{
	struct signing_key *k = new_key();

	tell(k, k);
	CHECK_INT(listen((const int[]){0, 1, 3, 4, 5}, 5), 4); /* without the first head */
	CHECK_INT(listen((const int[]){0, 1, 2, 4, 5}, 5), 3);
	CHECK_INT(listen((const int[]){0, 2, 1, 3, 4, 5}, 6), 1);
	CHECK_INT(listen((const int[]){0, 1, 2, 2, 3, 4}, 6), 3);
	CHECK_INT(listen((const int[]){0, 1, 2, 3, 5, 4}, 6), 4);
	CHECK_INT(listen((const int[]){2, 0, 1, 3, 4, 5}, 6), 0);
	signing_key_free(k);
	forget_story();
}

/* One bit of each byte, and each byte away: the whole of 256 values is for receipts, whose check takes no elliptic curve. */
TEST(every_change_of_a_head_shows)
{
	struct signing_key *k = new_key(), *other = new_key();

	tell(k, other);
	for (int i = 2; i < M; i += 3)
		for (size_t at = 0; at < story[i].len; at++) {
			struct buf whole = story[i], shorter = {};

			story[i].data[at] ^= (char)(1 << (at % 7));
			CHECK_INT(listen(in_order, M), i);
			story[i].data[at] ^= (char)(1 << (at % 7));
			CHECK_INT(buf_add(&shorter, whole.data, at), 0);
			CHECK_INT(buf_add(&shorter, whole.data + at + 1, whole.len - at - 1), 0);
			story[i] = shorter;
			CHECK_INT(listen(in_order, M), i);
			buf_free(&story[i]);
			story[i] = whole;
		}
	CHECK_INT(listen(in_order, M), M);
	signing_key_free(k);
	signing_key_free(other);
	forget_story();
}

/* ---- files of days ------------------------------------------------------------------------------------------------ */

TEST(a_part_begins_at_a_head_and_joins_at_it)
{
	struct signing_key *k = new_key();
	struct chain c = CHAIN_BEGIN;

	tell(k, k);
	c.in_parts = true;
	CHECK_INT(listen_to((const int[]){2, 3, 4, 5}, 4, &c), 4);
	CHECK(c.from_seq == 2 && c.from_head == 1 && c.heads == 2 && c.signed_seq == 4);
	c = CHAIN_BEGIN;
	c.in_parts = true;
	CHECK_INT(listen_to((const int[]){0, 1, 2, 2, 3, 4, 5}, 7, &c), 7);
	CHECK(c.from_seq == 0 && c.heads == 2);
	/* Not where a receipt has come since, not the one before, and not with a part missing. */
	c = CHAIN_BEGIN;
	c.in_parts = true;
	CHECK_INT(listen_to((const int[]){0, 1, 2, 3, 2}, 5, &c), 4);
	c = CHAIN_BEGIN;
	c.in_parts = true;
	CHECK_INT(listen_to((const int[]){0, 1, 2, 3, 4, 5, 2}, 7, &c), 6);
	c = CHAIN_BEGIN;
	c.in_parts = true;
	CHECK_INT(listen_to((const int[]){0, 1, 5}, 3, &c), 2);
	/* Whole chains begin with their first receipt. */
	CHECK_INT(listen((const int[]){2, 3, 4, 5}, 4), 0);
	signing_key_free(k);
	forget_story();
}

/* ---- another key -------------------------------------------------------------------------------------------------- */

TEST(a_key_hands_over_to_another_by_both_signatures)
{
	struct signing_key *k = new_key(), *other = new_key(), *third = new_key();
	uint8_t before[PUBLIC_KEY_SIZE], after[PUBLIC_KEY_SIZE], wrong[PUBLIC_KEY_SIZE];
	struct chain c = CHAIN_BEGIN;

	CHECK_INT(signing_key_public(k, before), 0);
	CHECK_INT(signing_key_public(other, after), 0);
	CHECK_INT(signing_key_public(third, wrong), 0);
	tell(k, other);
	CHECK_INT(listen_to(in_order, M, &c), M);
	CHECK(c.key_changes == 1 && memcmp(c.key, after, sizeof(after)) == 0);
	CHECK(key_is_seen(before) && key_is_seen(after) && !key_is_seen(wrong));
	signing_key_free(k);
	signing_key_free(other);
	signing_key_free(third);
	forget_story();
}

/* The one signature, the other, both the wrong way round, and the new key's in both places. */
TEST(a_change_of_keys_needs_both_signatures)
{
	struct signing_key *k = new_key(), *other = new_key();
	struct buf whole;
	const char *sig, *dot, *end;
	char first[100], second[100], body[2000];

	tell(k, other);
	whole = story[2];
	sig = strstr(buf_str(&whole), "\"sig\":\"");
	CHECK(sig);
	sig += strlen("\"sig\":\"");
	dot = strchr(sig, '.');
	end = strchr(sig, '"');
	CHECK(dot && end);
	str_format(body, sizeof(body), "%.*s", (int)(sig - buf_str(&whole)), buf_str(&whole));
	str_format(first, sizeof(first), "%.*s", (int)(dot - sig), sig);
	str_format(second, sizeof(second), "%.*s", (int)(end - dot - 1), dot + 1);
	for (int i = 0; i < 5; i++) {
		struct buf other_line = {};

		if (i < 2)
			CHECK_INT(buf_addf(&other_line, "%s%s\"}", body, i ? second : first), 0);
		else
			CHECK_INT(buf_addf(&other_line, "%s%s.%s\"}", body, i == 4 ? first : second, i == 3 ? second : first), 0);
		story[2] = other_line;
		CHECK_INT(listen(in_order, M), 2);
		buf_free(&story[2]);
	}
	story[2] = whole;
	CHECK_INT(listen(in_order, M), M);
	signing_key_free(k);
	signing_key_free(other);
	forget_story();
}

/* ---- a key that is lost ------------------------------------------------------------------------------------------- */

static const int whole[] = {0, 1, 2, 3, 4, 5, 6};
#define L ((int)ARRAY_SIZE(whole))

/* A head by a key that none handed over to. */
static void add_loss(struct chain *c, int at, struct signing_key *k)
{
	const struct chain_signing s = {.key = k, .why = "the \"card\" broke \xe2\x80\x93 for good", .by = "uid 0", .t = 7000, .trust = "plausible"};
	_cleanup_buf_ struct buf body = {}, sig = {}, line = {};

	CHECK_INT(chain_head_sign(c, &s, &body, &sig), 0);
	CHECK_INT(chain_head_line(&line, buf_str(&body), buf_str(&sig)), 0);
	add_line(c, at, &line);
}

static struct chain tell_loss(struct signing_key *first, struct signing_key *second)
{
	struct chain c = CHAIN_BEGIN;

	make_lines();
	str_copy(c.id, sizeof(c.id), "00112233445566778899aabbccddeeff");
	for (int i = 0, at = 0; i < N; i++) {
		add_line(&c, at++, &lines[i]);
		if (i == 1)
			add_head(&c, at++, first, NULL);
	}
	add_loss(&c, 5, second);
	add_head(&c, 6, second, NULL);
	forget_lines();
	return c;
}

TEST(a_lost_key_is_told_of_by_the_one_after_it)
{
	struct signing_key *k = new_key(), *other = new_key();
	uint8_t before[PUBLIC_KEY_SIZE], after[PUBLIC_KEY_SIZE];
	struct chain c = tell_loss(k, other), part = CHAIN_BEGIN;
	const struct chain_loss *l = &c.loss;

	CHECK_INT(signing_key_public(k, before), 0);
	CHECK_INT(signing_key_public(other, after), 0);
	CHECK(c.key_losses == 1 && c.key_changes == 0 && c.heads == 3);
	CHECK(l->head == 2 && l->seq == 4 && l->t == 7000 && l->signed_seq == 2 && l->signed_head == 1);
	CHECK_STR(l->trust, "plausible");
	CHECK_STR(l->why, "the \"card\" broke \xe2\x80\x93 for good");
	CHECK_STR(l->by, "uid 0");
	CHECK(memcmp(l->lost, before, sizeof(before)) == 0 && memcmp(l->key, after, sizeof(after)) == 0 && memcmp(c.key, after, sizeof(after)) == 0);
	/* A file of days that begins with it knows of the old key, and of nothing that it signed. */
	part.in_parts = true;
	CHECK_INT(listen_to((const int[]){5, 6}, 2, &part), 2);
	CHECK(part.key_losses == 1 && part.loss.signed_seq == 0 && part.loss.key_seen && part.from_head == 2);
	part = CHAIN_BEGIN;
	part.in_parts = true;
	CHECK_INT(listen_to((const int[]){2, 3, 4, 5, 5, 6}, 6, &part), 6);
	CHECK(part.key_losses == 1 && part.loss.signed_seq == 2);
	signing_key_free(k);
	signing_key_free(other);
	forget_story();
}

/* Each key vouches for its own time alone. */
TEST(both_sides_of_a_loss_have_their_own_key)
{
	struct signing_key *k = new_key(), *other = new_key();
	uint8_t keys[2][PUBLIC_KEY_SIZE];

	CHECK_INT(signing_key_public(k, keys[0]), 0);
	CHECK_INT(signing_key_public(other, keys[1]), 0);
	tell_loss(k, other);
	for (size_t from = 0; from < 2; from++)
		for (size_t n = 0; from + n <= 2; n++) {
			struct chain c = CHAIN_BEGIN;

			c.keys = keys + from;
			c.n_keys = n;
			CHECK_INT(listen_to(whole, L, &c), L);
			CHECK_INT(c.loss.key_seen, from == 0 && n > 0);
			CHECK_INT(c.key_seen, from + n == 2 && n > 0);
		}
	signing_key_free(k);
	signing_key_free(other);
	forget_story();
}

TEST(each_change_around_a_loss_shows)
{
	struct signing_key *k = new_key(), *other = new_key();
	struct chain before = CHAIN_BEGIN;

	tell_loss(k, other);
	CHECK_INT(listen(whole, L), L);
	CHECK_INT(listen((const int[]){0, 1, 2, 3, 4, 6}, 6), 5);    /* without it */
	CHECK_INT(listen((const int[]){0, 1, 3, 4, 5, 6}, 6), 4);    /* without what the old key signed */
	CHECK_INT(listen((const int[]){0, 1, 2, 3, 5, 6}, 6), 4);    /* without a receipt between */
	CHECK_INT(listen((const int[]){0, 1, 2, 3, 4, 5, 5, 6}, 8), 6);
	CHECK_INT(listen((const int[]){0, 1, 2, 5, 3, 4, 6}, 7), 3);
	CHECK_INT(listen_to(whole, 5, &before), 5);
	for (size_t at = 0; at < story[5].len; at += test_stride(3)) {
		struct chain c = before;

		story[5].data[at] ^= (char)(1 << (at % 7));
		CHECK_INT(listen_to(whole + 5, 2, &c), 0);
		story[5].data[at] ^= (char)(1 << (at % 7));
	}
	signing_key_free(k);
	signing_key_free(other);
	forget_story();
}

/* Signed as it should be, and not so: of the key that was not before it, of the one that signs it, in the first head, beside a change. */
TEST(a_loss_that_cannot_be_shows)
{
	struct signing_key *k = new_key(), *other = new_key(), *third = new_key();

	for (int i = 0; i < 4; i++) {
		struct chain_signing s = {.key = other, .why = "w", .by = "uid 0", .t = 1, .trust = "trusted"};
		_cleanup_buf_ struct buf body = {}, sig = {}, line = {};
		struct chain c = CHAIN_BEGIN, told;
		const char *why = NULL;
		cJSON *j;

		tell_loss(k, other);
		CHECK_INT(listen_to(whole, 5, &c), 5);
		told = c;
		if (i == 0)
			CHECK_INT(signing_key_public(third, told.key), 0);
		else if (i == 1)
			s.key = k;
		else if (i == 2)
			s.next = third;
		else
			told.heads = c.heads = 0;
		CHECK_INT(chain_head_sign(&told, &s, &body, &sig), 0);
		CHECK_INT(chain_head_line(&line, buf_str(&body), buf_str(&sig)), 0);
		CHECK_INT(chain_follow(&c, buf_str(&line), line.len, &j, &why), -EBADMSG);
		CHECK(strstr(why, "was lost") || i == 3);
		forget_story();
	}
	signing_key_free(k);
	signing_key_free(other);
	signing_key_free(third);
}

/* ---- the chain before this one ------------------------------------------------------------------------------------ */

TEST(the_first_head_says_which_chain_was_before)
{
	struct signing_key *k = new_key();
	struct chain old = CHAIN_BEGIN, c = CHAIN_BEGIN;
	_cleanup_buf_ struct buf body = {}, sig = {}, line = {};

	tell(k, k);
	CHECK_INT(listen_to(in_order, M, &old), M);
	make_lines();
	str_copy(c.id, sizeof(c.id), "ffffffffffffffffffffffffffffffff");
	add_line(&c, 0, &lines[0]);
	CHECK_INT(chain_head_sign(&c, &(struct chain_signing){.key = k, .t = 1, .trust = "trusted", .after = &old}, &body, &sig), 0);
	CHECK_INT(chain_head_line(&line, buf_str(&body), buf_str(&sig)), 0);
	add_line(&c, 1, &line);
	CHECK_STR(c.after, old.id);
	CHECK_STR(c.after_hash, old.head_hash);
	CHECK_INT(c.after_head, 2);
	CHECK(streq(c.id, "ffffffffffffffffffffffffffffffff") && c.heads == 1);
	signing_key_free(k);
	forget_lines();
	forget_story();
}
