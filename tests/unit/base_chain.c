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
