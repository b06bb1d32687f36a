/*
 * A fault at every call of every crash-prone sequence (sequences.c). A sequence is run once to count its calls; then, for each
 * call and each thing that can happen to it, a process starts from the same spool and runs it with that fault. One that was
 * not killed must be able to go on: its memory agrees with the database, and the sequence, tried again, succeeds; or it is
 * killed as soon as it has been told of the failure: what was taken back must stay so. In any case another process then opens
 * the spool, recovers it, and looks at what must always hold (invariants.c).
 *
 *   FULL=1   everything, but for kills at an allocation: they leave what a kill at the next call to storage leaves. Otherwise
 *            kills where something changes, EIO, ENOSPC, ENOMEM, errors of what was done, a disk that fills halfway, no memory
 *            from some call on; and of the allocations where SQLite reads SQL every 16th
 */
#include "tests/crash/sequence.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "daemon/delivery.h"
#include "tests/crash/owners.h"

#define SHOWN_MAX   20 /* failures of a sequence that are printed */
#define INNER_EVERY 16
#define WORKERS_MAX 8

static struct report *report;
static char top[64], work[80], work_name[16] = "work";
static int64_t all_points, all_faults;
static bool step_seen[STEP_COUNT], failed;
static const char *planted; /* the bug that a sequence is run with; the next life has none */

/* ---- in place of tests/unit/test.c: a check that fails ends the process it is in ------------------ */

void test_fail(const char *file, int line, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	problem(report, "%s:%d: %s", file, line, text);
	_exit(1);
}

void test_check_int(const char *file, int line, const char *expr, int64_t got, int64_t want)
{
	if (got != want)
		test_fail(file, line, "%s: got %lld, want %lld", expr, (long long)got, (long long)want);
}

const char *test_tmpdir(void)
{
	return work;
}

/* ---- processes ------------------------------------------------------------------------------- */

/* Runs fn in a child; 0, or problem() tells why not. Killed is fine if it was to be. */
static void in_child(void (*fn)(const struct sequence *q, const struct fault *f), const struct sequence *q, const struct fault *f)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		alarm(60);
		fn(q, f);
		exit(0); /* with the counters of a coverage build */
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	if (WIFSIGNALED(status) && !(WTERMSIG(status) == SIGKILL && (f->dies || (f->kind != FAULT_NONE && f->kind <= FAULT_KILL_AFTER))))
		problem(report, "ended by signal %d", WTERMSIG(status));
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		problem(report, "ended with %d", WEXITSTATUS(status));
}

static void copy_file(const char *from, const char *to)
{
	_cleanup_buf_ struct buf b = BUF_MAX(64 << 20);
	_cleanup_close_ int fd = -1;

	if (file_read(AT_FDCWD, from, 64 << 20, &b) < 0)
		abort();
	fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	if (fd < 0 || write_all(fd, buf_str(&b), b.len) < 0)
		abort();
}

static void each_entry(const char *dir, const char *other, void (*fn)(const char *path, const char *other, bool is_dir))
{
	char path[300], opposite[300];
	struct dirent *e;
	DIR *d = opendir(dir);

	while (d && (e = readdir(d))) {
		if (streq(e->d_name, ".") || streq(e->d_name, ".."))
			continue;
		str_format(path, sizeof(path), "%s/%s", dir, e->d_name);
		str_format(opposite, sizeof(opposite), "%s/%s", other, e->d_name);
		fn(path, opposite, e->d_type == DT_DIR);
	}
	if (d)
		closedir(d);
}

static void copy_entry(const char *path, const char *other, bool is_dir)
{
	if (!is_dir) {
		copy_file(path, other);
		return;
	}
	mkdir(other, 0750);
	each_entry(path, other, copy_entry);
}

static void remove_entry(const char *path, const char *other, bool is_dir)
{
	if (is_dir)
		each_entry(path, "", remove_entry);
	remove(path);
}

static void set_work(const char *name)
{
	str_format(work, sizeof(work), "%s/%s", top, name);
}

static void fresh_copy(void)
{
	char base[80];

	str_format(base, sizeof(base), "%s/base", top);
	set_work(work_name);
	remove_entry(work, "", true);
	copy_entry(base, work, true);
}

/* ---- the three processes --------------------------------------------------------------------- */

static void quiet(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, STDERR_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		abort();
	close(null);
}

