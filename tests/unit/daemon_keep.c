/* The keep clock, ageing, and dropping. */
#include "tests/unit/daemon_keep_fixture.h"

/* ---- the keep clock -------------------------------------------------------------------------- */

TEST(the_clock_goes_on_while_it_is_trusted)
{
	struct fixture f;

	trusted_begin(&f);
	CHECK_INT(keep_clock(&f), 0);
	live(&f, 3 * DAY);
	CHECK_INT(keep_clock(&f), 3 * DAY);
	fixture_reopen(&f);
	CHECK_INT(keep_clock(&f), 3 * DAY);
	f.now += 2 * HOUR; /* the service was off: that counts too */
	f.boot += 2 * HOUR;
	CHECK_INT(keep_tick(f.spool), 0);
	CHECK_INT(keep_clock(&f), 3 * DAY + 2 * HOUR);
	fixture_end(&f);
}

TEST(the_clock_commits_seldom)
{
	struct fixture f;
	int64_t before;

	trusted_begin(&f);
	before = fixture_sql(&f, "SELECT value FROM meta WHERE key = 'keep_seen_ms'");
	for (int i = 0; i < 9; i++) {
		f.now += 60000;
		f.boot += 60000;
		CHECK_INT(keep_tick(f.spool), 0);
	}
	CHECK_INT(fixture_sql(&f, "SELECT value FROM meta WHERE key = 'keep_seen_ms'"), before);
	f.now += 60000;
	f.boot += 60000;
	CHECK_INT(keep_tick(f.spool), 0);
	CHECK_INT(keep_clock(&f), 600000);
	fixture_end(&f);
}

TEST(months_of_an_untrusted_clock_are_a_day_at_most)
{
	struct fixture f;

	synchronised_begin(&f);
	live(&f, DAY);
	f.synchronised = false;
	live(&f, 90 * DAY);
	CHECK_INT(keep_clock(&f), DAY);
	f.synchronised = true;
	CHECK_INT(keep_tick(f.spool), 0);
	CHECK_INT(keep_clock(&f), 2 * DAY);
	fixture_end(&f);
}

TEST(a_week_of_suspend_or_in_a_cupboard_is_a_day)
{
	struct fixture f;

	trusted_begin(&f);
	f.now += 7 * DAY;
	f.boot += 7 * DAY; /* counts suspend */
	CHECK_INT(keep_tick(f.spool), 0);
	CHECK_INT(keep_clock(&f), DAY);
	fixture_reopen(&f);
	f.now += 2 * YEAR;
	f.boot = 1000;
	clock_learn_skew(f.clock, 0);
	CHECK_INT(keep_tick(f.spool), 0);
	CHECK_INT(keep_clock(&f), 2 * DAY);
	fixture_end(&f);
}

/* For how long the machine was off is not said by a clock that nobody has proved; nor is it lost until one has. */
TEST(a_wrong_time_server_ages_nothing)
{
	struct fixture f;

	trusted_begin(&f);
	live(&f, DAY);
	for (int i = 0; i < 10; i++) {
		reboot(&f, i);
		f.now += (i % 2 ? -2 : 2) * YEAR;
		live(&f, 60000);
		fixture_reopen_in(&f, i);
		live(&f, HOUR);
	}
	CHECK_INT(keep_clock(&f), DAY + 10 * (HOUR + 60000));
	reboot(&f, 10);
	f.now = FIXTURE_NOW + DAY + 10 * (HOUR + 60000) + 3 * HOUR;
	live(&f, HOUR);
	CHECK_INT(keep_clock(&f), DAY + 10 * (HOUR + 60000) + HOUR + 1000);
	clock_learn_skew(f.clock, 0);
	CHECK_INT(keep_tick(f.spool), 0);
	CHECK_INT(keep_clock(&f), DAY + 10 * (HOUR + 60000) + 4 * HOUR);
	fixture_end(&f);
}

