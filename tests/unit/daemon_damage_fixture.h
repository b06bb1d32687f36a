/*
 * Whatever is in the spool, it starts: each thing of it truncated, emptied, zeroed, overwritten, missing, not to be read, or
 * something else in its place; and each page of the database damaged. Then every page whose file is intact is there and
 * known, a new one is taken, and the next start finds nothing more to set aside.
 */
#pragma once

#include <sqlite3.h>
#include <stdarg.h>

#include "daemon/delivery.h"
#include "tests/unit/daemon_fixture.h"

#define PAGES 4 /* the first is done and delivered */
#define LIVES 5 /* a service that ends because of damage is started again */

struct spoiled {
	struct fixture f;
	char template[64], folder[64];
	char ids[PAGES][PAGE_ID_SIZE];
	char types[SHA256_HEX_SIZE + 8];
};

/* ---- a template, copied for each case: in memory if possible, as nothing here is about the disk ------ */

static void shell(const char *fmt, ...) _printf_(1, 2);
static inline void shell(const char *fmt, ...)
{
	char command[320];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	CHECK_INT(system(command), 0);
}

static inline const char *scratch(char *out)
{
	strcpy(out, "/dev/shm/pageferry-damage.XXXXXX");
	if (!mkdtemp(out)) {
		strcpy(out, "/tmp/pageferry-damage.XXXXXX");
		CHECK(mkdtemp(out));
	}
	return out;
}

static inline void done(struct fixture *f, const struct page_row *p)
{
	static const char sql[] =
		"INSERT INTO attempts (page, backend, opened_ms, opened_trust, reserved_pusd, closed_ms, outcome)"
		" VALUES (1, 'b', 1, 'trusted', 0, 2, 'done')";
	int64_t cursor = 0;

	CHECK_INT(db_exec(spool_db(f->spool), sql, ""), 0);
	CHECK_INT(db_exec(spool_db(f->spool),
			  "INSERT INTO results (page, version, attempt, authoritative, type, created_ms, json, raw)"
			  " VALUES (1, 1, 1, 1, 't', 1, '{\"a\":\"bcdefghijklmnopqrstuvwxyz\"}', '')",
			  ""),
		0);
	CHECK_INT(db_exec(spool_db(f->spool), "UPDATE pages SET version = 1, state = 'done' WHERE seq = ?", "i", p->seq), 0);
	CHECK_INT(delivery_reconcile(f->spool, &cursor), 0);
	CHECK_INT(delivery_run(f->spool, 10, NULL, NULL), 0);
}

static inline void spoiled_begin(struct spoiled *d)
{
	struct page_row p;

	fixture_begin(&d->f);
	for (int i = 0; i < PAGES; i++) {
		d->f.now += 1000;
		fixture_page(&d->f, &p);
		memcpy(d->ids[i], p.id, PAGE_ID_SIZE);
		if (i == 0)
			done(&d->f, &p);
	}
	fixture_reconcile(&d->f);
	fixture_end(&d->f);
	scratch(d->template);
	shell("cp -a %s/. %s", test_tmpdir(), d->template);
	fixture_begin(&d->f); /* for its clock and types; its spool is not used */
	spool_close(d->f.spool);
	d->f.spool = NULL;
}

static inline void case_begin(struct spoiled *d)
{
	scratch(d->folder);
	shell("cp -a %s/. %s", d->template, d->folder);
}

static inline void case_end(struct spoiled *d)
{
	shell("chmod -R u+rwx %s && rm -rf %s", d->folder, d->folder);
}

static inline void spoiled_end(struct spoiled *d)
{
	shell("rm -rf %s", d->template);
	fixture_end(&d->f);
}

/* ---- lives --------------------------------------------------------------------------------------- */

static inline int open_once(struct spoiled *d)
{
	const struct spool_options o = {.directory = d->folder, .clock = d->f.clock};

	return spool_open(&o, &d->f.spool, d->f.why, sizeof(d->f.why));
}