static void prepare(const struct sequence *q, const struct fault *unused)
{
	struct fixture f;

	fixture_begin(&f);
	q->prepare(&f, report);
	if (f.spool)
		report->attempts = q->forgets ? 0 : count_rows(&f, "SELECT count(*) FROM attempts");
	if (q->crashed)
		fault_die();
	fixture_end(&f);
}

static void clock_and_types(struct fixture *f)
{
	*f = (struct fixture){.now = FIXTURE_NOW, .boot = 5000, .synchronised = true};
	log_set_level(LOG_LEVEL_ERROR);
	CHECK_INT(clock_new(&fixture_clock, f, &f->clock), 0);
	CHECK_INT(typeset_parse(fixture_types, strlen(fixture_types), &f->types, f->why, sizeof(f->why)), 0);
}

static int open_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 64; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* The sequence, with the fault; then, if it failed, once more. */
static void suffer(const struct sequence *q, const struct fault *fault)
{
	bool counting = fault->kind == FAULT_NONE;
	struct spool_counts counts;
	int64_t allocations;
	int descriptors, r, again = 0;
	struct fixture f;

	fflush(stdout);
	quiet();
	if (planted)
		setenv("PAGEFERRY_BUG", planted, 1);
	clock_and_types(&f);
	descriptors = open_descriptors();
	allocations = fault_allocations();
	if (!q->opens) {
		CHECK_INT(fixture_open_spool(&f, 0), 0);
		fixture_freeze(&f);
	}
	if (!q->opens)
		CHECK_INT(spool_counts(f.spool, &counts), 0); /* from now on they are kept in memory */
	if (q->ready)
		q->ready(&f, report);
	report->hit = true;
	fault_arm(fault, counting ? report->points : NULL, counting ? POINTS_MAX : 0);
	r = q->run(&f, report);
	report->count = fault_disarm();
	if (counting)
		for (int i = 0; i < STEP_COUNT; i++)
			report->steps[i] = fault_step_count((enum step)i);
	if (r < 0 && fault->dies)
		fault_die();
	if (f.spool)
		check_memory(&f, report);
	if (r < 0)
		again = q->run(&f, report);
	if (again < 0)
		problem(report, "failed (%s) and, tried again, once more: %s %s", errno_text(r), errno_text(again), f.why);
	if (counting && r < 0)
		problem(report, "failed without a fault: %s %s", errno_text(r), f.why);
	if (f.spool)
		check_memory(&f, report);
	spool_close(f.spool);
	if (open_descriptors() != descriptors)
		problem(report, "%d descriptors are left open", open_descriptors() - descriptors);
	if (fault_allocations() != allocations)
		problem(report, "%lld allocations are left", (long long)(fault_allocations() - allocations));
	typeset_free(f.types);
	clock_free(f.clock);
}

/* The next life. */
static void look(const struct sequence *q, const struct fault *unused)
{
	int64_t cursor = 0;
	struct fixture f;
	int r;

	clock_and_types(&f);
	if (fixture_open_spool(&f, 0) < 0) {
		problem(report, "the spool does not open: %s", f.why);
		return;
	}
	while ((r = spool_reconcile(f.spool)) > 0)
		;
	while (r >= 0 && (r = delivery_reconcile(f.spool, &cursor)) > 0)
		;
	while (r >= 0 && (r = delivery_run(f.spool, 64, NULL, NULL)) > 0)
		;
	if (r < 0)
		problem(report, "recovery fails: %s", errno_text(r));
	check_invariants(&f, report, q);
	if (q->verify)
		q->verify(&f, report);
	fixture_end(&f);
	check_by_fsck(report, q);
}

/* A life, and the next; true if all is well, else report->problem tells. */
static bool survives(const struct sequence *q, const struct fault *f)
{
	const struct fault none = {};

	report->problem[0] = 0;
	report->hit = report->acknowledged = false;
	report->number = 0;
	fresh_copy();
	in_child(suffer, q, f);
	in_child(look, q, &none);
	if (!report->hit)
		problem(report, "the sequence was not begun");
	return !report->problem[0];
}

/* ---- the faults ------------------------------------------------------------------------------ */