/* One look brings the time of this boot, and another one, when a server has proved the clock, that before it. */
TEST(two_looks_do_not_age_what_came_before_both)
{
	struct page_row p;
	struct fixture f;

	trusted_begin(&f);
	live(&f, HOUR);
	reboot(&f, 1);
	f.synchronised = false;
	f.now += 2 * DAY + 10 * HOUR;
	f.boot += 10 * HOUR;
	done_page(&f, &p);
	f.synchronised = true;
	CHECK_INT(keep_tick(f.spool), 0);
	CHECK_INT(keep_clock(&f), 11 * HOUR + 1000);
	clock_learn_skew(f.clock, 0);
	CHECK_INT(keep_tick(f.spool), 0);
	CHECK_INT(keep_clock(&f), 11 * HOUR + 1000 + DAY);
	CHECK(fixture_sql(&f, "SELECT kept_ms FROM pages") >= keep_clock(&f));
	fixture_end(&f);
}

/* Of this boot it is known by boottime, whatever the clock was set to between two runs. */
TEST(a_restart_gains_nothing)
{
	struct fixture f;

	synchronised_begin(&f);
	for (int i = 0; i < 10; i++) {
		f.now += (i % 2 ? -2 : 2) * YEAR;
		fixture_reopen_in(&f, -1);
		live(&f, HOUR);
	}
	CHECK_INT(keep_clock(&f), 10 * HOUR);
	fixture_end(&f);
}

/* Stepped by ten years each way, trusted all the time, every hour for a week: no day is gained. */
TEST(steps_of_the_clock_gain_nothing)
{
	struct fixture f;

	synchronised_begin(&f);
	for (int i = 0; i < 7 * 24; i++) {
		f.now += i % 2 ? -10 * YEAR : 10 * YEAR;
		live(&f, HOUR);
		CHECK(keep_clock(&f) <= (i + 1) * HOUR);
	}
	CHECK(keep_clock(&f) > 3 * DAY);
	fixture_end(&f);
}

TEST(a_boot_in_1970_stops_the_clock)
{
	struct fixture f;

	trusted_begin(&f);
	live(&f, HOUR);
	fixture_reopen(&f);
	f.now = 5000;
	f.boot = 5000;
	live(&f, 40 * DAY);
	CHECK_INT(keep_clock(&f), HOUR);
	f.now = FIXTURE_NOW + 41 * DAY; /* the network came */
	clock_learn_skew(f.clock, 0);
	CHECK_INT(keep_tick(f.spool), 0);
	CHECK_INT(keep_clock(&f), HOUR + DAY);
	fixture_end(&f);
}

TEST(a_clock_that_cannot_be_true_ages_nothing)
{
	static const char *const values[] = {"-5", "9223372036854775807", "-9223372036854775808"};
	struct page_row p;
	struct fixture f;

	trusted_begin(&f);
	done_page(&f, &p);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		CHECK_INT(db_exec(spool_db(f.spool), "UPDATE meta SET value = ? WHERE key = 'keep_ms'", "s", values[i]), 0);
		f.boot += DAY;
		f.now += DAY;
		CHECK_INT(keep_tick(f.spool), -EBADMSG);
		CHECK_INT(keep_run(f.spool, &month_year, 100), -EBADMSG);
	}
	CHECK_INT(fixture_files("pages"), 1);
	fixture_end(&f);
}

/* ---- ageing ---------------------------------------------------------------------------------- */

