/* sim day [NAME...]: days of day.c. sim [SEED...]: each seed is one world. Without one: N= worlds from SEED= on, of the environment, else those of make check. DAYS=
 * is how long the bad times last. */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/parse.h"

#define FIRST_OF_CHECK 3
#define SEEDS_OF_CHECK 6
#define DAYS_OF_CHECK  8
#define LIVES_MAX      4000

struct world *world;

/* splitmix64 */
static uint64_t next_random(void)
{
	uint64_t x = world->random += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

uint32_t sim_random(void)
{
	return (uint32_t)(next_random() >> 32);
}

int64_t sim_between(int64_t low, int64_t high)
{
	return low + (int64_t)(next_random() % (uint64_t)(high - low + 1));
}

bool sim_chance(int percent)
{
	return sim_between(0, 99) < percent;
}

/* Mostly short, at times long, `mean` on average. */
int64_t sim_around(int64_t mean)
{
	int64_t n = 1;

	while (sim_chance(50) && n < 16)
		n++;
	return 1 + sim_between(0, mean) * n;
}

void sim_log(const char *fmt, ...)
{
	char text[LOG_WIDTH - 40];
	int64_t s = world->t / 1000;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(world->log[world->log_next++ % LOG_LINES], LOG_WIDTH, "%3lldd %02lld:%02lld:%02lld.%03lld %s", (long long)(s / 86400),
		(long long)(s / 3600 % 24), (long long)(s / 60 % 60), (long long)(s % 60), (long long)(world->t % 1000), text);
	if (getenv("SIM_TRACE"))
		fprintf(stderr, "%s\n", world->log[(world->log_next - 1) % LOG_LINES]);
}

void __gcov_dump(void) __attribute__((weak));

void sim_exit(int how)
{
	if (__gcov_dump) /* counters of a coverage build: _exit() would lose them */
		__gcov_dump();
	_exit(how);
}

void sim_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(world->failure, sizeof(world->failure), fmt, ap);
	va_end(ap);
	world->failed = true;
	sim_exit(LIFE_FAILED);
}

/* What the service says becomes part of the log. */
static void log_sink(enum log_level level, const char *message_id, const struct log_field *fields, size_t n, const char *text)
{
	sim_log("  %s", text);
}

static void say_failure(void)
{
	for (uint32_t i = 0; i < LOG_LINES; i++) {
		const char *line = world->log[(world->log_next + i) % LOG_LINES];

		if (line[0])
			printf("# %s\n", line);
	}
	printf("# seed %llu, at %lld ms, life %d, boot %d: run it again with SEED=%llu\n", (unsigned long long)world->seed,
		(long long)world->t, world->lives, world->boots, (unsigned long long)world->seed);
}

/* One life in a child of its own. How it ended. */
static int live(const char *directory)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		log_set_sink(log_sink);
		log_set_level(LOG_LEVEL_INFO);
		sim_exit(life_run(directory));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return LIFE_FAILED;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	world->failed = true;
	snprintf(world->failure, sizeof(world->failure), "the life ended by signal %d", WTERMSIG(status));
	return LIFE_FAILED;
}

static void live_on(const char *directory)
{
	int how = LIFE_STOPPED;

	while (how != LIFE_DONE && how != LIFE_FAILED && world->lives < LIVES_MAX) {
		world->lives++;
		world->hour_lives++;
		how = live(directory);
		world->kills += how == LIFE_KILLED;
		if (how == LIFE_NO_START)
			world_wait_for_disk();
		world->kill_at_write = 0;
		world->final = world->calm; /* one life more, and that is not ended */
		world->t += sim_between(1000, 20000);
	}
	if (how == LIFE_DONE)
		return;
	world->failed = true;
	if (!world->failure[0])
		snprintf(world->failure, sizeof(world->failure), "life %d ended with %d", world->lives, how);
}

static uint64_t number(const char *text, uint64_t otherwise)
{
	uint64_t n;

	if (!text || !*text)
		return otherwise;
	if (parse_u64(text, 0, UINT64_MAX, &n) < 0) {
		fprintf(stderr, "sim: not a number: %s\n", text);
		exit(2);
	}
	return n;
}

static long long aged_out(void)
{
	long long n = 0;

	for (size_t i = 0; i < PAGES_MAX; i++)
		n += world->pages[i].gone;
	return n;
}

static bool simulate(uint64_t seed, int day, const char *base)
{
	char directory[PATH_SIZE], command[PATH_SIZE + 16];

	memset(world, 0, sizeof(*world));
	world->seed = world->random = seed;
	world->day = day;
	if (day)
		day_begin();
	else
		world_begin((int64_t)number(getenv("DAYS"), DAYS_OF_CHECK));
	if (str_format(directory, sizeof(directory), "%s/sim-XXXXXX", base) < 0 || !mkdtemp(directory))
		return false;
	live_on(directory);
	if (world->failed) {
		say_failure();
		printf("not ok seed_%llu: %s\n", (unsigned long long)seed, world->failure);
	} else {
		printf("# seed %llu: %.1f days, %lld pages, %d lives, %d kills, %d boots, %lld requests, %lld events, %lld aged out\n",
			(unsigned long long)seed, (double)world->t / DAY_MS, (long long)world->accepted, world->lives, world->kills,
			world->boots, (long long)world->n_served, (long long)world->events, aged_out());
		printf("ok seed_%llu\n", (unsigned long long)seed);
	}
	fflush(stdout);
	str_format(command, sizeof(command), "rm -rf %s", directory);
	if (!getenv("SIM_KEEP") && system(command) != 0)
		return false;
	return !world->failed;
}

static bool simulate_days(char **names, const char *base)
{
	bool good = true;

	for (int i = 1; !*names && day_name(i); i++)
		good &= simulate(number(getenv("SEED"), 1), i, base);
	for (; *names; names++) {
		int day = day_find(*names);

		if (day < 0)
			fprintf(stderr, "sim: no such day: %s\n", *names);
		good &= day > 0 && simulate(number(getenv("SEED"), 1), day, base);
	}
	return good;
}

int main(int argc, char **argv)
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	uint64_t first = number(getenv("SEED"), FIRST_OF_CHECK), n = number(getenv("N"), number(getenv("SEED"), 0) ? 1 : SEEDS_OF_CHECK);
	bool good = true;

	world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (world == MAP_FAILED) {
		fprintf(stderr, "sim: no memory\n");
		return 2;
	}
	if (argc > 1 && streq(argv[1], "day"))
		return simulate_days(argv + 2, base) ? 0 : 1;
	for (int i = 1; i < argc; i++)
		good &= simulate(number(argv[i], 0), 0, base);
	for (uint64_t i = 0; argc < 2 && i < n; i++)
		good &= simulate(first + i, 0, base);
	return good ? 0 : 1;
}
