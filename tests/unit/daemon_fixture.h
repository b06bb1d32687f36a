/* For the tests of the spool and the ledger: a spool in a fresh folder, with a clock that stands still, and
 * pages. */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "daemon/spool_internal.h"
#include "tests/unit/test.h"

#define FIXTURE_NOW INT64_C(1893553445000) /* 2030-01-02T03:04:05Z */

struct fixture {
	int64_t now, boot;
	bool synchronised;
	struct clock *clock;
	struct typeset *types;
	struct spool *spool;
	const struct spool_job *job;
	uint32_t content, next_content; /* the next page's, and the step to the one after it: by default no two are the same */
	char why[256];
};

static inline int64_t fixture_boottime(void *ud)
{
	return ((struct fixture *)ud)->boot;
}

static inline int64_t fixture_realtime(void *ud)
{
	return ((struct fixture *)ud)->now;
}

static inline bool fixture_synchronised(void *ud)
{
	return ((struct fixture *)ud)->synchronised;
}

static const struct clock_ops fixture_clock = {fixture_boottime, fixture_realtime, fixture_synchronised};

static const char fixture_types[] =
	"[{\"name\":\"universal\",\"title\":\"Any\",\"version\":1,\"prompt\":\"p\",\"schema\":{\"type\":"
	"\"object\","
	"\"additionalProperties\":false,\"required\":[\"word\"],\"properties\":{\"word\":{\"type\":"
	"\"string\",\"maxLength\":50}}},"
	"\"fields\":[{\"name\":\"word\",\"title\":\"Word\",\"kind\":\"text\",\"required\":true}]}]";

static inline int fixture_open_spool(struct fixture *f, int64_t cap)
{
	const struct spool_options o = {.directory = test_tmpdir(), .clock = f->clock, .cap_bytes = cap};

	return spool_open(&o, &f->spool, f->why, sizeof(f->why));
}

static inline void fixture_freeze(struct fixture *f)
{
	static const char *const route[] = {"sydney", "ocr"};

	CHECK_INT(spool_job_freeze(f->spool, "auto", route, 2, f->types, &f->job), 0);
}

static inline void fixture_begin(struct fixture *f)
{
	*f = (struct fixture){.now = FIXTURE_NOW, .boot = 5000, .next_content = 1};
	log_set_level(LOG_LEVEL_ERROR);
	CHECK_INT(clock_new(&fixture_clock, f, &f->clock), 0);
	CHECK_INT(typeset_parse(fixture_types, strlen(fixture_types), &f->types, f->why, sizeof(f->why)), 0);
	if (fixture_open_spool(f, 0) < 0)
		test_fail(__FILE__, __LINE__, "%s", f->why);
	fixture_freeze(f);
}

static inline void fixture_reopen(struct fixture *f)
{
	spool_close(f->spool);
	f->spool = NULL;
	if (fixture_open_spool(f, 0) < 0)
		test_fail(__FILE__, __LINE__, "%s", f->why);
	fixture_freeze(f);
}

static inline void fixture_end(struct fixture *f)
{
	spool_close(f->spool);
	typeset_free(f->types);
	clock_free(f->clock);
}

static inline void fixture_reconcile(struct fixture *f)
{
	int r, slices = 0;

	while ((r = spool_reconcile(f->spool)) > 0)
		CHECK(++slices < 10000);
	CHECK_INT(r, 0);
}

/* A JPEG as the capture helper makes them, as far as the spool looks: SOI, APP0, SOF0 of 100x200, SOS, `body`
 * bytes, EOI. */
static inline void fixture_jpeg(struct buf *b, size_t body)
{
	static const uint8_t head[] = {
		0xff, 0xd8, 0xff, 0xe0, 0, 16, 'J', 'F', 'I', 'F', 0, 1, 1, 0, 0, 1, 0, 1, 0,
		0,                                                   /* SOI, APP0 */
		0xff, 0xc0, 0, 11, 8, 0, 200, 0, 100, 1, 1, 0x11, 0, /* SOF0 */
		0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0,                 /* SOS */
	};

	buf_clear(b);
	CHECK_INT(buf_add(b, head, sizeof(head)), 0);
	for (size_t i = 0; i < body; i++)
		CHECK_INT(buf_addc(b, (char)(i % 251)), 0);
	CHECK_INT(buf_add(b, "\xff\xd9", 2), 0);
}

static inline struct spool_meta fixture_meta(const struct fixture *f)
{
	return (struct spool_meta){
		.job = f->job, .source = "file", .name = "a.jpg", .owner = 1000, .position = 1};
}

/* Of the pages that come next; 0: 100. They are twice as high. */
static __attribute__((unused)) uint32_t fixture_width;

static inline int fixture_try(struct fixture *f, const struct spool_meta *m, struct page_row *ret)
{
	_cleanup_buf_ struct buf jpeg = {};
	struct spool_writer *w;
	int r;

	fixture_jpeg(&jpeg, 3000);
	memcpy(jpeg.data + jpeg.len - 2 - sizeof(f->content), &f->content, sizeof(f->content));
	f->content += f->next_content;
	r = spool_page_begin(f->spool, m, &w);
	if (r < 0)
		return r;
	r = spool_page_write(w, jpeg.data, jpeg.len);
	if (r < 0) {
		spool_page_abort(w);
		return r;
	}
	return spool_page_commit(w, fixture_width ? fixture_width : 100, fixture_width ? fixture_width * 2 : 200, NULL, "{\"ms\":1}", ret);
}

static inline void fixture_page(struct fixture *f, struct page_row *ret)
{
	struct spool_meta m = fixture_meta(f);

	CHECK_INT(fixture_try(f, &m, ret), 0);
}

/* Files in a folder of the spool. */
static inline int fixture_files(const char *folder)
{
	char path[256];
	struct dirent *e;
	int n = 0;
	DIR *d;

	str_format(path, sizeof(path), "%s/%s", test_tmpdir(), folder);
	d = opendir(path);
	CHECK(d);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static inline void fixture_path(
	char out[static 256], const char *folder, const char *name, const char *suffix)
{
	str_format(out, 256, "%s/%s%s%s%s", test_tmpdir(), folder, folder[0] ? "/" : "", name, suffix);
}

static inline bool fixture_exists(const char *folder, const char *name, const char *suffix)
{
	char path[256];

	fixture_path(path, folder, name, suffix);
	return access(path, F_OK) == 0;
}

static inline void fixture_put(const char *folder, const char *name, const void *data, size_t len)
{
	char path[256];
	int fd;

	fixture_path(path, folder, name, "");
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	CHECK(fd >= 0);
	CHECK_INT(write_all(fd, data, len), 0);
	close(fd);
}

static inline int64_t fixture_sql(struct fixture *f, const char *sql)
{
	int64_t v = -1;

	CHECK(db_get_i64(spool_db(f->spool), &v, sql, "") >= 0);
	return v;
}
