/* Something else in the place of each thing of the spool. */
#include "tests/unit/daemon_damage_fixture.h"

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
