/*
 * Whatever is in the spool, it starts: each thing of it truncated, emptied, zeroed, overwritten, missing, not to be read, or
 * something else in its place; and each page of the database damaged. Then every page whose file is intact is there and
 * known, a new one is taken, and the next start finds nothing more to set aside.
 */
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
static void shell(const char *fmt, ...)
{
	char command[320];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	CHECK_INT(system(command), 0);
}

static const char *scratch(char *out)
{
	strcpy(out, "/dev/shm/pageferry-damage.XXXXXX");
	if (!mkdtemp(out)) {
		strcpy(out, "/tmp/pageferry-damage.XXXXXX");
		CHECK(mkdtemp(out));
	}
	return out;
}

static void done(struct fixture *f, const struct page_row *p)
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

static void spoiled_begin(struct spoiled *d)
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

static void case_begin(struct spoiled *d)
{
	scratch(d->folder);
	shell("cp -a %s/. %s", d->template, d->folder);
}

static void case_end(struct spoiled *d)
{
	shell("chmod -R u+rwx %s && rm -rf %s", d->folder, d->folder);
}

static void spoiled_end(struct spoiled *d)
{
	shell("rm -rf %s", d->template);
	fixture_end(&d->f);
}

/* ---- lives --------------------------------------------------------------------------------------- */

static int open_once(struct spoiled *d)
{
	const struct spool_options o = {.directory = d->folder, .clock = d->f.clock};

	return spool_open(&o, &d->f.spool, d->f.why, sizeof(d->f.why));
}

/* As the service does: 0 when all came to its end, else what stopped it. */
static int one_life(struct spoiled *d)
{
	int64_t cursor = 0;
	int r, slices = 0;

	while ((r = spool_reconcile(d->f.spool)) > 0)
		CHECK(++slices < 1000);
	while (r == 0 && (r = delivery_reconcile(d->f.spool, &cursor)) > 0)
		;
	return r < 0 ? r : delivery_run(d->f.spool, 100, NULL, NULL);
}

static int live(struct spoiled *d, const char *what)
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

static bool intact(const struct spoiled *d, const char *id)
{
	_cleanup_buf_ struct buf was = {}, is = {};
	char path[160];

	str_format(path, sizeof(path), "%s/pages/%s.jpg", d->template, id);
	if (file_read(AT_FDCWD, path, 1 << 20, &was) < 0)
		return false;
	str_format(path, sizeof(path), "%s/pages/%s.jpg", d->folder, id);
	return file_read(AT_FDCWD, path, 1 << 20, &is) == 0 && is.len == was.len && memcmp(is.data, was.data, is.len) == 0;
}

static void check_pages(struct spoiled *d, const bool sound[PAGES], const char *what)
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
static void check_new_page(struct spoiled *d, const bool sound[PAGES], const char *what)
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

static void check_told_once(struct spoiled *d, const char *what)
{
	int r;

	spool_close(take_ptr(d->f.spool));
	r = live(d, what);
	if (r < 0 || d->f.spool->set_aside || spool_reconciled(d->f.spool)->lost || spool_reconciled(d->f.spool)->rebuilt)
		test_fail(__FILE__, __LINE__, "%s: the next start is not quiet: %d, %d set aside", what, r, (int)d->f.spool->set_aside);
	spool_close(take_ptr(d->f.spool));
}

static void check_case(struct spoiled *d, const bool sound[PAGES], const char *what)
{
	int r = live(d, what);

	if (r < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", what, errno_text(r));
	check_pages(d, sound, what);
	check_new_page(d, sound, what);
	check_told_once(d, what);
}

/* ---- the damage ---------------------------------------------------------------------------------- */

/* In `path` when it is a folder. */
static void foreign(const char *path)
{
	char inner[200];
	int fd;

	str_format(inner, sizeof(inner), "%s/notes.txt", path);
	fd = open(inner, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK_INT(write_all(fd, "x", 1), 0);
	close(fd);
}

static void fill(const char *path, int byte, off_t size)
{
	_cleanup_free_ char *data = malloc((size_t)size + 1);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

	CHECK(data && fd >= 0);
	memset(data, byte, (size_t)size);
	CHECK_INT(write_all(fd, data, (size_t)size), 0);
	close(fd);
}

static void remove_it(const char *path)
{
	shell("rm -rf %s", path);
}

static off_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) ? st.st_size : 3000;
}

