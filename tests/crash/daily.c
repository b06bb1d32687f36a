/* The receipts of a day into their file, while an older one has had its time. */
#include "base/chain.h"
#include "daemon/daily.h"
#include "tests/crash/sequence.h"

#define DAY INT64_C(86400000)

static const struct receipts_config config = {.sign_every = 100, .sign_after_ms = 3600000, .keep_files_ms = DAY};

static int export_days(struct fixture *f)
{
	struct daily *d;
	int r = daily_new(f->spool, &config, &d);

	if (r < 0)
		return r;
	while ((r = daily_step(d)) > 0)
		;
	daily_free(d);
	return r;
}

static void sign_all(struct fixture *f)
{
	struct heads *h;

	CHECK_INT(heads_new(f->spool, &config, &h), 0);
	while (heads_step(h, true) > 0)
		;
	heads_free(h);
}

/* Two days: the first is exported, the second signed. */
static void prepare(struct fixture *f, struct report *r)
{
	f->synchronised = true;
	base_done(f, r);
	sign_all(f);
	f->now += DAY;
	CHECK_INT(export_days(f), 0);
	base_done(f, r);
	sign_all(f);
	CHECK_INT(fixture_files("receipts"), 1);
}

static void ready(struct fixture *f, struct report *r)
{
	f->now = FIXTURE_NOW + 2 * DAY;
}

static int run(struct fixture *f, struct report *r)
{
	int res = export_days(f);

	r->acknowledged = res >= 0;
	return res;
}

/* How far it goes, as who has only the file would follow it. */
static void follow_file(const char *name, struct report *r, struct chain *c)
{
	_cleanup_buf_ struct buf text = BUF_MAX(1 << 20);
	char path[300], *rest = NULL;

	str_format(path, sizeof(path), "%s/receipts/%s", test_tmpdir(), name);
	CHECK_INT(file_read(AT_FDCWD, path, 1 << 20, &text), 0);
	c->in_parts = true;
	for (char *line = text.len > 0 ? strtok_r(text.data, "\n", &rest) : NULL; line; line = strtok_r(NULL, "\n", &rest)) {
		const char *why = "?";
		cJSON *body = NULL;

		if (chain_follow(c, line, strlen(line), &body, &why) < 0)
			problem(r, "%s: what comes after receipt %lld %s", name, (long long)c->seq, why);
		cJSON_Delete(body);
	}
}

static void look_at_file(struct fixture *f, struct report *r)
{
	int fd = openat(f->spool->dirfd, "receipts", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct chain c = CHAIN_BEGIN;
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (starts_with(e->d_name, "receipts-20300103-"))
			follow_file(e->d_name, r, &c);
	if (d)
		closedir(d);
	if (c.from_head != 1 || c.heads != 2 || c.seq != count_rows(f, "SELECT max(seq) FROM receipts"))
		problem(r, "the day's file goes from head %lld to head %lld", (long long)c.from_head, (long long)c.heads);
}

static void verify(struct fixture *f, struct report *r)
{
	if (r->acknowledged)
		look_at_file(f, r);
	f->now = FIXTURE_NOW + 2 * DAY;
	if (export_days(f) < 0)
		problem(r, "the day cannot be exported any more");
	if (fixture_files("receipts") != 1)
		problem(r, "%d files of days", fixture_files("receipts"));
	look_at_file(f, r);
}

const struct sequence daily = {
	.name = "daily",
	.bugs = {"daily-commit-first"},
	.prepare = prepare,
	.ready = ready,
	.run = run,
	.verify = verify,
};
