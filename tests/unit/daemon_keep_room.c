/* What page files take. */
#include "tests/unit/daemon_keep_fixture.h"

static char logged[4096];
static void remember(enum log_level level, const char *message_id, const struct log_field *fields, size_t n, const char *text)
{
	size_t len = strlen(logged);

	if (level <= LOG_LEVEL_WARNING)
		str_format(logged + len, sizeof(logged) - len, "%s\n", text);
}

static void recount(struct fixture *f)
{
	int r, slices = 0;

	while ((r = spool_recount(f->spool)) > 0)
		CHECK(++slices < 1000);
	CHECK_INT(r, 0);
}

TEST(bytes_are_known_after_a_restart)
{
	struct page_row p, q;
	struct fixture f;

	trusted_begin(&f);
	done_page(&f, &p);
	fixture_page(&f, &q);
	CHECK_INT(f.spool->pages_bytes, p.bytes + q.bytes);
	fixture_reopen(&f);
	CHECK_INT(f.spool->pages_bytes, p.bytes + q.bytes); /* without a look at the rows */
	live(&f, 40 * DAY);
	age_all(&f, &month_year);
	CHECK_INT(f.spool->pages_bytes, q.bytes);
	fixture_reopen(&f);
	CHECK_INT(f.spool->pages_bytes, q.bytes);
	logged[0] = 0;
	log_set_level(LOG_LEVEL_WARNING);
	log_set_sink(remember);
	recount(&f);
	log_set_sink(NULL);
	CHECK_STR(logged, "");
	CHECK_INT(f.spool->pages_bytes, q.bytes);
	fixture_end(&f);
}

TEST(a_wrong_figure_is_found_and_said_once)
{
	struct page_row p;
	struct fixture f;

	fixture_begin(&f);
	fixture_page(&f, &p);
	CHECK_INT(spool_meta_set_i64(f.spool, "pages_bytes", 123456), 0);
	fixture_reopen(&f);
	CHECK_INT(f.spool->pages_bytes, 123456);
	logged[0] = 0;
	log_set_level(LOG_LEVEL_WARNING);
	log_set_sink(remember);
	fixture_reconcile(&f);
	recount(&f);
	log_set_sink(NULL);
	CHECK_INT(f.spool->pages_bytes, p.bytes);
	CHECK(strstr(logged, "123456"));
	CHECK(strstr(logged, "corrected"));
	CHECK(strchr(logged, '\n') == strrchr(logged, '\n'));
	CHECK_INT(fixture_sql(&f, "SELECT value FROM meta WHERE key = 'pages_bytes'"), p.bytes);
	fixture_end(&f);
}

/* Pages come and go while they are counted: each counts once. */
TEST(counting_goes_on_while_pages_come_and_go)
{
	struct page_row p[3], q;
	struct fixture f;

	trusted_begin(&f);
	done_page(&f, &p[0]);
	CHECK_INT(db_exec(spool_db(f.spool),
			  "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)"
			  " INSERT INTO pages (page, document, position, job, lane, state, accepted_ms, accepted_trust, source, sha256,"
			  " bytes, width, height) SELECT 'p' || i, 1, i, 1, 0, 'queued', i, 'trusted', 'file', 'x', 10, 1, 1 FROM n",
			  ""),
		0);
	fixture_page(&f, &p[1]);
	CHECK_INT(spool_recount(f.spool), 1);
	live(&f, 40 * DAY);
	age_all(&f, &month_year);             /* p[0], counted already */
	fixture_page(&f, &q);                 /* behind the cursor's way */
	CHECK_INT(keep_drop(f.spool, p[1].seq, "why"), 0); /* not counted yet */
	CHECK_INT(spool_recount(f.spool), 1);
	CHECK_INT(keep_drop(f.spool, 2, "why"), 0); /* one of the ten bytes, counted */
	recount(&f);
	CHECK_INT(f.spool->pages_bytes, 2499 * 10 + q.bytes);
	CHECK_INT(fixture_sql(&f, "SELECT sum(bytes * file) FROM pages"), f.spool->pages_bytes);
	fixture_end(&f);
}

/* Full to the cap: nothing that was accepted goes, whatever its age but what is kept for long enough. */
TEST(nothing_is_dropped_to_make_room)
{
	struct page_row p, q;
	struct fixture f;
	char why[256];

	trusted_begin(&f);
	done_page(&f, &p);
	fixture_page(&f, &q);
	f.spool->cap_bytes = PAGE_ROOM + q.bytes;
	CHECK_INT(spool_room(f.spool, why, sizeof(why)), -EDQUOT);
	live(&f, 29 * DAY);
	age_all(&f, &month_year);
	CHECK_INT(spool_room(f.spool, why, sizeof(why)), -EDQUOT);
	CHECK_INT(fixture_files("pages"), 2);
	live(&f, DAY);
	age_all(&f, &month_year);
	CHECK_INT(spool_room(f.spool, why, sizeof(why)), 0);
	f.spool->cap_bytes = PAGE_ROOM;
	CHECK_INT(spool_room(f.spool, why, sizeof(why)), -EDQUOT);
	live(&f, 100 * DAY);
	age_all(&f, &month_year);
	CHECK_INT(fixture_files("pages"), 1);
	CHECK_INT(keep_drop(f.spool, q.seq, "why"), 0);
	CHECK_INT(spool_room(f.spool, why, sizeof(why)), 0);
	fixture_end(&f);
}