static void half(const char *path)
{
	off_t size = size_of(path) / 2;

	if (access(path, F_OK) < 0)
		fill(path, 'x', size);
	CHECK_INT(truncate(path, size), 0);
}
static void empty(const char *path) { fill(path, 0, 0); }
static void zeroed(const char *path) { fill(path, 0, size_of(path)); }
static void garbage(const char *path) { fill(path, 0xa5, size_of(path)); }
static void huge(const char *path)
{
	fill(path, 'x', 10);
	CHECK_INT(truncate(path, (off_t)1 << 36), 0);
}
static void missing(const char *path) { remove_it(path); }
static void folder(const char *path)
{
	remove_it(path);
	CHECK_INT(mkdir(path, 0750), 0);
	foreign(path);
}
static void link_out(const char *path)
{
	remove_it(path);
	CHECK_INT(symlink("/etc/passwd", path), 0);
}
static void dangling(const char *path)
{
	remove_it(path);
	CHECK_INT(symlink("/nonexistent", path), 0);
}
static void pipe_there(const char *path)
{
	remove_it(path);
	CHECK_INT(mkfifo(path, 0640), 0);
}
static void shut(const char *path)
{
	if (access(path, F_OK) < 0)
		fill(path, 'x', 10);
	CHECK_INT(chmod(path, 0), 0);
}

static const struct {
	const char *name;
	void (*damage)(const char *path);
	bool files_only; /* it has no meaning for a folder */
	bool harmless;   /* the content is as it was */
} kinds[] = {
	{"half", half, true, false},
	{"empty", empty, true, false},
	{"zeroed", zeroed, true, false},
	{"garbage", garbage, true, false},
	{"huge", huge, true, false},
	{"missing", missing, false, false},
	{"a folder", folder, false, false},
	{"a link", link_out, false, false},
	{"a dangling link", dangling, false, false},
	{"a pipe", pipe_there, false, false},
	{"mode 0", shut, false, true},
};

/* What stands for itself: "P" is the second page's file, "R" the first one's result, "T" the typeset. */
static const char *const things[] = {"spool.db", "spool.db-wal", "spool.db-shm", "damaged", "lock", "tmp/x", "pages/notes.txt", "P", "R", "T",
	"pages", "tmp", "types", "results", "quarantine"};

static void path_of(const struct spoiled *d, const char *thing, char out[static 200])
{
	if (streq(thing, "P"))
		str_format(out, 200, "%s/pages/%s.jpg", d->folder, d->ids[1]);
	else if (streq(thing, "R"))
		str_format(out, 200, "%s/results/%s.json", d->folder, d->ids[0]);
	else if (streq(thing, "T"))
		str_format(out, 200, "%s/types/%s", d->folder, d->types);
	else
		str_format(out, 200, "%s/%s", d->folder, thing);
}

/* What was in the place of a folder is in quarantine/, with its reason. */
static void check_aside(const struct spoiled *d, const char *what)
{
	char path[100];
	struct dirent *e;
	int n = 0, reasons = 0;
	DIR *dir;

	str_format(path, sizeof(path), "%s/quarantine", d->folder);
	dir = opendir(path);
	CHECK(dir);
	while ((e = readdir(dir))) {
		n += e->d_name[0] != '.';
		reasons += strstr(e->d_name, ".reason") != NULL;
	}
	closedir(dir);
	if (n != 2 || reasons != 1)
		test_fail(__FILE__, __LINE__, "%s: %d things in quarantine/, %d reasons", what, n, reasons);
}

static void each_kind(struct spoiled *d, const char *thing, bool is_folder)
{
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		bool sound[PAGES] = {true, true, true, true};
		char path[200], what[100];

		if (is_folder && kinds[k].files_only)
			continue;
		case_begin(d);
		path_of(d, thing, path);
		kinds[k].damage(path);
		str_format(what, sizeof(what), "%s: %s", thing, kinds[k].name);
		for (int i = 0; i < PAGES; i++)
			sound[i] = kinds[k].harmless || !(streq(thing, "pages") || (streq(thing, "P") && i == 1));
		check_case(d, sound, what);
		if (is_folder && kinds[k].damage != missing && kinds[k].damage != folder && kinds[k].damage != shut)
			check_aside(d, what);
		case_end(d);
	}
}

