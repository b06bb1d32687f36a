/* The spool on file systems of its own: read-only ones, one that counts no inodes, and a folder that is on another. */
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "tests/unit/daemon_fixture.h"

enum { NO_RIGHT = 77 };

/* Each fn in a child with mounts of its own: they go with it. 0, or the line that did not hold. */
static void in_own_mounts(int (*fn)(struct fixture *f))
{
	struct fixture f;
	pid_t child;
	int status;

	fixture_begin(&f);
	spool_close(take_ptr(f.spool));
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
			_exit(NO_RIGHT);
		exit(fn(&f)); /* with the counters of a coverage build */
	}
	CHECK_INT(waitpid(child, &status, 0), child);
	fixture_end(&f);
	CHECK(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_RIGHT)
		test_skip("no right to mount a file system");
	CHECK_INT(WEXITSTATUS(status), 0);
}

#define HOLDS(cond)              \
	do {                     \
		if (!(cond))     \
			return __LINE__ % 256 ? __LINE__ % 256 : 1; \
	} while (0)

static bool mount_at(const char *folder, const char *options)
{
	char path[256];

	str_format(path, sizeof(path), "%s/%s", test_tmpdir(), folder);
	return mount("tmpfs", path, "tmpfs", 0, options) == 0;
}

static bool remount(bool readonly)
{
	return mount(test_tmpdir(), test_tmpdir(), NULL, MS_BIND, NULL) == 0 &&
	       mount(NULL, test_tmpdir(), NULL, MS_REMOUNT | MS_BIND | (readonly ? MS_RDONLY : 0), NULL) == 0;
}

/* ---- a folder on another file system --------------------------------------------------------- */

static int tmp_elsewhere(struct fixture *f)
{
	HOLDS(mount_at("tmp", "size=1m"));
	HOLDS(fixture_open_spool(f, 0) == -EXDEV);
	HOLDS(strstr(f->why, "tmp/ and pages/ are on different file systems"));
	return 0;
}

TEST(tmp_must_be_beside_pages)
{
	in_own_mounts(tmp_elsewhere);
}

/* ---- no inodes to count ---------------------------------------------------------------------- */

static int no_inodes(struct fixture *f)
{
	HOLDS(mount_at("", "size=16m,nr_inodes=0"));
	HOLDS(fixture_open_spool(f, 0) == 0);
	f->spool->floor_inodes = 1000;
	HOLDS(spool_room(f->spool, f->why, sizeof(f->why)) == 0);
	HOLDS(spool_bytes_free(f->spool) > 0 && spool_bytes_free(f->spool) < 16 << 20);
	f->spool->floor_bytes = 13 << 20;
	HOLDS(spool_room(f->spool, f->why, sizeof(f->why)) == -ENOSPC);
	spool_close(take_ptr(f->spool));
	return 0;
}

TEST(some_file_systems_count_no_inodes)
{
	in_own_mounts(no_inodes);
}

/* ---- read-only ------------------------------------------------------------------------------- */

static int looked_at(struct fixture *f)
{
	struct page_row p, q;

	HOLDS(fixture_open_spool(f, 0) == 0 && !spool_readonly(f->spool));
	fixture_freeze(f);
	fixture_page(f, &p);
	spool_close(take_ptr(f->spool));
	HOLDS(remount(true));
	HOLDS(fixture_open_spool(f, 0) == 0 && spool_readonly(f->spool));
	HOLDS(spool_page_find(f->spool, p.id, &q) == 0 && q.seq == p.seq);
	HOLDS(spool_room(f->spool, f->why, sizeof(f->why)) == -EROFS);
	HOLDS(strstr(f->why, "read-only"));
	HOLDS(spool_probe(f->spool) == -EROFS);
	HOLDS(spool_open(&(struct spool_options){.directory = test_tmpdir(), .clock = f->clock}, &(struct spool *){NULL}, f->why,
		      sizeof(f->why)) == -EBUSY);
	spool_close(take_ptr(f->spool));
	return 0;
}

TEST(a_spool_that_can_only_be_read_is_looked_at)
{
	in_own_mounts(looked_at);
}

/* It is not made whole, nor anything else. */
static int not_whole(struct fixture *f)
{
	static const char *const needed[] = {"pages", "tmp", "results"};
	char path[256], away[256];

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		fixture_path(path, "", needed[i], "");
		fixture_path(away, "", "away", "");
		HOLDS(rename(path, away) == 0 && remount(true));
		HOLDS(fixture_open_spool(f, 0) == -EROFS && strstr(f->why, "the spool is not whole"));
		HOLDS(umount(test_tmpdir()) == 0 && rename(away, path) == 0);
	}
	fixture_path(path, "", "spool.db", "");
	HOLDS(unlink(path) == 0 && remount(true));
	HOLDS(fixture_open_spool(f, 0) == -ENOENT && strstr(f->why, "spool.db"));
	return 0;
}

TEST(a_spool_that_can_only_be_read_is_not_mended)
{
	in_own_mounts(not_whole);
}
