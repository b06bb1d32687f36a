#include "daemon/daily.h"

#include "base/chain.h"
#include "daemon/ledger.h"
#include "tests/unit/daemon_fixture.h"

#define DAY  INT64_C(86400000)
#define HOUR INT64_C(3600000)

static struct page_row page;
static struct receipts_config config;
static struct heads *heads;
static struct daily *daily;
static char id[CHAIN_ID_SIZE];

static void open_both(struct fixture *f)
{
	CHECK_INT(heads_new(f->spool, &config, &heads), 0);
	CHECK_INT(daily_new(f->spool, &config, &daily), 0);
}

static void close_both(void)
{
	heads_free(heads);
	daily_free(daily);
}

/* At 03:04:05 of 2030-01-02, by a clock that is trusted. */
static void begin(struct fixture *f)
{
	struct stmt *st;

	config = (struct receipts_config){.sign_every = 100, .sign_after_ms = HOUR};
	fixture_begin(f);
	f->synchronised = true;
	fixture_page(f, &page);
	CHECK_INT(db_query(f->spool->db, &st, "SELECT value FROM meta WHERE key = 'spool_id'", ""), 0);
	CHECK_INT(stmt_next(st), 1);
	str_copy(id, sizeof(id), stmt_text(st, 0));
	stmt_done(st);
	open_both(f);
}

static void end(struct fixture *f)
{
	close_both();
	fixture_end(f);
}

static void send_pages(struct fixture *f, int n)
{
	const struct attempt_open a = {.page = &page, .backend = "ocr", .body_sha256 = "00"};

	for (int i = 0; i < n; i++)
		CHECK(ledger_open(f->spool, &a) > 0);
}

static void pass(struct fixture *f, int64_t ms)
{
	f->now += ms;
	f->boot += ms;
}

/* So many receipts, and the same time on the next day. */
static void a_day_of(struct fixture *f, int n)
{
	send_pages(f, n);
	pass(f, DAY);
}

/* As upkeep does it, until nothing is left. */
static int work(void)
{
	int r;

	do {
		r = heads_step(heads, daily_is_due(daily));
		if (r <= 0)
			r = daily_step(daily);
	} while (r > 0);
	return r;
}

static void path_of(const char *day, const char *tail, char out[static 300])
{
	str_format(out, 300, "%s/receipts-%s-%.8s%s.jsonl", config.directory[0] ? config.directory : "receipts", day, id, tail);
	if (!config.directory[0]) {
		char in_spool[300];

		str_format(in_spool, sizeof(in_spool), "%s/%s", test_tmpdir(), out);
		str_copy(out, 300, in_spool);
	}
}

static bool exists(const char *day)
{
	char path[300];

	path_of(day, "", path);
	return access(path, F_OK) == 0;
}

