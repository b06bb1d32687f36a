#include "cloud/s3.h"
#include "tests/unit/test.h"

static const struct s3_bucket bucket = {.name = "pages-sydney", .region = "ap-southeast-2"};

TEST(names_by_the_rules)
{
	static const char *const right[] = {"abc", "pages-sydney", "0-0", "a23456789012345678901234567890123456789012345678901234567890123"};
	static const char *const wrong[] = {"", "ab", "a.b.c", "Pages", "-abc", "abc-", "a_b", "a/b", "abc ", "a234567890123456789012345678901234567890123456789012345678901234"};

	for (size_t i = 0; i < ARRAY_SIZE(right); i++)
		CHECK(s3_name_ok(right[i]));
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		CHECK(!s3_name_ok(wrong[i]));
}

TEST(prefixes_that_need_no_second_thought)
{
	static const char *const right[] = {"pageferry/", "a/b/", "it's(a)*/", "..a/", "a../"};
	static const char *const wrong[] = {"", "/", "/a/", "a", "a//b/", "./", "../", "a/./b/", "a/../b/", "a?/", "a%2f/", "\xc3\xa4/", "a b/"};

	for (size_t i = 0; i < ARRAY_SIZE(right); i++)
		CHECK(s3_prefix_ok(right[i]));
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		CHECK(!s3_prefix_ok(wrong[i]));
}

TEST(urls_are_of_the_region)
{
	_cleanup_buf_ struct buf url = {};

	CHECK_INT(s3_url(&bucket, "in/it's(a)*.json", &url), 0);
	CHECK_STR(buf_str(&url), "https://pages-sydney.s3.ap-southeast-2.amazonaws.com/in/it%27s%28a%29%2A.json");
	CHECK(s3_is_url(&bucket, buf_str(&url)));
	CHECK(!s3_is_url(&bucket, "https://pages-sydney.s3.us-east-1.amazonaws.com/in/a"));
	CHECK(!s3_is_url(&bucket, "https://runtime.sagemaker.ap-southeast-2.amazonaws.com/endpoints/a/async-invocations"));
	CHECK(!s3_is_url(&(struct s3_bucket){.region = "ap-southeast-2"}, "https://.s3.ap-southeast-2.amazonaws.com/"));
}

TEST(keys_are_of_the_bucket_and_below_the_prefix)
{
	static const char *const wrong[] = {"s3://pages-sydney/pf/", "s3://pages-sydney/other/a", "s3://pages-sydney2/pf/a", "https://pages-sydney/pf/a", "",
		"s3://pages-sydney/pf/../a", "s3://pages-sydney/pf//a", "S3://pages-sydney/pf/a", "s3://pages-sydney/pf/..", "s3://pages-sydney/pf/.",
		"s3://pages-sydney/pf/a/..", "s3://pages-sydney/pf/./a"};

	CHECK_STR(s3_key_of(&bucket, "pf/", "s3://pages-sydney/pf/out/a.out"), "pf/out/a.out");
	CHECK_STR(s3_key_of(&bucket, "pf/", "s3://pages-sydney/pf/..a/.b/c..."), "pf/..a/.b/c...");
	CHECK(!s3_key_of(&bucket, "pf/", NULL));
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		CHECK(!s3_key_of(&bucket, "pf/", wrong[i]));
}

static enum s3_place place(enum transport_error error, int status, const char *region, char why[static 400])
{
	char name[] = "x-amz-bucket-region", value[64] = "";
	const struct header h = {name, value};
	struct reply r = {.error = error, .status = status, .headers = &h, .n_headers = region ? 1 : 0};

	if (region)
		str_copy(value, sizeof(value), region);
	return s3_place_of(&bucket, &r, why, 400);
}

TEST(only_a_whole_proof_is_one)
{
	char why[400];

	CHECK_INT(place(TRANSPORT_OK, 200, "ap-southeast-2", why), S3_STAYS);
	CHECK_INT(place(TRANSPORT_OK, 200, NULL, why), S3_ELSEWHERE);
	CHECK_INT(place(TRANSPORT_OK, 200, "us-east-1", why), S3_ELSEWHERE);
	CHECK(strstr(why, "us-east-1"));
	CHECK_INT(place(TRANSPORT_OK, 403, "us-east-1", why), S3_ELSEWHERE);
	CHECK_INT(place(TRANSPORT_REDIRECT, 301, "eu-west-1", why), S3_ELSEWHERE);
	CHECK(strstr(why, "eu-west-1"));
	CHECK_INT(place(TRANSPORT_REDIRECT, 307, NULL, why), S3_ELSEWHERE);
	CHECK_INT(place(TRANSPORT_REDIRECT, 307, "ap-southeast-2", why), S3_ELSEWHERE);
	CHECK_INT(place(TRANSPORT_OK, 403, "ap-southeast-2", why), S3_UNKNOWN);
	CHECK(strstr(why, "s3:ListBucket"));
	CHECK_INT(place(TRANSPORT_OK, 404, NULL, why), S3_UNKNOWN);
	CHECK_INT(place(TRANSPORT_OK, 503, NULL, why), S3_UNKNOWN);
	CHECK_INT(place(TRANSPORT_TIMEOUT, 0, NULL, why), S3_UNKNOWN);
}
