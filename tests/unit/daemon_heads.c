#include "daemon/heads.h"

#include "base/chain.h"
#include "base/log.h"
#include "daemon/ledger.h"
#include "daemon/receipt.h"
#include "tests/unit/daemon_fixture.h"

static struct page_row page;
static const struct receipts_config config = {.sign_every = 100, .sign_after_ms = 3600000};

static void begin(struct fixture *f, struct heads **h)
{
	fixture_begin(f);
	fixture_page(f, &page);
	CHECK_INT(heads_new(f->spool, &config, h), 0);
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
	CHECK_INT(heads_new(f.spool, &config, &h), 0);
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
	int64_t seq;

	begin(&f, &h);
	fixture_put("", HEAD_KEY_FILE, "not a key", 9);
	send_pages(&f, 1);
	CHECK_STR(heads_trouble(h, &seq), "");
	CHECK_INT(heads_step(h, true), -EBADMSG);
	CHECK(strstr(heads_trouble(h, &seq), HEAD_KEY_FILE));
	CHECK_INT(heads_step(h, true), -EBADMSG);
	CHECK_INT(told(&f).heads, 0);
	CHECK_INT(file_read(f.spool->dirfd, HEAD_KEY_FILE, 100, &text), 0);
	CHECK_STR(buf_str(&text), "not a key");
	/* Once it is put right, it goes on. */
	CHECK_INT(unlinkat(f.spool->dirfd, HEAD_KEY_FILE, 0), 0);
	CHECK_INT(heads_step(h, true), 0);
	CHECK_INT(told(&f).heads, 1);
	CHECK_STR(heads_trouble(h, &seq), "");
	CHECK_INT(seq, 1);
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
		CHECK_INT(heads_new(f.spool, &config, &h), 0);
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

/* ---- days ------------------------------------------------------------------------------------------ */

TEST(where_a_day_ends_is_signed_by_itself)
{
	struct fixture f;
	struct heads *h;

	begin(&f, &h);
	f.synchronised = true;
	send_pages(&f, 2);
	f.now += 86400000;
	send_pages(&f, 3);
	f.now += 86400000;
	f.synchronised = false;
	send_pages(&f, 1); /* of no day: no end of one is seen */
	CHECK_INT(heads_step(h, true), 1);
	CHECK_INT(fixture_sql(&f, "SELECT max(seq) FROM heads"), 2);
	CHECK_INT(heads_step(h, true), 0);
	CHECK_INT(told(&f).signed_seq, 6);
	CHECK_INT(told(&f).heads, 2);
	end(&f, h);
}

/* ---- keys ------------------------------------------------------------------------------------------ */

static void take_up_again(struct fixture *f, struct heads **h, const struct receipts_config *c)
{
	heads_free(*h);
	fixture_reopen(f);
	CHECK_INT(heads_new(f->spool, c, h), 0);
}

TEST(the_key_changes_by_both_signatures)
{
	char why[200] = "";
	struct fixture f;
	struct heads *h;
	struct chain first, second;

	begin(&f, &h);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, true), 0);
	first = told(&f);
	CHECK_INT(heads_change_key(h, why, sizeof(why)), 0);
	CHECK_INT(heads_change_key(h, why, sizeof(why)), 0); /* once */
	CHECK_INT(heads_step(h, false), 0); /* at once, though there is nothing new */
	second = told(&f);
	CHECK(second.heads == 2 && second.key_changes == 1 && second.signed_seq == 1);
	CHECK(memcmp(first.key, second.key, sizeof(first.key)) != 0);
	CHECK(!fixture_exists("", HEAD_NEXT_FILE, ""));
	take_up_again(&f, &h, &config);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, true), 0);
	CHECK_INT(told(&f).heads, 3);
	CHECK_INT(told(&f).key_changes, 1);
	end(&f, h);
}

/* Asked for before anything was signed, and by a service that ended before it signed. */
TEST(a_change_of_keys_waits_for_the_next_head)
{
	char why[200] = "";
	struct fixture f;
	struct heads *h;

	begin(&f, &h);
	CHECK_INT(heads_change_key(h, why, sizeof(why)), 0);
	CHECK_INT(heads_step(h, true), 0);
	CHECK(fixture_exists("", HEAD_NEXT_FILE, ""));
	take_up_again(&f, &h, &config);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, true), 0);
	CHECK_INT(told(&f).key_changes, 1);
	CHECK(!fixture_exists("", HEAD_NEXT_FILE, ""));
	end(&f, h);
}