/* As the service does: 0 when all came to its end, else what stopped it. */
static inline int one_life(struct spoiled *d)
{
	int64_t cursor = 0;
	int r, slices = 0;

	while ((r = spool_reconcile(d->f.spool)) > 0)
		CHECK(++slices < 1000);
	while (r == 0 && (r = delivery_reconcile(d->f.spool, &cursor)) > 0)
		;
	return r < 0 ? r : delivery_run(d->f.spool, 100, NULL, NULL);
}

static inline int live(struct spoiled *d, const char *what)
{
	int r = -1;

	for (int i = 0; i < LIVES; i++) {
		r = open_once(d);
		if (r < 0)
			test_fail(__FILE__, __LINE__, "%s: does not start: %d, %s", what, r, d->f.why);
		r = one_life(d);
		if (!db_damaged(spool_db(d->f.spool)))
			return r;
		spool_close(take_ptr(d->f.spool));
	}
	test_fail(__FILE__, __LINE__, "%s: damaged again and again", what);
}

/* ---- what must hold ------------------------------------------------------------------------------ */

static inline bool intact(const struct spoiled *d, const char *id)
{
	_cleanup_buf_ struct buf was = {}, is = {};
	char path[160];

	str_format(path, sizeof(path), "%s/pages/%s.jpg", d->template, id);
	if (file_read(AT_FDCWD, path, 1 << 20, &was) < 0)
		return false;
	str_format(path, sizeof(path), "%s/pages/%s.jpg", d->folder, id);
	return file_read(AT_FDCWD, path, 1 << 20, &is) == 0 && is.len == was.len && memcmp(is.data, was.data, is.len) == 0;
}

static inline void check_pages(struct spoiled *d, const bool sound[PAGES], const char *what)
{
	struct page_row p;

	for (int i = 0; i < PAGES; i++) {
		if (!sound[i])
			continue;
		if (!intact(d, d->ids[i]))
			test_fail(__FILE__, __LINE__, "%s: the file of page %d is lost", what, i);
		if (spool_page_find(d->f.spool, d->ids[i], &p) < 0)
			test_fail(__FILE__, __LINE__, "%s: page %d is lost", what, i);
		if (p.state == STATE_HELD && starts_with(p.reason, "lost"))
			test_fail(__FILE__, __LINE__, "%s: page %d is held: %s", what, i, p.reason);
	}
}

/* Damage that is met only now ends the service once more: what was not told to be safe is handed in again. */
static inline void check_new_page(struct spoiled *d, const bool sound[PAGES], const char *what)
{
	struct spool_meta m;
	struct page_row p;
	int r = -1;

	for (int i = 0; i < LIVES && r < 0; i++) {
		fixture_freeze(&d->f);
		m = fixture_meta(&d->f);
		d->f.now += 1000;
		r = fixture_try(&d->f, &m, &p);
		if (r == 0)
			return;
		if (!db_damaged(spool_db(d->f.spool)))
			break;
		spool_close(take_ptr(d->f.spool));
		live(d, what);
		check_pages(d, sound, what);
	}
	test_fail(__FILE__, __LINE__, "%s: no page is taken: %s", what, errno_text(r));
}

static inline void check_told_once(struct spoiled *d, const char *what)
{
	int r;

	spool_close(take_ptr(d->f.spool));
	r = live(d, what);
	if (r < 0 || d->f.spool->set_aside || spool_reconciled(d->f.spool)->lost || spool_reconciled(d->f.spool)->rebuilt)
		test_fail(__FILE__, __LINE__, "%s: the next start is not quiet: %d, %d set aside", what, r, (int)d->f.spool->set_aside);
	spool_close(take_ptr(d->f.spool));
}

static inline void check_case(struct spoiled *d, const bool sound[PAGES], const char *what)
{
	int r = live(d, what);

	if (r < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", what, errno_text(r));
	check_pages(d, sound, what);
	check_new_page(d, sound, what);
	check_told_once(d, what);
}

static inline off_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) ? st.st_size : 3000;
}
