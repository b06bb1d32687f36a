/*
 * What lies in the spool's folder at a start. An input is a list of changes to an empty or a small sound spool: files written,
 * edited, cut, removed, or something else put in their place. It must start (but refuse a newer version), come to an end, and
 * lose no page whose file was left alone, unless the database itself says that it is gone.
 */
#include <assert.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/log.h"
#include "daemon/delivery.h"
#include "daemon/spool_internal.h"

#define PAGES     3
#define LIVES     5
#define NOW_MS    INT64_C(1893553445000) /* 2030-01-02T03:04:05Z */
#define OPS_MAX   64
#define FILES_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ids are the same in every run: inputs name them by place. */
#define ID_0 "20300102T030405-000000"
#define ID_1 "20300102T030405-111111"
#define ID_2 "20300102T030405-222222"
static const char *const ids[PAGES] = {ID_0, ID_1, ID_2};
static const char *const targets[] = {
	"pages/" ID_0 ".jpg", "pages/" ID_1 ".jpg", "pages/" ID_2 ".jpg", /* must stay first */
	"pages", "spool.db", "spool.db-wal", "spool.db-shm", "damaged", "pages/20300102T030405-zzzzzz.jpg", "pages/notes.txt",
	"types/f8b3e3b4f0b94b9e0c9d1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e.json", "types/x", "results/" ID_0 ".json",
	"results/" ID_1 ".json", "results/x", "tmp/x", "tmp/" ID_2 ".jpg", "quarantine/spool.db", "quarantine/notes.txt", "tmp", "types",
	"results", "quarantine", "pages.aside.0",
};

static char folder[64];
static struct {
	char path[96];
	struct buf content;
} template[FILES_MAX];
static size_t n_template;
static struct clock *system_clock;

/* ---- a clock that stands, and ids in order ------------------------------------------------------- */

static int64_t boottime(void *ud)
{
	return 5000;
}

static int64_t realtime(void *ud)
{
	return NOW_MS;
}

static bool synchronised(void *ud)
{
	return false;
}

static void ids_in_order(void *out, size_t len)
{
	static uint8_t n;

	memset(out, n++, len);
}

/* ---- the folder ---------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return ftw->level ? remove(path) : 0;
}

static void empty_folder(void)
{
	nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void remove_folder(void)
{
	empty_folder();
	rmdir(folder);
}

static void make_folder(void)
{
	strcpy(folder, access("/dev/shm", W_OK) == 0 ? "/dev/shm/pageferry-fuzz.XXXXXX" : "/tmp/pageferry-fuzz.XXXXXX");
	if (!mkdtemp(folder))
		abort();
	atexit(remove_folder);
}

static void full_path(const char *name, char out[static 256])
{
	str_format(out, 256, "%s/%s", folder, name);
}

static void put(const char *name, const void *data, size_t len)
{
	char path[256];
	int fd;

	full_path(name, path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0640);
	if (fd < 0)
		return;
	(void)write_all(fd, data, len);
	close(fd);
}

/* ---- the sound spool ----------------------------------------------------------------------------- */

static const char types_text[] = "[{\"name\":\"universal\",\"title\":\"Any\",\"version\":1,\"prompt\":\"p\",\"schema\":{\"type\":\"object\","
				 "\"additionalProperties\":false,\"required\":[\"word\"],\"properties\":{\"word\":{\"type\":\"string\","
				 "\"maxLength\":50}}},\"fields\":[{\"name\":\"word\",\"title\":\"Word\",\"kind\":\"text\",\"required\":true}]}]";

static int open_spool(struct spool **ret)
{
	const struct spool_options o = {.directory = folder, .clock = system_clock};
	char why[256];

	return spool_open(&o, ret, why, sizeof(why));
}

static void accept_page(struct spool *s, const struct spool_job *job)
{
	static const uint8_t jpeg[] = {0xff, 0xd8, 0xff, 0xe0, 0, 16, 'J', 'F', 'I', 'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0, 0xff, 0xc0, 0, 11, 8, 0, 200,
		0, 100, 1, 1, 0x11, 0, 0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xff, 0xd9};
	const struct spool_meta m = {.job = job, .source = "file", .name = "a.jpg", .owner = 1000, .position = 1};
	struct spool_writer *w;

	if (spool_page_begin(s, &m, &w) < 0 || spool_page_write(w, jpeg, sizeof(jpeg)) < 0 ||
		spool_page_commit(w, 100, 200, NULL, NULL, NULL) < 0)
		abort();
}