TEST(a_file_ages_out_and_then_the_page)
{
	struct spool_counts n;
	struct page_row p, q;
	struct fixture f;

	trusted_begin(&f);
	done_page(&f, &p);
	fixture_page(&f, &q); /* not done: stays whatever its age */
	live(&f, 30 * DAY - HOUR);
	age_all(&f, &month_year);
	CHECK_INT(fixture_files("pages"), 2);
	live(&f, HOUR);
	age_all(&f, &month_year);
	CHECK(!fixture_exists("pages", p.id, ".jpg"));
	CHECK(fixture_exists("pages", q.id, ".jpg"));
	CHECK(fixture_exists("results", p.id, ".json"));
	CHECK_INT(spool_page_get(f.spool, p.seq, &p), 0);
	CHECK(p.aged_out);
	CHECK_INT(p.state, STATE_DONE);
	CHECK_INT(spool_page_open(f.spool, &p), -ENODATA);
	CHECK_INT(spool_page_retry(f.spool, p.seq, NULL), -EALREADY);
	CHECK_INT(f.spool->pages_bytes, q.bytes);
	CHECK_INT(keep_counts(f.spool)->files, 1);

	live(&f, YEAR - 30 * DAY - HOUR);
	age_all(&f, &month_year);
	CHECK_INT(spool_page_get(f.spool, p.seq, &p), 0);
	live(&f, HOUR);
	CHECK_INT(spool_counts(f.spool, &n), 0);
	CHECK_INT(n.done, 1);
	age_all(&f, &month_year);
	CHECK_INT(spool_page_get(f.spool, p.seq, &p), -ENOENT);
	CHECK_INT(fixture_files("results"), 0);
	CHECK_INT(keep_counts(f.spool)->pages, 1);
	CHECK_INT(spool_counts(f.spool, &n), 0);
	CHECK_INT(n.done, 0);
	CHECK_INT(n.queued, 1);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM gone WHERE reason = 'aged out' AND sha256 IS NOT NULL"), 1);
	CHECK_INT(fixture_sql(&f, "SELECT seq FROM gone"), p.seq);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM attempts WHERE page = 1 AND settled_pusd = 7"), 1);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM results"), 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM deliveries"), 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM documents"), 1);
	CHECK_INT(spool_page_get(f.spool, q.seq, &q), 0);
	CHECK_INT(q.state, STATE_QUEUED);
	fixture_end(&f);
}

/* With the file still there: KeepPages= was raised, or both are the same. */
TEST(a_page_goes_with_its_file)
{
	const struct keep_options o = {.results_ms = DAY};
	struct page_row p;
	struct fixture f;

	trusted_begin(&f);
	done_page(&f, &p);
	live(&f, DAY);
	age_all(&f, &o);
	CHECK_INT(fixture_files("pages"), 0);
	CHECK_INT(fixture_files("results"), 0);
	CHECK_INT(f.spool->pages_bytes, 0);
	CHECK_INT(fixture_sql(&f, "SELECT value FROM meta WHERE key = 'pages_bytes'"), 0);
	fixture_end(&f);
}

TEST(for_ever_is_for_ever)
{
	const struct keep_options o = {0};
	struct page_row p;
	struct fixture f;

	trusted_begin(&f);
	done_page(&f, &p);
	CHECK_INT(spool_meta_set_i64(f.spool, "keep_ms", 900 * YEAR), 0);
	age_all(&f, &o);
	CHECK_INT(fixture_files("pages"), 1);
	CHECK_INT(fixture_files("results"), 1);
	fixture_end(&f);
}

TEST(what_is_not_done_and_delivered_never_ages)
{
	static const char *const states[] = {"queued", "provisional", "held"};
	struct page_row p[6];
	struct fixture f;

	trusted_begin(&f);
	for (size_t i = 0; i < 3; i++) {
		done_page(&f, &p[i]);
		/* even with a stamp that should not be there */
		CHECK_INT(db_exec(spool_db(f.spool), "UPDATE pages SET state = ?, reason = ? WHERE seq = ?", "ssi", states[i],
				  i == 2 ? "why" : NULL, p[i].seq),
			0);
	}
	fixture_page(&f, &p[3]);
	answer(&f, &p[3], 1); /* not delivered */
	fixture_page(&f, &p[4]);
	answer(&f, &p[4], 1); /* cannot be delivered: its stored text is damaged */
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE results SET json = '{' WHERE page = ?", "i", p[4].seq), 0);
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE deliveries SET tried_ms = 9 WHERE page = ?", "i", p[3].seq), 0);
	log_set_level((enum log_level)2); /* it says so, as it should */
	CHECK(delivery_run(f.spool, 1, NULL, NULL) >= 0);
	done_page(&f, &p[5]);
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE deliveries SET done_ms = NULL WHERE page = ?", "i", p[3].seq), 0);
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE pages SET kept_ms = NULL WHERE seq = ?", "i", p[3].seq), 0);
	/* a request of a page that is done is still out */
	CHECK_INT(db_exec(spool_db(f.spool),
			  "INSERT INTO attempts (page, backend, opened_ms, opened_trust, reserved_pusd) VALUES (?, 'b', 1, 't', 0)",
			  "i", p[5].seq),
		0);
	live(&f, YEAR + DAY);
	age_all(&f, &month_year);
	CHECK_INT(fixture_files("pages"), 6);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM pages WHERE file = 1"), 6);
	fixture_end(&f);
}