/* The file goes on where the chain is: to where it is then. */
static void follow_file(const char *day, const char *tail, struct chain *c)
{
	_cleanup_buf_ struct buf text = BUF_MAX((size_t)16 << 20);
	char path[300], *line, *rest;

	path_of(day, tail, path);
	CHECK_INT(file_read(AT_FDCWD, path, (size_t)16 << 20, &text), 0);
	CHECK(text.len > 0 && text.data[text.len - 1] == '\n');
	c->in_parts = true;
	for (line = strtok_r(text.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		const char *why = "?";
		cJSON *body = NULL;

		if (chain_follow(c, line, strlen(line), &body, &why) < 0)
			test_fail(__FILE__, __LINE__, "%s after %lld: %s", day, (long long)c->seq, why);
		cJSON_Delete(body);
	}
	CHECK_INT(c->signed_seq, c->seq); /* it ends with a head */
}

/* The file alone takes a chain from its beginning to there. */
static void file_reaches(const char *day, const char *tail, int64_t seq)
{
	struct chain c = CHAIN_BEGIN;

	follow_file(day, tail, &c);
	CHECK_INT(c.seq, seq);
}

TEST(a_day_is_written_when_it_has_ended)
{
	struct chain c = CHAIN_BEGIN, alone = CHAIN_BEGIN;
	struct fixture f;

	begin(&f);
	send_pages(&f, 3);
	CHECK_INT(work(), 0);
	CHECK(!daily_is_due(daily));
	pass(&f, 20 * HOUR); /* 23:04:05 */
	send_pages(&f, 2);
	CHECK_INT(work(), 0);
	CHECK_INT(fixture_files("receipts"), 0);
	pass(&f, HOUR);
	send_pages(&f, 4); /* of the next day, not signed */
	CHECK(daily_is_due(daily));
	CHECK_INT(work(), 0);
	CHECK_INT(fixture_files("receipts"), 1);
	follow_file("20300102", "", &c);
	CHECK(c.seq == 5 && c.from_head == 0 && streq(c.id, id));
	pass(&f, DAY);
	CHECK_INT(work(), 0);
	follow_file("20300103", "", &c);
	CHECK_INT(c.seq, 9);
	follow_file("20300103", "", &alone);
	CHECK(alone.from_seq == 5 && alone.seq == 9);
	CHECK_INT(fixture_files("tmp"), 0);
	end(&f);
}

TEST(days_that_were_missed_are_made_up_for)
{
	struct chain c = CHAIN_BEGIN;
	struct fixture f;

	begin(&f);
	for (int i = 0; i < 4; i++) {
		send_pages(&f, 300); /* more than one call takes */
		pass(&f, (i == 1 ? 10 : 1) * DAY);
	}
	close_both();
	fixture_reopen(&f);
	open_both(&f);
	CHECK_INT(work(), 0);
	CHECK_INT(fixture_files("receipts"), 4); /* none for days without a receipt */
	follow_file("20300102", "", &c);
	follow_file("20300103", "", &c);
	follow_file("20300113", "", &c);
	follow_file("20300114", "", &c);
	CHECK_INT(c.seq, 1200);
	end(&f);
}

TEST(nothing_is_written_while_the_time_is_not_trusted)
{
	struct fixture f;

	begin(&f);
	send_pages(&f, 1);
	f.synchronised = false;
	pass(&f, 3 * DAY);
	send_pages(&f, 1); /* belongs to the last day that was known */
	CHECK(!daily_is_due(daily));
	CHECK_INT(work(), 0);
	CHECK_INT(daily_step(daily), 0);
	CHECK(!fixture_exists("", "receipts", ""));
	f.synchronised = true;
	send_pages(&f, 1);
	CHECK_INT(work(), 0);
	CHECK_INT(fixture_files("receipts"), 1);
	file_reaches("20300102", "", 2);
	end(&f);
}

/* A boot in 1970: what it did has no day until a receipt has one. */
TEST(receipts_of_no_day_go_with_the_next)
{
	struct fixture f;

	begin(&f);
	f.synchronised = false;
	send_pages(&f, 2);
	CHECK_INT(heads_step(heads, true), 0);
	f.synchronised = true;
	pass(&f, DAY);
	CHECK_INT(work(), 0);
	CHECK_INT(fixture_files("receipts"), 0);
	a_day_of(&f, 1);
	CHECK_INT(work(), 0);
	file_reaches("20300103", "", 3);
	end(&f);
}

/* The clock was trusted, and wrong: no file takes the place of one that is there. */
TEST(a_day_that_comes_again_gets_a_later_name)
{
	struct chain c = CHAIN_BEGIN;
	struct fixture f;

	begin(&f);
	a_day_of(&f, 1);
	CHECK_INT(work(), 0);
	f.now -= DAY;
	send_pages(&f, 1);
	CHECK_INT(work(), 0);
	CHECK_INT(fixture_files("receipts"), 1);
	f.now += 3 * DAY;
	CHECK_INT(work(), 0);
	follow_file("20300102", "", &c);
	follow_file("20300103", "", &c);
	CHECK_INT(c.seq, 2);
	end(&f);
}

TEST(what_has_the_name_stays)
{
	_cleanup_buf_ struct buf text = {};
	char path[300];
	struct fixture f;

	begin(&f);
	send_pages(&f, 1);
	CHECK_INT(mkdirat(f.spool->dirfd, "receipts", 0750), 0);
	path_of("20300102", "", path);
	fixture_put("receipts", strrchr(path, '/') + 1, "else", 4);
	pass(&f, DAY);
	CHECK_INT(work(), 0);
	CHECK_INT(file_read(AT_FDCWD, path, 100, &text), 0);
	CHECK_STR(buf_str(&text), "else");
	file_reaches("20300102", ".2", 1);
	end(&f);
}

TEST(a_folder_that_is_not_there_is_waited_for)
{
	struct fixture f;

	begin(&f);
	str_format(config.directory, sizeof(config.directory), "%s/stick", test_tmpdir());
	a_day_of(&f, 1);
	CHECK_INT(work(), -ENOENT);
	CHECK_INT(work(), -ENOENT);
	CHECK(daily_is_due(daily));
	CHECK_INT(mkdir(config.directory, 0750), 0);
	CHECK_INT(work(), 0);
	file_reaches("20300102", "", 1);
	end(&f);
}

TEST(a_chain_that_does_not_hold_is_not_exported)
{
	struct fixture f;

	begin(&f);
	send_pages(&f, 3);
	CHECK_INT(heads_step(heads, true), 0);
	CHECK_INT(db_exec(f.spool->db, "UPDATE receipts SET body = replace(body, 'ocr', 'ocs') WHERE seq = 2", ""), 0);
	pass(&f, DAY);
	CHECK_INT(work(), -EUCLEAN);
	CHECK_INT(fixture_files("receipts"), 0);
	CHECK(!exists("20300102"));
	end(&f);
}

/* Of this chain, and only what can be made again: the rest is the operator's. */
TEST(files_age_out_when_they_are_told_to)
{
	struct fixture f;
	char other[300];

	begin(&f);
	config.keep_files_ms = 2 * DAY;
	for (int i = 0; i < 3; i++)
		a_day_of(&f, 1);
	CHECK_INT(work(), 0); /* of 2, 3 and 4 January, on the 5th */
	CHECK(!exists("20300102") && exists("20300103") && exists("20300104"));
	fixture_put("receipts", "receipts-20200101-00000000.jsonl", "x", 1); /* of a database that was lost */
	fixture_put("receipts", "receipts-20300103.jsonl", "x", 1);
	fixture_put("receipts", "notes", "x", 1);
	path_of("20310101", "", other);
	fixture_put("receipts", strrchr(other, '/') + 1, "x", 1);
	pass(&f, 30 * DAY);
	CHECK_INT(work(), 0);
	CHECK(!exists("20300103") && !exists("20300104") && exists("20310101"));
	CHECK_INT(fixture_files("receipts"), 4);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM receipts"), 3);
	end(&f);
}