/* The first page is done and delivered. */
static void finish_page(struct spool *s)
{
	static const char *const statements[] = {
		"INSERT INTO attempts (page, backend, opened_ms, opened_trust, reserved_pusd) VALUES (1, 'sydney', 1, 'trusted', 5)",
		"INSERT INTO attempts (page, backend, opened_ms, opened_trust, reserved_pusd, closed_ms, outcome)"
		" VALUES (1, 'ocr', 1, 'trusted', 0, 2, 'done')",
		"INSERT INTO results (page, version, attempt, authoritative, type, created_ms, json, raw)"
		" VALUES (1, 1, 2, 1, 'universal', 1, '{\"pageferry\":1}', '{}')",
		"INSERT INTO deliveries (page, version, sink) VALUES (1, 1, 'results')",
		"UPDATE pages SET state = 'done', version = 1 WHERE seq = 1",
	};

	for (size_t i = 0; i < ARRAY_SIZE(statements); i++)
		if (db_exec(spool_db(s), statements[i], "") < 0)
			abort();
	delivery_run(s, 10, NULL, NULL);
}

static int keep_file(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	if (!S_ISREG(st->st_mode) || n_template == FILES_MAX)
		return 0;
	str_copy(template[n_template].path, sizeof(template[n_template].path), path + strlen(folder) + 1);
	return file_read(AT_FDCWD, path, 1 << 20, &template[n_template++].content);
}

static void make_template(void)
{
	static const struct clock_ops ops = {boottime, realtime, synchronised};
	static const char *const route[] = {"sydney", "ocr"};
	const struct spool_job *job;
	struct typeset *types;
	struct spool *s;
	char why[256];

	log_set_level((enum log_level)2);
	if (clock_new(&ops, NULL, &system_clock) < 0 || typeset_parse(types_text, strlen(types_text), &types, why, sizeof(why)) < 0)
		abort();
	make_folder();
	if (open_spool(&s) < 0 || spool_job_freeze(s, "auto", route, 2, types, &job) < 0)
		abort();
	s->random = ids_in_order;
	for (int i = 0; i < PAGES; i++)
		accept_page(s, job);
	finish_page(s);
	spool_close(s);
	typeset_free(types);
	nftw(folder, keep_file, 16, FTW_PHYS);
}

static const struct buf *template_file(const char *path)
{
	for (size_t i = 0; i < n_template; i++)
		if (streq(template[i].path, path))
			return &template[i].content;
	return NULL;
}

static void lay_out(bool sound)
{
	static const char *const folders[] = {"pages", "tmp", "types", "results", "quarantine"};
	char path[256];

	empty_folder();
	for (size_t i = 0; sound && i < ARRAY_SIZE(folders); i++) {
		full_path(folders[i], path);
		mkdir(path, 0750);
	}
	for (size_t i = 0; sound && i < n_template; i++)
		put(template[i].path, template[i].content.data, template[i].content.len);
}

/* ---- the changes --------------------------------------------------------------------------------- */

struct input {
	const uint8_t *data;
	size_t len;
};

static uint32_t take(struct input *in, size_t n)
{
	uint32_t v = 0;

	for (; n > 0 && in->len > 0; n--, in->data++, in->len--)
		v = v << 8 | *in->data;
	return v;
}

static void edit(struct input *in, const char *path)
{
	uint32_t at = take(in, 3);
	size_t len = take(in, 1) % 32 + 1;
	int fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	len = MIN(len, in->len);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
		(void)!pwrite(fd, in->data, len, at % st.st_size);
	closep(&fd);
	in->data += len;
	in->len -= len;
}

static void put_here(struct input *in, const char *name)
{
	size_t len = take(in, 2);

	len = MIN(len, in->len);
	put(name, in->data, len);
	in->data += len;
	in->len -= len;
}

static void put_other(struct input *in, const char *name)
{
	const struct buf *b = template_file(targets[take(in, 1) % ARRAY_SIZE(targets)]);

	if (b)
		put(name, b->data, b->len);
}

static void remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	(void)remove(path);
}