TEST(many_go_in_bounded_turns)
{
	struct page_row p;
	struct fixture f;

	trusted_begin(&f);
	for (int i = 0; i < 70; i++)
		done_page(&f, &p);
	live(&f, 31 * DAY);
	CHECK_INT(keep_run(f.spool, &month_year, 5), 1);
	CHECK_INT(fixture_files("pages"), 65);
	CHECK_INT(keep_run(f.spool, &month_year, 1000), 1);
	CHECK_INT(fixture_files("pages"), 33);
	age_all(&f, &month_year);
	CHECK_INT(fixture_files("pages"), 0);
	CHECK_INT(f.spool->pages_bytes, 0);
	fixture_end(&f);
}

/* Age counts from the last delivery, and a later version begins it anew. */
TEST(a_later_result_keeps_the_page)
{
	struct page_row p;
	struct fixture f;

	trusted_begin(&f);
	done_page(&f, &p);
	live(&f, 20 * DAY);
	answer(&f, &p, 2);
	live(&f, 20 * DAY);
	age_all(&f, &month_year);
	CHECK_INT(fixture_files("pages"), 1); /* not delivered */
	CHECK_INT(delivery_run(f.spool, 10, NULL, NULL), 0);
	live(&f, 29 * DAY);
	age_all(&f, &month_year);
	CHECK_INT(fixture_files("pages"), 1);
	live(&f, DAY);
	age_all(&f, &month_year);
	CHECK_INT(fixture_files("pages"), 0);
	fixture_end(&f);
}

/* Delivered while the clock is not trusted: the day that the clock may gain later is not this page's. */
TEST(delivered_in_the_dark_ages_from_the_light)
{
	const struct keep_options o = {.pages_ms = DAY / 2};
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	CHECK_INT(keep_tick(f.spool), 0);
	done_page(&f, &p);
	f.synchronised = true;
	CHECK_INT(keep_tick(f.spool), 0);
	f.synchronised = false;
	live(&f, 100 * DAY);
	done_page(&f, &p);
	f.synchronised = true;
	CHECK_INT(keep_tick(f.spool), 0);
	age_all(&f, &o);
	CHECK(fixture_exists("pages", p.id, ".jpg"));
	live(&f, DAY);
	age_all(&f, &o);
	CHECK_INT(fixture_files("pages"), 0);
	fixture_end(&f);
}

/* Whatever the clocks do, a file is there for as long as boottime has not gone on by KeepPages=. */
TEST(nothing_ages_early_whatever_the_clocks_do)
{
	uint32_t x = 20261121;
	struct page_row p;
	struct fixture f;

	trusted_begin(&f);
	done_page(&f, &p);
	for (int64_t lived = 0, step; lived < 29 * DAY; lived += step) {
		x = x * 1664525 + 1013904223;
		step = (x >> 8) % (12 * HOUR);
		f.boot += step;
		f.now += step;
		switch (x >> 28) {
		case 0:
			f.now = 1000;
			break;
		case 1:
			f.now += 10 * YEAR;
			break;
		case 2:
			f.now -= 10 * YEAR;
			break;
		case 3:
			f.now = FIXTURE_NOW + lived;
			break;
		case 4:
			f.synchronised = !f.synchronised;
			break;
		case 5: /* the clock of the next run begins at any time */
			fixture_reopen(&f);
			break;
		default:
			break;
		}
		/* the restart is what may gain up to a day each: bounded by what realtime says */
		if (x >> 28 == 5)
			f.now = fixture_sql(&f, "SELECT value FROM meta WHERE key = 'keep_seen_ms'") + step;
		CHECK_INT(keep_tick(f.spool), 0);
		age_all(&f, &month_year);
		CHECK_INT(fixture_files("pages"), 1);
	}
	fixture_end(&f);
}