/* The head that names the next key is committed, its file has the old name. */
TEST(a_change_of_keys_that_was_cut_off_is_completed)
{
	char why[200] = "", path[256], old[256];
	struct fixture f;
	struct heads *h;

	begin(&f, &h);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, true), 0);
	fixture_path(path, "", HEAD_KEY_FILE, "");
	fixture_path(old, "", "old", "");
	CHECK_INT(link(path, old), 0);
	CHECK_INT(heads_change_key(h, why, sizeof(why)), 0);
	CHECK_INT(heads_step(h, false), 0);
	CHECK_INT(renameat(f.spool->dirfd, HEAD_KEY_FILE, f.spool->dirfd, HEAD_NEXT_FILE), 0);
	CHECK_INT(renameat(f.spool->dirfd, "old", f.spool->dirfd, HEAD_KEY_FILE), 0);
	take_up_again(&f, &h, &config);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, true), 0);
	CHECK_INT(told(&f).heads, 3);
	CHECK_INT(told(&f).key_changes, 1);
	CHECK(!fixture_exists("", HEAD_NEXT_FILE, ""));
	end(&f, h);
}

/* Another key must not go on with the chain: whoever follows it would take it for forged. */
TEST(a_lost_key_is_not_replaced)
{
	struct fixture f;
	struct heads *h;

	begin(&f, &h);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, true), 0);
	CHECK_INT(renameat(f.spool->dirfd, HEAD_KEY_FILE, f.spool->dirfd, "kept"), 0);
	take_up_again(&f, &h, &config);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, true), -EKEYREJECTED);
	CHECK(!fixture_exists("", HEAD_KEY_FILE, ""));
	CHECK_INT(told(&f).heads, 1);
	CHECK_INT(renameat(f.spool->dirfd, "kept", f.spool->dirfd, HEAD_KEY_FILE), 0);
	CHECK_INT(heads_step(h, true), 0);
	CHECK_INT(told(&f).heads, 2);
	end(&f, h);
}

/* It is told of at the start, and not when the next receipt is to be signed. */
TEST(a_missing_key_is_told_of_before_it_is_needed)
{
	struct fixture f;
	struct heads *h;
	int64_t last;

	begin(&f, &h);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, true), 0);
	CHECK_INT(renameat(f.spool->dirfd, HEAD_KEY_FILE, f.spool->dirfd, "kept"), 0);
	take_up_again(&f, &h, &config);
	CHECK_INT(heads_step(h, false), -EKEYREJECTED);
	CHECK(strstr(heads_trouble(h, &last), "missing") && last == 1);
	CHECK_INT(renameat(f.spool->dirfd, "kept", f.spool->dirfd, HEAD_KEY_FILE), 0);
	CHECK_INT(heads_step(h, false), 0);
	CHECK_STR(heads_trouble(h, &last), "");
	CHECK_INT(told(&f).heads, 1);
	end(&f, h);
}

static void put_key(const char *name)
{
	_cleanup_buf_ struct buf pem = {};
	struct signing_key *k;

	CHECK_INT(signing_key_generate(&k), 0);
	CHECK_INT(signing_key_print(k, &pem), 0);
	fixture_put("", name, pem.data, pem.len);
	signing_key_free(k);
}

/* By a file, then by a credential that takes its place, then without the file; and never made. */
TEST(the_key_is_where_the_configuration_says)
{
	struct receipts_config c = {.sign_every = 1, .sign_after_ms = 1000};
	char why[200] = "";
	struct fixture f;
	struct heads *h;

	begin(&f, &h);
	fixture_path(c.key, "", "mine.pem", "");
	take_up_again(&f, &h, &c);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, false), -ENOKEY);
	CHECK(!fixture_exists("", HEAD_KEY_FILE, "") && !fixture_exists("", "mine.pem", ""));
	put_key("mine.pem");
	CHECK_INT(heads_step(h, false), 0);
	CHECK_INT(heads_change_key(h, why, sizeof(why)), -EOPNOTSUPP);
	CHECK(strstr(why, "NextKey="));
	str_copy(c.next_key_credential, sizeof(c.next_key_credential), "next.pem");
	take_up_again(&f, &h, &c);
	send_pages(&f, 1);
	unsetenv("CREDENTIALS_DIRECTORY");
	CHECK_INT(heads_step(h, false), -ENOKEY);
	setenv("CREDENTIALS_DIRECTORY", test_tmpdir(), 1);
	put_key("next.pem");
	CHECK_INT(heads_step(h, false), 0);
	CHECK_INT(told(&f).key_changes, 1);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, false), 0); /* the change is not made again, */
	take_up_again(&f, &h, &c);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, false), 0); /* nor after a start */
	CHECK_INT(told(&f).key_changes, 1);
	str_copy(c.key_credential, sizeof(c.key_credential), "next.pem");
	c.next_key_credential[0] = 0;
	take_up_again(&f, &h, &c);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, false), 0);
	CHECK(told(&f).heads == 5 && told(&f).key_changes == 1);
	unsetenv("CREDENTIALS_DIRECTORY");
	end(&f, h);
}