static const struct {
	enum fault_kind kind;
	int error;
	unsigned int needs; /* what the call must be able to suffer */
	enum {ALWAYS, QUICK, FULL} when; /* QUICK: one of those in FULL is the same at more calls */
	bool dies;
	const char *name;
} faults[] = {
	{FAULT_KILL, 0, FAULT_CAN_EROFS, QUICK, false, "killed before"},
	{FAULT_FAIL, EIO, FAULT_CAN_EIO, ALWAYS, false, "EIO"},
	{FAULT_FAIL, EIO, FAULT_CAN_EIO, ALWAYS, true, "EIO, and killed when told"},
	{FAULT_FAIL, ENOSPC, FAULT_CAN_ENOSPC, ALWAYS, false, "ENOSPC"},
	{FAULT_FAIL, ENOMEM, FAULT_CAN_ENOMEM, ALWAYS, false, "ENOMEM"},
	{FAULT_FAIL_LATE, EIO, FAULT_CAN_LATE, ALWAYS, false, "EIO, although it was done"},
	{FAULT_SHORT_FULL, 0, FAULT_CAN_SHORT, ALWAYS, false, "short, and then full"},
	{FAULT_KILL, 0, 0, FULL, false, "killed before, all calls"},
	{FAULT_KILL_AFTER, 0, 0, FULL, false, "killed after"},
	{FAULT_FAIL, EDQUOT, FAULT_CAN_EDQUOT, FULL, false, "EDQUOT"},
	{FAULT_FAIL, EROFS, FAULT_CAN_EROFS, FULL, false, "EROFS"},
	{FAULT_FAIL, EINTR, FAULT_CAN_EINTR, FULL, false, "EINTR"},
	{FAULT_SHORT, 0, FAULT_CAN_SHORT, FULL, false, "short"},
	{FAULT_FAIL_ON, EIO, FAULT_CAN_EIO | FAULT_CAN_LATE, QUICK, false, "EIO from a change on"},
	{FAULT_FAIL_ON, EIO, FAULT_CAN_EIO, FULL, false, "EIO from here on"},
	{FAULT_FAIL_ON, ENOSPC, FAULT_CAN_ENOSPC, FULL, false, "ENOSPC from here on"},
	{FAULT_FAIL_ON, EROFS, FAULT_CAN_EROFS, FULL, false, "EROFS from here on"},
	{FAULT_FAIL_ON, ENOMEM, FAULT_CAN_ENOMEM, ALWAYS, false, "ENOMEM from here on"},
};

static bool full(void)
{
	const char *v = getenv("FULL");

	return v && streq(v, "1");
}