/* A mode stops nobody who is root: the rest is done as somebody else. */
static void as_nobody(struct spoiled *d)
{
	if (geteuid() != 0)
		return;
	shell("chown -R 65534:65534 %s %s", d->template, test_tmpdir());
	CHECK_INT(setegid(65534), 0);
	CHECK_INT(seteuid(65534), 0);
}

static void as_before(void)
{
	if (getuid() == 0) {
		CHECK_INT(seteuid(0), 0);
		CHECK_INT(setegid(0), 0);
	}
}

static void find_types(struct spoiled *d)
{
	char path[100];
	struct dirent *e;
	DIR *dir;

	str_format(path, sizeof(path), "%s/types", d->template);
	dir = opendir(path);
	CHECK(dir);
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.')
			str_copy(d->types, sizeof(d->types), e->d_name);
	closedir(dir);
}

TEST(it_starts_whatever_is_in_the_place_of_each_thing)
{
	struct spoiled d = {};

	spoiled_begin(&d);
	find_types(&d);
	log_set_level((enum log_level)2);
	as_nobody(&d);
	for (size_t i = 0; i < ARRAY_SIZE(things); i++)
		each_kind(&d, things[i], i >= 10);
	as_before();
	spoiled_end(&d);
}

/* ---- the pages of the database ------------------------------------------------------------------- */

static void damage_page(const struct spoiled *d, off_t at, int kind)
{
	uint8_t page[4096];
	char path[100];
	int fd;

	str_format(path, sizeof(path), "%s/spool.db", d->folder);
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	/* of zeros, of noise, another page's, or its front half */
	CHECK_INT(pread(fd, page, sizeof(page), kind == 2 ? (at ? at - 4096 : 4096) : at), sizeof(page));
	for (size_t i = kind == 3 ? 2048 : 0; i < sizeof(page) && kind != 2; i++)
		page[i] = kind == 0 ? 0 : (uint8_t)(i * 131 + 17);
	CHECK_INT(pwrite(fd, page, sizeof(page), at), sizeof(page));
	close(fd);
}

TEST(it_starts_whatever_page_of_the_database_is_damaged)
{
	const bool sound[PAGES] = {true, true, true, true};
	struct spoiled d = {};
	char path[100], what[60];
	off_t size;

	spoiled_begin(&d);
	log_set_level((enum log_level)2);
	str_format(path, sizeof(path), "%s/spool.db", d.template);
	size = size_of(path);
	CHECK(size > 20 * 4096);
	for (off_t at = 0; at < size; at += 4096)
		for (int kind = 0; kind < 4; kind++) {
			case_begin(&d);
			damage_page(&d, at, kind);
			str_format(what, sizeof(what), "database page %d, kind %d", (int)(at / 4096) + 1, kind);
			check_case(&d, sound, what);
			case_end(&d);
		}
	spoiled_end(&d);
}

