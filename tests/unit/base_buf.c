#include "tests/unit/test.h"

#include "base/buf.h"

TEST(empty_is_valid)
{
	struct buf b = {};
	char *s;

	CHECK_STR(buf_str(&b), "");
	buf_clear(&b);
	buf_terminate(&b);
	buf_consume(&b, 5);
	buf_free(&b);
	buf_wipe(&b);
	s = buf_take(&b);
	CHECK_STR(s, "");
	free(s);
}

TEST(add_keeps_a_nul_behind)
{
	_cleanup_buf_ struct buf b = {};

	CHECK_INT(buf_add(&b, "a\0b", 3), 0);
	CHECK_INT(buf_adds(&b, "cd"), 0);
	CHECK_INT(buf_addc(&b, 'e'), 0);
	CHECK_INT(buf_addf(&b, "%d-%s", 42, "x"), 0);
	CHECK_INT(b.len, 10);
	CHECK(memcmp(b.data, "a\0bcde42-x", 11) == 0);
	CHECK_INT(buf_add(&b, NULL, 0), 0);
	CHECK_INT(b.len, 10);
}

TEST(grows_over_many_sizes)
{
	_cleanup_buf_ struct buf b = {};

	for (int i = 0; i < 5000; i++)
		CHECK_INT(buf_addc(&b, (char)('a' + i % 26)), 0);
	for (int i = 0; i < 5000; i++)
		CHECK(b.data[i] == (char)('a' + i % 26));
	CHECK(b.data[5000] == 0);
}

TEST(cap_is_exact_and_leaves_the_content)
{
	_cleanup_buf_ struct buf b = BUF_MAX(10);

	CHECK_INT(buf_adds(&b, "0123456789"), 0);
	CHECK_INT(buf_addc(&b, 'x'), -EMSGSIZE);
	CHECK_INT(buf_addf(&b, "%d", 1), -EMSGSIZE);
	CHECK_INT(buf_reserve(&b, SIZE_MAX, NULL), -EMSGSIZE);
	CHECK_STR(buf_str(&b), "0123456789");
	CHECK(b.size <= 11 + 64);
}

TEST(reserve_and_use)
{
	_cleanup_buf_ struct buf b = {};
	void *p;

	CHECK_INT(buf_adds(&b, "x"), 0);
	CHECK_INT(buf_reserve(&b, 100, &p), 0);
	CHECK_STR(buf_str(&b), "x");
	memset(p, 'y', 100);
	b.len += 100;
	buf_terminate(&b);
	CHECK_INT(strlen(b.data), 101);
}

TEST(consume_from_the_front)
{
	_cleanup_buf_ struct buf b = {};

	CHECK_INT(buf_adds(&b, "hello world"), 0);
	buf_consume(&b, 6);
	CHECK_STR(buf_str(&b), "world");
	buf_consume(&b, 0);
	CHECK_STR(buf_str(&b), "world");
	buf_consume(&b, 99);
	CHECK_STR(buf_str(&b), "");
}

TEST(take_moves)
{
	struct buf b = {};
	char *s;

	CHECK_INT(buf_adds(&b, "mine"), 0);
	s = buf_take(&b);
	CHECK(!b.data && b.len == 0 && b.size == 0);
	CHECK_STR(s, "mine");
	free(s);
}

TEST(str_helpers)
{
	char a[6];

	CHECK_INT(str_format(a, sizeof(a), "%s", "12345"), 5);
	CHECK_INT(str_format(a, sizeof(a), "%s", "123456"), -ENOBUFS);
	CHECK_INT(str_copy(a, sizeof(a), "12345"), 5);
	CHECK_STR(a, "12345");
	CHECK_INT(str_copy(a, sizeof(a), "123456"), -ENOBUFS);
	CHECK_STR(a, "");
	CHECK_INT(str_copy(a, 0, "1"), -ENOBUFS);
	CHECK(starts_with("abc", "ab") && starts_with("abc", "") && !starts_with("ab", "abc"));
}