static void not_ok(const char *fmt, ...) _printf_(1, 2);
static void not_ok(const char *fmt, ...)
{
	va_list ap;

	failed = true;
	printf("not ok ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

/* ---- a sequence ------------------------------------------------------------------------------ */

static bool make_base(const struct sequence *q)
{
	const struct fault none = {}, killed = {.kind = FAULT_KILL};

	memset(report, 0, sizeof(*report));
	set_work("base");
	remove_entry(work, "", true);
	mkdir(work, 0750);
	in_child(prepare, q, q->crashed ? &killed : &none);
	if (!report->problem[0] && survives(q, &none) && report->count > 0 && report->count <= POINTS_MAX)
		return true;
	not_ok("%s: %s (%lld points)", q->name, report->problem, (long long)report->count);
	return false;
}

static bool chosen(size_t i, int64_t number)
{
	const struct fault_point *p = &report->points[number];

	if ((p->can & faults[i].needs) != faults[i].needs)
		return false;
	/* Thousands where SQL is read, and for our code all are one failed call. */
	if (p->can == FAULT_CAN_ENOMEM && p->inner && number % INNER_EVERY != 0 && !full())
		return false;
	/* Of an allocation what matters is that it fails: a kill there leaves what a kill at the next call to storage leaves. */
	if (p->can == FAULT_CAN_ENOMEM && faults[i].kind != FAULT_FAIL && (!full() || faults[i].kind != FAULT_FAIL_ON))
		return false;
	return faults[i].when == ALWAYS || (faults[i].when == FULL) == full();
}

/* What the workers share: the next point that nobody has taken, and what was found. */
struct tally {
	int64_t next, bad, faults;
};

static void one_point(const struct sequence *q, int64_t p, struct tally *t)
{
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		const struct fault f = {.kind = faults[i].kind, .error = faults[i].error, .point = p, .dies = faults[i].dies};

		if (!chosen(i, p))
			continue;
		__atomic_add_fetch(&t->faults, 1, __ATOMIC_RELAXED);
		if (!survives(q, &f) && __atomic_fetch_add(&t->bad, 1, __ATOMIC_RELAXED) < SHOWN_MAX)
			not_ok("%s: call %lld, %s, %s: %s", q->name, (long long)p, report->points[p].call, faults[i].name, report->problem);
	}
}

static void *shared_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

/* A process with a report and a folder of its own. */
static pid_t start_worker(const struct sequence *q, int number, int64_t count, struct tally *t)
{
	struct report *own;
	int64_t p;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		abort();
	if (pid > 0)
		return pid;
	own = shared_memory(sizeof(*own));
	memcpy(own, report, sizeof(*own));
	report = own;
	str_format(work_name, sizeof(work_name), "work%d", number);
	while ((p = __atomic_fetch_add(&t->next, 1, __ATOMIC_RELAXED)) < count)
		one_point(q, p, t);
	exit(0); /* with the counters of a coverage build */
}

/* The base and its points are made. Returns how many faults were not survived. */
static int64_t every_fault(const struct sequence *q, int64_t count, int64_t *ret_faults)
{
	struct tally *t = shared_memory(sizeof(*t));
	pid_t pids[WORKERS_MAX];
	int64_t bad;
	int n = (int)MIN(MAX(sysconf(_SC_NPROCESSORS_ONLN), 1), WORKERS_MAX), status;

	for (int i = 0; i < n; i++)
		pids[i] = start_worker(q, i, count, t);
	for (int i = 0; i < n; i++)
		if (waitpid(pids[i], &status, 0) != pids[i] || status != 0)
			not_ok("%s: a worker ended with status %d", q->name, status);
	failed |= t->bad > 0;
	bad = t->bad;
	*ret_faults = t->faults;
	munmap(t, sizeof(*t));
	return bad;
}

/* The planted bug must show at a kill. */
static void catches(const struct sequence *q, const char *bug, int64_t count)
{
	planted = bug;
	for (int64_t p = 0; p < count; p++) {
		const struct fault f = {.kind = FAULT_KILL, .point = p};

		if (!(report->points[p].can & FAULT_CAN_EROFS) || survives(q, &f))
			continue;
		planted = NULL;
		printf("ok %s: catches %s: killed before call %lld, %s: %s\n", q->name, bug, (long long)p, report->points[p].call,
			report->problem);
		return;
	}
	planted = NULL;
	not_ok("%s: the planted bug %s is not caught", q->name, bug);
}

static void run_sequence(const struct sequence *q)
{
	int64_t count, n = 0, bad;

	if (!make_base(q))
		return;
	count = report->count;
	for (int i = 0; i < STEP_COUNT; i++)
		step_seen[i] |= report->steps[i] > 0;
	bad = every_fault(q, count, &n);
	if (bad > 0)
		not_ok("%s: %lld of %lld faults at %lld points", q->name, (long long)bad, (long long)n, (long long)count);
	else
		printf("ok %s: %lld points, %lld faults\n", q->name, (long long)count, (long long)n);
	all_points += count;
	all_faults += n;
	for (size_t i = 0; q->bugs[i]; i++)
		catches(q, q->bugs[i], count);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool owned(const char *step)
{
	static const struct {
		const char *start, *suites;
	} owners[] = {
#define OWNER(start, suites) {start, suites},
		STEP_OWNERS(OWNER)
#undef OWNER
	};

	for (size_t i = 0; i < ARRAY_SIZE(owners); i++)
		if (starts_with(step, owners[i].start))
			return strstr(owners[i].suites, "sequence");
	return false;
}

static void check_steps(void)
{
	int n = 0;

	for (int i = 0; i < STEP_COUNT; i++) {
		const char *name = fault_step_name((enum step)i);

		if (!owned(name))
			continue;
		n++;
		if (!step_seen[i])
			not_ok("no sequence reaches %s", name);
	}
	printf("ok %d steps belong to the sequences\n", n);
}

/* Names on the command line choose sequences. */
static bool wanted(const struct sequence *q, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (streq(argv[i], q->name))
			return true;
	return argc < 2;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	str_format(top, sizeof(top), "%s/pageferry-crash.XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	report = shared_memory(sizeof(*report));
	if (!mkdtemp(top))
		abort();
	sqlite3_initialize(); /* what stays allocated for good */
	tzset();
	printf("# a fault at every call\n"); /* the buffer is allocated here */
	for (size_t i = 0; sequences[i]; i++)
		if (wanted(sequences[i], argc, argv))
			run_sequence(sequences[i]);
	if (argc < 2)
		check_steps();
	printf("# %lld points, %lld faults: %s\n", (long long)all_points, (long long)all_faults,
		full() ? "every kind" : "kills where something changes, EIO, ENOSPC, ENOMEM (also from there on), errors of what was done, a disk that fills;"
			 " every 16th allocation where SQLite reads SQL");
	remove_entry(top, "", true);
	return failed;
}