static void write_byte(const struct spoiled *d, off_t at, uint8_t byte)
{
	char path[100];
	int fd;

	str_format(path, sizeof(path), "%s/spool.db", d->folder);
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_INT(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

TEST(it_starts_whatever_byte_of_the_databases_header_is_changed)
{
	const bool sound[PAGES] = {true, true, true, true};
	static const uint8_t bytes[] = {0, 3, 0x2a, 0xff};
	struct spoiled d = {};
	char what[60];

	spoiled_begin(&d);
	log_set_level((enum log_level)2);
	for (off_t at = 0; at < 100; at++) {
		if (at >= 60 && at < 64)
			continue; /* user_version: greater ones are of a newer pageferry */
		for (size_t i = 0; i < ARRAY_SIZE(bytes); i++) {
			case_begin(&d);
			write_byte(&d, at, bytes[i]);
			str_format(what, sizeof(what), "byte %d of the header is %d", (int)at, bytes[i]);
			check_case(&d, sound, what);
			case_end(&d);
		}
	}
	spoiled_end(&d);
}

/* Each time the last letter, in each place. */
static void misspell(const struct spoiled *d, const char *word)
{
	_cleanup_buf_ struct buf file = BUF_MAX(8 << 20);
	char path[100], *at;
	int fd, n = 0;

	str_format(path, sizeof(path), "%s/spool.db", d->folder);
	CHECK_INT(file_read(AT_FDCWD, path, 8 << 20, &file), 0);
	for (at = file.data; (at = memmem(at, (size_t)(file.data + file.len - at), word, strlen(word))); at += strlen(word), n++)
		at[strlen(word) - 1] = '0';
	CHECK(n > 0);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK_INT(write_all(fd, file.data, file.len), 0);
	close(fd);
}

/* Tables, columns and indexes that are there under another name. */
TEST(it_starts_when_the_schema_is_misspelt)
{
	static const char *const words[] = {"documents", "tried_boot_ms", "pages_state", "retried", "settled_pusd", "pages", "value", "done_ms",
		"authoritative", "typeset", "gone_ms", "kind"};
	const bool sound[PAGES] = {true, true, true, true};
	struct spoiled d = {};

	spoiled_begin(&d);
	log_set_level((enum log_level)2);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		case_begin(&d);
		misspell(&d, words[i]);
		check_case(&d, sound, words[i]);
		case_end(&d);
	}
	spoiled_end(&d);
}

/* ---- damage that reading all of it does not find ------------------------------------------------- */

/* To SQLite a sqlite_sequence of three columns is damage, but only when it is needed: for a new page. */
static void damage_sequence(const struct spoiled *d)
{
	static const char sql[] = "PRAGMA writable_schema = ON;"
				  "UPDATE sqlite_master SET sql = 'CREATE TABLE sqlite_sequence(name,seq,x)' WHERE name = 'sqlite_sequence'";
	char path[100];
	sqlite3 *db;

	str_format(path, sizeof(path), "%s/spool.db", d->folder);
	CHECK_INT(sqlite3_open(path, &db), SQLITE_OK);
	CHECK_INT(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	CHECK_INT(sqlite3_changes(db), 1);
	CHECK_INT(sqlite3_close(db), SQLITE_OK);
}

/* A start, then after `wait_ms` a new page, at which the damage is met. */
static void life_that_fails(struct spoiled *d, int64_t wait_ms)
{
	struct spool_meta m;
	struct page_row p;

	CHECK_INT(open_once(d), 0);
	CHECK(!d->f.spool->rebuilt);
	CHECK_INT(one_life(d), 0);
	CHECK(!db_damaged(spool_db(d->f.spool)));
	d->f.boot += wait_ms;
	fixture_freeze(&d->f);
	m = fixture_meta(&d->f);
	CHECK_INT(fixture_try(&d->f, &m, &p), -EUCLEAN);
	spool_close(take_ptr(d->f.spool));
}

TEST(damage_that_no_reading_finds_is_set_aside)
{
	const bool sound[PAGES] = {true, true, true, true};
	struct spoiled d = {};

	spoiled_begin(&d);
	log_set_level((enum log_level)2);
	case_begin(&d);
	damage_sequence(&d);
	life_that_fails(&d, 0);
	life_that_fails(&d, 0); /* read as a whole before, and sound */
	CHECK_INT(open_once(&d), 0);
	CHECK(d.f.spool->rebuilt);
	CHECK_INT(one_life(&d), 0);
	check_pages(&d, sound, "set aside");
	check_new_page(&d, sound, "set aside");
	check_told_once(&d, "set aside");
	case_end(&d);
	spoiled_end(&d);
}

/* A disk that fails to read once in a while costs no ledger. */
TEST(what_fails_long_after_it_was_found_sound_is_read_again)
{
	struct spoiled d = {};

	spoiled_begin(&d);
	log_set_level((enum log_level)2);
	case_begin(&d);
	damage_sequence(&d);
	for (int i = 0; i < 3; i++)
		life_that_fails(&d, 60 * 60 * 1000);
	life_that_fails(&d, 60 * 60 * 1000 - 1);
	CHECK_INT(open_once(&d), 0);
	CHECK(d.f.spool->rebuilt);
	spool_close(take_ptr(d.f.spool));
	case_end(&d);
	spoiled_end(&d);
}

TEST(ten_thousand_foreign_files)
{
	const bool sound[PAGES] = {true, true, true, true};
	struct spoiled d = {};

	spoiled_begin(&d);
	log_set_level((enum log_level)2);
	case_begin(&d);
	shell("cd %s/pages && seq -f 'stray-%%g' 10000 | xargs touch && cd %s/tmp && seq 10000 | xargs touch", d.folder, d.folder);
	check_case(&d, sound, "10,000 foreign files");
	case_end(&d);
	spoiled_end(&d);
}
