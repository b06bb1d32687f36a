#include "daemon/heads.h"

#include "base/chain.h"
#include "daemon/ledger.h"
#include "daemon/receipt.h"
#include "tests/unit/daemon_fixture.h"

static struct page_row page;

static void begin(struct fixture *f, struct heads **h)
{
	fixture_begin(f);
	fixture_page(f, &page);
	CHECK_INT(heads_new(f->spool, h), 0);
}

static void end(struct fixture *f, struct heads *h)
{
	heads_free(h);
	fixture_end(f);
}

static void send_pages(struct fixture *f, int n)
{
	const struct attempt_open a = {.page = &page, .backend = "ocr", .body_sha256 = "00"};

	for (int i = 0; i < n; i++)
		CHECK(ledger_open(f->spool, &a) > 0);
}

/* What the service tells, followed from the first line: the state at its end. */
static struct chain told(struct fixture *f)
{
	_cleanup_json_ cJSON *all = cJSON_CreateArray();
	struct chain c = CHAIN_BEGIN;
	const cJSON *line;
	bool more = true;

	while (more) {
		cJSON *lines = cJSON_CreateArray();

		CHECK_INT(receipt_lines(f->spool, c.seq, c.heads, 20000, lines, &more), 0);
		cJSON_ArrayForEach (line, lines) {
			const char *why = "?";
			cJSON *body = NULL;

			if (chain_follow(&c, line->valuestring, strlen(line->valuestring), &body, &why) < 0)
				test_fail(__FILE__, __LINE__, "after %lld: %s", (long long)c.seq, why);
			cJSON_Delete(body);
		}
		cJSON_AddItemToArray(all, lines);
	}
	return c;
}

TEST(nothing_is_signed_before_its_time)
{
	struct heads *h;
	struct fixture f;

	begin(&f, &h);
	CHECK_INT(heads_step(h, true), 0);
	CHECK(!fixture_exists("", HEAD_KEY_FILE, ""));
	send_pages(&f, 99);
	CHECK_INT(heads_step(h, false), 0);
	CHECK_INT(told(&f).heads, 0);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, false), 0);
	CHECK_INT(told(&f).signed_seq, 100);
	send_pages(&f, 1);
	f.boot += 3599999;
	CHECK_INT(heads_step(h, false), 0);
	CHECK_INT(told(&f).heads, 1);
	f.boot++;
	CHECK_INT(heads_step(h, false), 0);
	CHECK_INT(told(&f).signed_seq, 101);
	CHECK_INT(told(&f).heads, 2);
	f.boot += 86400000;
	CHECK_INT(heads_step(h, true), 0); /* nothing new */
	CHECK_INT(told(&f).heads, 2);
	end(&f, h);
}

TEST(a_long_chain_is_followed_in_slices)
{
	struct heads *h;
	struct fixture f;

	begin(&f, &h);
	send_pages(&f, 1100);
	CHECK_INT(heads_step(h, false), 1);
	CHECK_INT(heads_step(h, false), 1);
	CHECK_INT(told(&f).heads, 0);
	CHECK_INT(heads_step(h, false), 0);
	CHECK_INT(told(&f).signed_seq, 1100);
	end(&f, h);
}

TEST(the_key_is_made_once_and_kept)
{
	struct fixture f;
	struct heads *h;
	struct chain first, second;
	struct stat st;
	char path[256];

	begin(&f, &h);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, true), 0);
	first = told(&f);
	fixture_path(path, "", HEAD_KEY_FILE, "");
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0600);
	CHECK_INT(fixture_files("tmp"), 0);
	heads_free(h);
	fixture_reopen(&f);
	CHECK_INT(heads_new(f.spool, &h), 0);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, true), 0);
	second = told(&f);
	CHECK(second.heads == 2 && memcmp(first.key, second.key, sizeof(first.key)) == 0);
	end(&f, h);
}

TEST(a_key_that_is_none_is_not_written_over)
{
	_cleanup_buf_ struct buf text = {};
	struct fixture f;
	struct heads *h;

	begin(&f, &h);
	fixture_put("", HEAD_KEY_FILE, "not a key", 9);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, true), -EBADMSG);
	CHECK_INT(heads_step(h, true), -EBADMSG);
	CHECK_INT(told(&f).heads, 0);
	CHECK_INT(file_read(f.spool->dirfd, HEAD_KEY_FILE, 100, &text), 0);
	CHECK_STR(buf_str(&text), "not a key");
	/* Once it is put right, it goes on. */
	CHECK_INT(unlinkat(f.spool->dirfd, HEAD_KEY_FILE, 0), 0);
	CHECK_INT(heads_step(h, true), 0);
	CHECK_INT(told(&f).heads, 1);
	end(&f, h);
}

/* Each before a head, and behind the last one. */
static void check_refused(const char *sql, bool signed_before)
{
	struct fixture f;
	struct heads *h;

	begin(&f, &h);
	send_pages(&f, 3);
	if (signed_before) {
		CHECK_INT(heads_step(h, true), 0);
		heads_free(h);
		CHECK_INT(heads_new(f.spool, &h), 0);
		send_pages(&f, 1);
	}
	CHECK_INT(db_exec(f.spool->db, sql, ""), 0);
	CHECK_INT(heads_step(h, true), -EUCLEAN);
	CHECK_INT(fixture_sql(&f, "SELECT count(*) FROM heads"), signed_before);
	end(&f, h);
}

#define REFUSED(name, sql, before)               \
	TEST(not_signed_##name)                  \
	{                                        \
		check_refused(sql, before);      \
	}

REFUSED(a_changed_body, "UPDATE receipts SET body = replace(body, 'ocr', 'ocs') WHERE seq = 2", false)
REFUSED(a_changed_hash, "UPDATE receipts SET hash = replace(hash, substr(hash, 1, 4), 'beef') WHERE seq = 3", false)
REFUSED(without_the_first, "DELETE FROM receipts WHERE seq = 1", false)
REFUSED(without_one, "DELETE FROM receipts WHERE seq = 2", false)
REFUSED(a_change_behind_a_head, "UPDATE receipts SET body = replace(body, 'ocr', 'ocs') WHERE seq = 4", true)
REFUSED(a_change_under_a_head, "UPDATE receipts SET hash = replace(hash, substr(hash, 1, 4), 'beef') WHERE seq = 3", true)
REFUSED(without_what_a_head_signs, "DELETE FROM receipts WHERE seq = 3", true)
REFUSED(a_moved_head, "UPDATE heads SET body = replace(body, '\"seq\":3', '\"seq\":2')", true)
REFUSED(a_head_that_is_none, "UPDATE heads SET body = 'x'", true)
