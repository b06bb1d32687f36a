/* Keys that cannot sign, and keys that cannot be made: nothing is signed, what is in the way is told, and without it all goes on. */
#include "base/log.h"
#include "daemon/heads.h"
#include "daemon/ledger.h"
#include "tests/unit/daemon_fixture.h"

#include <sys/stat.h>

static struct receipts_config config;
static struct fixture f;
static struct heads *heads;

/* A receipt that nobody has signed. */
static void begin(void)
{
	static struct page_row page;
	const struct attempt_open a = {.page = &page, .backend = "ocr", .body_sha256 = "00"};

	config = (struct receipts_config){.sign_every = 100, .sign_after_ms = 3600000};
	log_set_level(LOG_LEVEL_ERROR);
	fixture_begin(&f);
	fixture_page(&f, &page);
	CHECK(ledger_open(f.spool, &a) > 0);
	CHECK_INT(heads_new(f.spool, &config, &heads), 0);
}

static void end(void)
{
	heads_free(heads);
	fixture_end(&f);
}

/* The service ends and starts. */
static void take_up_again(void)
{
	heads_free(heads);
	CHECK_INT(heads_new(f.spool, &config, &heads), 0);
}

static int64_t heads_signed(void)
{
	return fixture_sql(&f, "SELECT count(*) FROM heads");
}

static void told(const char *words)
{
	int64_t done;

	if (!strstr(heads_trouble(heads, &done), words))
		test_fail(__FILE__, __LINE__, "\"%s\" does not say %s", heads_trouble(heads, &done), words);
}

TEST(a_key_of_another_kind_signs_nothing)
{
	static const char *const kinds[] = {"rsa.key", "p384.key", "ed25519.key", "root.pem"};

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		str_format(config.key, sizeof(config.key), "%sx509/%s", test_data(), kinds[i]);
		take_up_again();
		CHECK(heads_step(heads, true) < 0);
		told(kinds[i]);
		CHECK_INT(heads_signed(), 0);
	}
	str_format(config.key, sizeof(config.key), "%sx509/ec.key", test_data());
	take_up_again();
	CHECK_INT(heads_step(heads, true), 0);
	CHECK_INT(heads_signed(), 1);
	end();
}

TEST(what_is_in_the_way_of_the_first_key)
{
	begin();
	CHECK_INT(mkdirat(f.spool->tmp, HEAD_KEY_FILE, 0700), 0);
	CHECK(heads_step(heads, true) < 0);
	told(HEAD_KEY_FILE);
	CHECK_INT(heads_signed(), 0);
	CHECK(!fixture_exists("", HEAD_KEY_FILE, ""));
	CHECK_INT(unlinkat(f.spool->tmp, HEAD_KEY_FILE, AT_REMOVEDIR), 0);
	CHECK_INT(heads_step(heads, true), 0);
	CHECK_INT(heads_signed(), 1);
	end();
}

TEST(what_is_in_the_way_of_the_next_key)
{
	char why[200] = "";

	begin();
	CHECK_INT(heads_step(heads, true), 0);
	CHECK_INT(mkdirat(f.spool->tmp, HEAD_NEXT_FILE, 0700), 0);
	CHECK(heads_change_key(heads, why, sizeof(why)) < 0);
	CHECK(strstr(why, HEAD_NEXT_FILE));
	CHECK_INT(heads_step(heads, false), 0);
	CHECK_INT(heads_signed(), 1);
	CHECK_INT(unlinkat(f.spool->tmp, HEAD_NEXT_FILE, AT_REMOVEDIR), 0);
	CHECK_INT(heads_change_key(heads, why, sizeof(why)), 0);
	CHECK_INT(heads_step(heads, false), 0);
	CHECK_INT(heads_signed(), 2);
	end();
}

/* As it is once the key has changed, and the configuration was set right but for NextKey=. */
TEST(a_next_key_that_is_the_key_changes_nothing)
{
	begin();
	str_format(config.key, sizeof(config.key), "%sx509/ec.key", test_data());
	take_up_again();
	CHECK_INT(heads_step(heads, true), 0);
	str_copy(config.next_key, sizeof(config.next_key), config.key);
	take_up_again();
	CHECK_INT(heads_step(heads, true), 0);
	CHECK_INT(heads_signed(), 1);
	end();
}