/* An answer that was delivered as provisional becomes final without a new one; older spools may lack the stamp. */
TEST(a_missing_stamp_is_made_up_for_by_reconcile)
{
	struct page_row p;
	struct fixture f;
	int64_t cursor = 0;

	trusted_begin(&f);
	done_page(&f, &p);
	CHECK_INT(db_exec(spool_db(f.spool), "UPDATE pages SET kept_ms = NULL", ""), 0);
	live(&f, DAY);
	while (delivery_reconcile(f.spool, &cursor) > 0)
		;
	CHECK_INT(fixture_sql(&f, "SELECT kept_ms FROM pages"), DAY);
	fixture_end(&f);
}

/* ---- what a crash leaves --------------------------------------------------------------------- */

static void put_back(struct fixture *f, const struct page_row *p, const struct buf *file)
{
	char name[PAGE_FILE_SIZE + 1];

	page_file_name(p->id, name);
	fixture_put("pages", name, file->data, file->len);
	str_format(name, sizeof(name), "%s.json", p->id);
	fixture_put("results", name, "{}", 2);
}

TEST(leftovers_are_removed_and_nothing_else)
{
	const struct keep_options day_year = {.pages_ms = DAY, .results_ms = YEAR};
	_cleanup_buf_ struct buf file = {};
	struct page_row p, q, dropped;
	char name[PAGE_FILE_SIZE];
	struct fixture f;
	int64_t cursor = 0;

	trusted_begin(&f);
	done_page(&f, &p);
	live(&f, YEAR);
	done_page(&f, &q);
	fixture_page(&f, &dropped);
	page_file_name(p.id, name);
	CHECK_INT(file_read(f.spool->pages, name, 1 << 20, &file), 0);
	live(&f, DAY);
	age_all(&f, &day_year); /* p whole, q's file */
	CHECK_INT(keep_drop(f.spool, dropped.seq, "dropped by uid 0"), 0);
	CHECK_INT(fixture_files("pages"), 0);
	put_back(&f, &p, &file);
	put_back(&f, &q, &file);
	put_back(&f, &dropped, &file);
	fixture_put("results", "20300102T030405-zzzzzz.json", "{}", 2); /* of a lost database */
	fixture_reopen(&f);
	fixture_reconcile(&f);
	CHECK_INT(spool_reconciled(f.spool)->leftovers, 5);
	CHECK_INT(spool_reconciled(f.spool)->quarantined, 0);
	CHECK_INT(spool_reconciled(f.spool)->not_acknowledged, 0);
	CHECK_INT(fixture_files("pages"), 0);
	CHECK_INT(fixture_files("results"), 2);
	CHECK(fixture_exists("results", q.id, ".json"));
	CHECK_INT(f.spool->pages_bytes, 0);
	/* and nothing that has gone is made again */
	while (delivery_reconcile(f.spool, &cursor) > 0)
		;
	CHECK_INT(delivery_run(f.spool, 10, NULL, NULL), 0);
	CHECK_INT(fixture_files("results"), 2);
	fixture_end(&f);
}