/* Returns which target it was. */
static size_t change(struct input *in)
{
	uint32_t op = take(in, 1) % 9;
	size_t t = take(in, 1) % ARRAY_SIZE(targets);
	const char *name = targets[t];
	char path[256];

	full_path(name, path);
	if (op >= 4 && op <= 7)
		remove_tree(path);
	switch (op) {
	case 0:
		put_here(in, name);
		break;
	case 1:
		edit(in, path);
		break;
	case 2:
		(void)!truncate(path, take(in, 3));
		break;
	case 3:
		put_other(in, name);
		break;
	case 5:
		mkdir(path, 0750);
		break;
	case 6:
		(void)!symlink("/nonexistent", path);
		break;
	case 7:
		mkfifo(path, 0640);
		break;
	case 8:
		chmod(path, (mode_t)take(in, 1));
		break;
	}
	return t;
}

/* ---- lives --------------------------------------------------------------------------------------- */

static int look_around(struct spool *s)
{
	struct page_row rows[8];
	struct spool_counts c;
	int64_t cursor = 0;
	char why[256];
	int r, slices = 0;

	while ((r = spool_reconcile(s)) > 0)
		assert(++slices < 1000);
	(void)spool_page_list(s, -1, 0, rows, ARRAY_SIZE(rows));
	(void)spool_counts(s, &c);
	(void)spool_room(s, why, sizeof(why));
	for (slices = 0; delivery_reconcile(s, &cursor) > 0;)
		assert(++slices < 1000);
	for (slices = 0; slices < 20 && delivery_run(s, 8, NULL, NULL) > 0; slices++)
		;
	return r;
}

/* Gone by what the database says: then its file may be, too. */
static bool said_gone(struct spool *s, const char *id)
{
	int64_t n = 0;
	int r = db_get_i64(spool_db(s), &n, "SELECT 1 FROM gone WHERE page = ? UNION ALL SELECT 1 FROM pages WHERE page = ? AND file = 0", "ss", id, id);

	return r != 0;
}

static bool same_file(const char *name, const struct buf *was)
{
	_cleanup_buf_ struct buf now = {0};
	char path[256];

	full_path(name, path);
	return file_read(AT_FDCWD, path, 1 << 20, &now) == 0 && now.len == was->len && memcmp(now.data, was->data, now.len) == 0;
}

/* In quarantine/, whole, under its name or, when something else had that, the next one. */
static bool is_aside(const char *id, const struct buf *was)
{
	char aside[64], path[256];
	struct stat st;

	str_format(aside, sizeof(aside), "quarantine/%s.jpg", id);
	for (unsigned int n = 1; !same_file(aside, was); n++) {
		full_path(aside, path);
		if (lstat(path, &st) < 0)
			return false;
		str_format(aside, sizeof(aside), "quarantine/%s.jpg.%u", id, n);
	}
	return true;
}

/* Where it was, with a row; or whole in quarantine/, when neither the database nor types/ says any more what was asked of it. */
static void check_page(struct spool *s, size_t i, bool reconciled)
{
	const struct buf *was = template_file(targets[i]);
	struct page_row p;

	if (said_gone(s, ids[i]) || is_aside(ids[i], was))
		return;
	assert(same_file(targets[i], was));
	if (reconciled)
		assert(spool_page_find(s, ids[i], &p) >= 0);
}

/* What a service does that ends because of damage, and is started again. */
static void live(bool sound, const bool *touched)
{
	struct spool *s;
	int r;

	for (int i = 0; i < LIVES; i++) {
		r = open_spool(&s);
		assert(r >= 0 || r == -ENOTSUP);
		if (r < 0)
			return;
		r = look_around(s);
		for (size_t p = 0; sound && p < PAGES && !db_damaged(spool_db(s)); p++)
			if (!touched[p])
				check_page(s, p, r == 0 && !db_damaged(spool_db(s)));
		r = db_damaged(spool_db(s));
		spool_close(s);
		if (!r)
			return;
	}
	assert(!"damaged again and again");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	bool touched[ARRAY_SIZE(targets)] = {0}, sound;

	if (!system_clock)
		make_template();
	sound = take(&in, 1) & 1;
	lay_out(sound);
	for (int i = 0; i < OPS_MAX && in.len > 1; i++)
		touched[change(&in)] = true;
	/* pages/ itself */
	for (size_t i = 0; touched[PAGES] && i < PAGES; i++)
		touched[i] = true;
	live(sound, touched);
	return 0;
}