/* ---- a key that is lost for good ------------------------------------------------------------------- */

static const struct head_loss loss = {"the card broke", "uid 0"};

static int replace(struct heads *h)
{
	char why[200] = "";
	int r = heads_replace_key(h, &loss, why, sizeof(why));

	CHECK(r >= 0 || why[0]);
	return r;
}

static void lose_key(struct fixture *f, struct heads **h, const char *instead)
{
	begin(f, h);
	send_pages(f, 2);
	CHECK_INT(heads_step(*h, true), 0);
	CHECK_INT(renameat(f->spool->dirfd, HEAD_KEY_FILE, f->spool->dirfd, "kept"), 0);
	if (instead)
		fixture_put("", HEAD_KEY_FILE, instead, strlen(instead));
	take_up_again(f, h, &config);
	send_pages(f, 1);
	CHECK(heads_step(*h, true) < 0);
}

TEST(a_key_that_is_lost_for_good_is_replaced)
{
	struct fixture f;
	struct heads *h;
	struct chain before, c;
	int64_t seq;

	lose_key(&f, &h, NULL);
	before = told(&f);
	f.now += 5000;
	CHECK_INT(replace(h), 0);
	CHECK_INT(heads_step(h, false), 0); /* at once */
	c = told(&f);
	CHECK(c.heads == 2 && c.key_losses == 1 && c.key_changes == 0 && c.signed_seq == 3);
	CHECK(memcmp(c.loss.lost, before.key, sizeof(before.key)) == 0 && memcmp(c.key, before.key, sizeof(before.key)) != 0);
	CHECK_INT(c.loss.t, f.now);
	CHECK_STR(c.loss.trust, time_trust_name(clock_trust(f.clock)));
	CHECK_STR(c.loss.why, "the card broke");
	CHECK_STR(c.loss.by, "uid 0");
	CHECK_INT(c.loss.signed_seq, 2);
	CHECK_STR(heads_trouble(h, &seq), "");
	/* It goes on by the new one, also after a start, and the old one does not come back. */
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, true), 0);
	take_up_again(&f, &h, &config);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, true), 0);
	CHECK(told(&f).heads == 4 && told(&f).key_losses == 1);
	CHECK_INT(renameat(f.spool->dirfd, "kept", f.spool->dirfd, HEAD_KEY_FILE), 0);
	take_up_again(&f, &h, &config);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, true), -EKEYREJECTED);
	end(&f, h);
}

TEST(what_is_in_the_place_of_the_key_is_set_aside)
{
	_cleanup_buf_ struct buf text = {};
	struct fixture f;
	struct heads *h;

	lose_key(&f, &h, "half a k");
	CHECK_INT(replace(h), 0);
	CHECK_INT(heads_step(h, false), 0);
	CHECK_INT(told(&f).key_losses, 1);
	CHECK_INT(file_read(f.spool->quarantine, HEAD_KEY_FILE, 100, &text), 0);
	CHECK_STR(buf_str(&text), "half a k");
	end(&f, h);
}

/* There is nothing to replace: nothing is signed, the key is there, and under the name that it had before a change was completed. */
TEST(a_key_that_is_there_is_not_replaced)
{
	struct fixture f;
	struct heads *h;

	begin(&f, &h);
	CHECK_INT(replace(h), -EEXIST);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, true), 0);
	CHECK_INT(replace(h), -EEXIST);
	CHECK_INT(renameat(f.spool->dirfd, HEAD_KEY_FILE, f.spool->dirfd, HEAD_NEXT_FILE), 0);
	CHECK_INT(replace(h), -EEXIST);
	take_up_again(&f, &h, &config);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, true), 0);
	CHECK(told(&f).heads == 2 && told(&f).key_losses == 0);
	end(&f, h);
}