TEST(foreign_files_in_results_are_set_aside)
{
	struct fixture f;
	char path[256];

	fixture_begin(&f);
	fixture_put("results", "notes.txt", "x", 1);
	fixture_put("results", "20300102T030405-00000.json", "x", 1);
	fixture_path(path, "results", "20300102T030405-000002.json", "");
	CHECK_INT(symlink("/etc/passwd", path), 0);
	fixture_path(path, "results", "20300102T030405-000003.json", "");
	CHECK_INT(mkdir(path, 0700), 0);
	fixture_put("results", "20300102T030405-000004.json", "{}", 2);
	fixture_reconcile(&f);
	CHECK_INT(fixture_files("results"), 1);
	CHECK_INT(spool_reconciled(f.spool)->quarantined, 4);
	CHECK(fixture_exists("quarantine", "notes.txt", ".reason"));
	fixture_end(&f);
}

/* ---- dropped by a person --------------------------------------------------------------------- */

TEST(a_person_drops_a_page)
{
	struct spool_counts n;
	struct page_row p, q;
	struct fixture f;
	char text[64];
	struct stmt *st;

	fixture_begin(&f);
	fixture_page(&f, &p);
	done_page(&f, &q);
	CHECK_INT(spool_counts(f.spool, &n), 0);
	CHECK_INT(keep_drop(f.spool, p.seq, "dropped by uid 1000: blank page"), 0);
	CHECK_INT(keep_drop(f.spool, p.seq, "again"), -ENOENT);
	CHECK_INT(fixture_files("pages"), 1);
	CHECK_INT(f.spool->pages_bytes, q.bytes);
	CHECK_INT(spool_counts(f.spool, &n), 0);
	CHECK_INT(n.queued, 0);
	CHECK_INT(n.done, 1);
	CHECK_INT(db_query(spool_db(f.spool), &st, "SELECT reason FROM gone", ""), 0);
	CHECK_INT(stmt_next(st), 1);
	str_copy(text, sizeof(text), stmt_text(st, 0));
	stmt_done(st);
	CHECK_STR(text, "dropped by uid 1000: blank page");
	CHECK_INT(keep_drop(f.spool, q.seq, "dropped by uid 0"), 0);
	CHECK_INT(fixture_files("pages") + fixture_files("results"), 0);
	CHECK_INT(f.spool->pages_bytes, 0);
	fixture_end(&f);
}

TEST(a_page_that_is_out_is_not_dropped)
{
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	CHECK_INT(db_exec(spool_db(f.spool),
			  "INSERT INTO attempts (page, backend, opened_ms, opened_trust, reserved_pusd) VALUES (1, 'b', 1, 't', 0)",
			  ""),
		0);
	CHECK_INT(keep_drop(f.spool, p.seq, "why"), -EBUSY);
	CHECK_INT(fixture_files("pages"), 1);
	fixture_end(&f);
}

static void always_seven(void *out, size_t len)
{
	memset(out, 7, len);
}

/* The id of a page that is gone is never given to another. */
TEST(ids_of_what_is_gone_stay_taken)
{
	struct spool_meta m;
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	f.spool->random = always_seven;
	fixture_page(&f, &p);
	CHECK_INT(keep_drop(f.spool, p.seq, "why"), 0);
	m = fixture_meta(&f);
	CHECK_INT(fixture_try(&f, &m, &p), -EEXIST);
	fixture_end(&f);
}

/* A commit that fails changes nothing, in the tables or on the disk. */
TEST(a_removal_that_fails_leaves_all)
{
	struct page_row p;
	struct fixture f;

	trusted_begin(&f);
	done_page(&f, &p);
	live(&f, YEAR + DAY);
	CHECK_INT(db_exec(spool_db(f.spool),
			  "CREATE TEMP TRIGGER no BEFORE DELETE ON main.pages BEGIN SELECT raise(ABORT, 'no'); END", ""),
		0);
	CHECK_INT(keep_run(f.spool, &month_year, 10), -EEXIST);
	CHECK_INT(keep_drop(f.spool, p.seq, "why"), -EEXIST);
	CHECK_INT(fixture_files("pages"), 1);
	CHECK_INT(fixture_files("results"), 1);
	CHECK_INT(f.spool->pages_bytes, p.bytes);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM gone"), 0);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM deliveries"), 1);
	fixture_end(&f);
}
