#include <stdio.h>

#include "daemon/prices.h"
#include "tests/unit/test.h"

static int read_text(const char *text, struct prices **ret, struct buf *errors)
{
	char path[128];
	FILE *f;

	str_format(path, sizeof(path), "%s/prices.conf", test_tmpdir());
	f = fopen(path, "we");
	CHECK(f);
	CHECK(fputs(text, f) >= 0);
	CHECK_INT(fclose(f), 0);
	return prices_read(path, ret, errors);
}

TEST(the_shipped_prices)
{
	_cleanup_buf_ struct buf errors = {};
	const struct price *p;
	struct prices *all;

	if (prices_read("configs/prices.conf", &all, &errors) < 0)
		test_fail(__FILE__, __LINE__, "%s", buf_str(&errors));
	p = prices_find(all, "amazon.nova-pro-v1:0", "ap-southeast-2");
	CHECK(p);
	CHECK_INT(p->input_pusd, 840000);
	CHECK_INT(p->output_pusd, 3360000);
	CHECK_INT(p->cached_pusd, 210000);
	CHECK_INT((int64_t)strlen(p->date), 10);
	p = prices_find(all, "amazon.nova-lite-v1:0", "ap-southeast-2");
	CHECK(p);
	CHECK_INT(p->input_pusd, 63000);
	CHECK(prices_find(all, "au.anthropic.claude-sonnet-4-6", "ap-southeast-4"));
	/* ARNs of a model and of a profile */
	CHECK(prices_find(all, "arn:aws:bedrock:ap-southeast-2::foundation-model/amazon.nova-lite-v1:0", "ap-southeast-2") == p);
	CHECK(prices_find(all, "arn:aws:bedrock:ap-southeast-2:1:inference-profile/au.anthropic.claude-sonnet-4-6", "ap-southeast-2"));
	CHECK(!prices_find(all, "arn:aws:bedrock:ap-southeast-2:1:application-inference-profile/abc", "ap-southeast-2"));
	/* no price: not sent to */
	CHECK(!prices_find(all, "amazon.nova-pro-v1:0", "us-east-1"));
	CHECK(!prices_find(all, "amazon.nova-pro-v1:0", "ap-southeast"));
	CHECK(!prices_find(all, "amazon.nova-pro-v1:0", NULL));
	CHECK(!prices_find(all, "amazon.nova-premier-v1:0", "ap-southeast-2"));
	prices_free(all);
}

TEST(prices_that_are_wrong)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"[Model m]\nRegion=r\nInput=1\n", "needs Region=, Input= and Output="},
		{"[Model m]\nInput=1\nOutput=1\n", "needs Region="},
		{"[Model m]\nRegion=r\nInput=-1\nOutput=1\n", "USD a million tokens"},
		{"[Model m]\nRegion=r\nInput=0.0000001\nOutput=1\n", "USD a million tokens"},
		{"[Model m]\nRegion=r\nInput=1 USD\nOutput=1\n", "USD a million tokens"},
		{"[Model m]\nRegion=r\nInput=1e3\nOutput=1\n", "USD a million tokens"},
		{"[Model m]\nRegion=r\nInput=100001\nOutput=1\n", "USD a million tokens"},
		{"[Model m]\nRegion=r\nInput=1\nOutput=1\nDiscount=2\n", "Discount"},
		{"[Prices]\nInput=1\n", "Prices"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf errors = {};
		struct prices *p = NULL;

		CHECK(read_text(cases[i].text, &p, &errors) < 0);
		CHECK(!p);
		if (!strstr(buf_str(&errors), cases[i].want))
			test_fail(__FILE__, __LINE__, "case %zu: \"%s\"", i, buf_str(&errors));
	}
}

TEST(costs_are_exact_and_never_wrap)
{
	const struct price p = {.input_pusd = 840000, .output_pusd = 3360000, .cached_pusd = 210000};
	_cleanup_buf_ struct buf errors = {};
	struct prices *all;

	CHECK_INT(price_cost(&p, 0, 0, 0), 0);
	CHECK_INT(price_cost(&p, 1500, 90, 0), INT64_C(1260000000) + 302400000);
	CHECK_INT(price_cost(&p, 0, 0, 10), 2100000);
	CHECK_INT(price_cost(&p, UINT64_MAX, 0, 0), INT64_MAX);
	CHECK_INT(price_cost(&p, INT64_MAX / 840000, INT64_MAX / 3360000, 0), INT64_MAX);
	CHECK_INT(price_cost(&p, UINT64_MAX, UINT64_MAX, UINT64_MAX), INT64_MAX);

	CHECK_INT(read_text("[Model free:0]\nRegion=r s\nInput=0\nOutput=0\n", &all, &errors), 0);
	CHECK_INT(price_cost(prices_find(all, "free:0", "s"), UINT64_MAX, 1, 1), 0);
	CHECK(!prices_find(NULL, "free:0", "s"));
	prices_free(all);
}

TEST(a_cached_token_costs_as_much_as_one_that_is_not_unless_it_is_said)
{
	_cleanup_buf_ struct buf errors = {};
	struct prices *all;

	CHECK_INT(read_text("[Model m]\nRegion=r\nInput=2\nOutput=4\n", &all, &errors), 0);
	CHECK_INT(prices_find(all, "m", "r")->cached_pusd, 2000000);
	prices_free(all);
}