/* Found again before the head was signed. */
TEST(a_key_that_is_put_back_goes_on)
{
	struct fixture f;
	struct heads *h;

	lose_key(&f, &h, NULL);
	CHECK_INT(replace(h), 0);
	CHECK_INT(renameat(f.spool->dirfd, "kept", f.spool->dirfd, HEAD_KEY_FILE), 0);
	CHECK_INT(heads_step(h, false), 0);
	CHECK(told(&f).heads == 2 && told(&f).key_losses == 0);
	end(&f, h);
}

/* The one that was to be handed over to when the key was lost: its turn comes after. */
TEST(a_change_of_keys_goes_on_after_a_loss)
{
	char why[200] = "";
	struct fixture f;
	struct heads *h;

	lose_key(&f, &h, NULL);
	CHECK_INT(heads_change_key(h, why, sizeof(why)), 0);
	CHECK_INT(replace(h), 0);
	CHECK_INT(heads_step(h, false), 0);
	CHECK(told(&f).key_losses == 1 && told(&f).key_changes == 0);
	CHECK_INT(heads_step(h, false), 0);
	CHECK(told(&f).key_losses == 1 && told(&f).key_changes == 1);
	CHECK(!fixture_exists("", HEAD_NEXT_FILE, ""));
	end(&f, h);
}

TEST(a_configured_key_is_replaced_by_who_configured_it)
{
	struct receipts_config c = {.sign_every = 1, .sign_after_ms = 1000};
	struct fixture f;
	struct heads *h;

	begin(&f, &h);
	fixture_path(c.key, "", "mine.pem", "");
	put_key("mine.pem");
	take_up_again(&f, &h, &c);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, false), 0);
	CHECK_INT(unlinkat(f.spool->dirfd, "mine.pem", 0), 0);
	take_up_again(&f, &h, &c);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, false), -ENOKEY);
	CHECK_INT(replace(h), -EOPNOTSUPP);
	CHECK(!fixture_exists("", HEAD_KEY_FILE, "") && !fixture_exists("", "mine.pem", ""));
	put_key("mine.pem");
	CHECK_INT(heads_step(h, false), -EKEYREJECTED); /* not by itself */
	CHECK_INT(replace(h), 0);
	CHECK_INT(heads_step(h, false), 0);
	CHECK(told(&f).heads == 2 && told(&f).key_losses == 1);
	end(&f, h);
}

/* ---- other databases ------------------------------------------------------------------------------- */

TEST(a_new_database_goes_on_after_the_old_chain)
{
	struct fixture f;
	struct heads *h;
	struct chain old, new;

	begin(&f, &h);
	send_pages(&f, 2);
	CHECK_INT(heads_step(h, true), 0);
	old = told(&f);
	CHECK_INT(spool_mark(f.spool, "a test"), 0);
	take_up_again(&f, &h, &config);
	fixture_reconcile(&f);
	fixture_page(&f, &page);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, true), 0);
	new = told(&f);
	CHECK(new.heads == 1 && new.seq == 1 && !streq(new.id, old.id));
	CHECK_STR(new.after, old.id);
	CHECK_STR(new.after_hash, old.head_hash);
	CHECK_INT(new.after_head, 1);
	CHECK(memcmp(new.key, old.key, sizeof(old.key)) == 0);
	end(&f, h);
}

/* What is no head, or one whose signature is wrong, is none that was signed. */
TEST(a_note_that_does_not_hold_is_no_chain_before)
{
	struct fixture f;
	struct heads *h;

	begin(&f, &h);
	fixture_put("", HEAD_LAST_FILE, "{\"head\":\n", 9);
	send_pages(&f, 1);
	CHECK_INT(heads_step(h, true), 0);
	CHECK_STR(told(&f).after, "");
	end(&f, h);
}

static int older;

static void count_older(enum log_level level, const char *message_id, const struct log_field *fields, size_t n, const char *message)
{
	older += strstr(message, "older than head 2") != NULL;
}

/* A copy of the database that was put back. */
TEST(an_older_database_is_told_of)
{
	struct fixture f;
	struct heads *h;

	begin(&f, &h);
	for (int i = 0; i < 2; i++) {
		send_pages(&f, 1);
		CHECK_INT(heads_step(h, true), 0);
	}
	log_set_sink(count_older);
	take_up_again(&f, &h, &config);
	CHECK_INT(heads_step(h, true), 0);
	CHECK_INT(older, 0);
	CHECK_INT(db_exec(f.spool->db, "DELETE FROM heads WHERE id = 2", ""), 0);
	take_up_again(&f, &h, &config);
	CHECK_INT(heads_step(h, true), 0);
	CHECK_INT(older, 1);
	CHECK_INT(told(&f).heads, 2);
	log_set_sink(NULL);
	end(&f, h);
}
