#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/text.h"
#include "capture/helper.h"
#include "capture/run.h"

#define THUMBNAIL_SIDE 256

enum { EXIT_OK, EXIT_REJECTED, EXIT_USAGE, EXIT_FAILED };

static const char usage_text[] =
	"Usage: pageferry-capture --source SOURCE --out DIR [OPTIONS]\n"
	"       pageferry-capture transcode [OPTIONS] IN OUT\n"
	"       pageferry-capture thumbnail [OPTIONS] IN OUT\n"
	"       pageferry-capture\n"
	"\n"
	"Takes page images, makes them at most 2048 pixels long, upright, and writes them as JPEG. Without "
	"arguments it is\n"
	"pageferryd's helper: it reads one request frame from standard input and answers with frames on "
	"standard output.\n"
	"\n"
	"  --source SOURCE     v4l2:DEVICE       a camera, best by its path below /dev/v4l/by-id\n"
	"                      v4l2:auto         the first capture device there is; either with ,format=NAME\n"
	"                                        and ,size=WIDTHxHEIGHT for other than its best\n"
	"                      replay:PATH       a JPEG, PNG or PNM file, a raw frame (its name tells what it is, as\n"
	"                                        page-3840x2160.nv12 does), or a folder of them in the order of "
	"their names\n"
	"  --control NAME=VALUE  a control of the camera, as v4l2-ctl names it; may be given several times\n"
	"  --out DIR           where the pages go (made if missing)\n"
	"  transcode IN OUT    one page, smaller or cropped\n"
	"  thumbnail IN OUT    one page at 256 pixels\n"
	"\n"
	"  --max-side N        longest side of the result, 16 to 16384 pixels (default 2048; thumbnail 256); "
	"never made larger\n"
	"  --quality N         JPEG quality, 1 to 100 (default 85)\n"
	"  --crop X,Y,W,H      transcode: this part only, in pixels of the upright page\n"
	"  --rotate N          exif (default), or degrees clockwise on top of that: 0, 90, 180, 270\n"
	"  --square yes|no     crop to the page's four edges, or lay its lines level, where that is certain (default "
	"no)\n"
	"  --max-pixels N      pages of more pixels are rejected (default 120000000)\n"
	"  --flatten yes|no    even out the light and take away the paper's tint (default no)\n"
	"  --contrast yes|no   stretch faint ink towards black (default no)\n"
	"  --sense WORDS       look at the page, with commas: gate (blurred, glare, cut off, nothing there), "
	"blank, hash; default none\n"
	"  --help, --version\n"
	"\n"
	"Exit status: 0 all pages were written, 1 some page was rejected, 2 usage, 3 the source or the "
	"output failed.\n";

struct cmdline {
	const char *source, *out;
	char controls[SOURCE_CONTROLS_SIZE];
	bool max_side_given;
	struct convert_options convert;
};

/* A word of the command line as it may be shown: a shell's * takes names of files as they are. */
#define SHOWN(word) text_safe_copy((char[256]){}, 256, word)

/* ---- options ------------------------------------------------------------------------------------- */
static int set_source(struct cmdline *c, const char *v)
{
	c->source = v;
	return 0;
}

/* May be given several times. */
static int add_control(struct cmdline *c, const char *v)
{
	size_t len = strlen(c->controls);

	if (!strchr(v, '=') || strpbrk(v, " ,\t\r\n"))
		return -EINVAL;
	return str_format(c->controls + len, sizeof(c->controls) - len, "%s ", v);
}

static void say_notice(void *ud, const char *control, const char *problem)
{
	log_warning("--control %s: %s", SHOWN(control), problem);
}

static int set_out(struct cmdline *c, const char *v)
{
	c->out = v;
	return 0;
}

static int set_max_side(struct cmdline *c, const char *v)
{
	int64_t n;
	int r = parse_i64(v, MAX_SIDE_MIN, MAX_SIDE_MAX, &n);

	if (r < 0)
		return r;
	c->convert.max_side = (uint32_t)n;
	c->max_side_given = true;
	return 0;
}

static int set_quality(struct cmdline *c, const char *v)
{
	int64_t n;
	int r = parse_i64(v, 1, 100, &n);

	if (r < 0)
		return r;
	c->convert.quality = (int)n;
	return 0;
}

static int set_crop(struct cmdline *c, const char *v)
{
	uint32_t part[4];
	char word[16];

	for (size_t i = 0; i < ARRAY_SIZE(part); i++) {
		int64_t n;

		if (parse_word(&v, word, sizeof(word)) != 1 || parse_i64(word, 0, IMAGE_SIDE_MAX, &n) < 0)
			return -EINVAL;
		part[i] = (uint32_t)n;
	}
	if (parse_word(&v, word, sizeof(word)) != 0)
		return -EINVAL;
	c->convert.crop = (struct orient_rect){part[0], part[1], part[2], part[3]};
	c->convert.has_crop = true;
	return 0;
}

static int set_rotate(struct cmdline *c, const char *v)
{
	int64_t n = 0;

	if (!streq(v, "exif") && (parse_i64(v, 0, 270, &n) < 0 || n % 90))
		return -EINVAL;
	c->convert.rotate = (unsigned int)n / 90;
	return 0;
}

static int set_square(struct cmdline *c, const char *v)
{
	return parse_bool(v, &c->convert.square);
}

static int set_flatten(struct cmdline *c, const char *v)
{
	return parse_bool(v, &c->convert.flatten.flatten);
}

static int set_contrast(struct cmdline *c, const char *v)
{
	return parse_bool(v, &c->convert.flatten.contrast);
}

static int set_sense(struct cmdline *c, const char *v)
{
	return sense_parse(v, &c->convert.sense);
}

static int set_max_pixels(struct cmdline *c, const char *v)
{
	return parse_u64(v, 1, UINT32_MAX, &c->convert.limits.max_pixels);
}

static const struct {
	const char *name;
	int (*set)(struct cmdline *c, const char *value);
	const char *expected;
} options[] = {
	{"source", set_source, "a source"},
	{"control", add_control, "NAME=VALUE, the name as the camera has it"},
	{"out", set_out, "a folder"},
	{"max-side", set_max_side, "a number from 16 to 16384"},
	{"quality", set_quality, "a number from 1 to 100"},
	{"crop", set_crop, "X,Y,W,H in pixels"},
	{"rotate", set_rotate, "exif, 0, 90, 180 or 270"},
	{"square", set_square, "yes or no"},
	{"flatten", set_flatten, "yes or no"},
	{"contrast", set_contrast, "yes or no"},
	{"max-pixels", set_max_pixels, "a number of pixels"},
	{"sense", set_sense, "words with commas: gate, blank, hash; or none"},
};

enum { OPT_HELP = 256, OPT_VERSION };

/* -1: go on; else the exit status. */
static int parse_options(int argc, char **argv, struct cmdline *c)
{
	struct option table[ARRAY_SIZE(options) + 3] = {};
	int opt;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		table[i] = (struct option){options[i].name, required_argument, NULL, (int)i};
	table[ARRAY_SIZE(options)] = (struct option){"help", no_argument, NULL, OPT_HELP};
	table[ARRAY_SIZE(options) + 1] = (struct option){"version", no_argument, NULL, OPT_VERSION};
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "", table, NULL)) >= 0) {
		if (opt == OPT_HELP)
			return fputs(usage_text, stdout) < 0 ? EXIT_FAILED : EXIT_OK;
		if (opt == OPT_VERSION)
			return puts("pageferry-capture " PAGEFERRY_VERSION) < 0 ? EXIT_FAILED : EXIT_OK;
		if (opt == '?' || (size_t)opt >= ARRAY_SIZE(options)) {
			log_error("\"%s\": no such option, or its value is missing; see --help",
				SHOWN(argv[optind - 1]));
			return EXIT_USAGE;
		}
		if (options[opt].set(c, optarg) < 0) {
			log_error("--%s: \"%s\" is not %s", options[opt].name, SHOWN(optarg),
				options[opt].expected);
			return EXIT_USAGE;
		}
	}
	return -1;
}

/* ---- by hand ------------------------------------------------------------------------------------- */
static int outcome(int r, const struct run_counts *counts)
{
	if (r < 0 || counts->failed)
		return EXIT_FAILED;
	return counts->rejected ? EXIT_REJECTED : EXIT_OK;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Writing pages over the pages they come from would lose them. */
static bool is_same(const struct stat *a, int dirfd, const char *name)
{
	struct stat b;

	return fstatat(dirfd, name, &b, 0) == 0 && a->st_dev == b.st_dev && a->st_ino == b.st_ino;
}

static bool over_source(const char *source, int dirfd)
{
	const char *where = source + strlen("replay:");
	struct stat st;

	if (!starts_with(source, "replay:") || stat(where, &st) < 0)
		return false;
	return is_same(&st, dirfd, S_ISDIR(st.st_mode) ? "." : base_name(where));
}

static int do_scan(struct cmdline *c)
{
	const struct source_options so = {.controls = c->controls, .notice = say_notice, .limits = c->convert.limits};
	_cleanup_close_ int dirfd = -1;
	struct run_counts counts = {};
	struct emit *e = NULL;
	int r;

	if (!c->source || !c->out) {
		log_error("--source and --out are both needed; see --help");
		return EXIT_USAGE;
	}
	dirfd = dir_open(AT_FDCWD, c->out, 0777);
	if (dirfd < 0) {
		log_error("--out: cannot open the folder \"%s\": %s", SHOWN(c->out), errno_text(dirfd));
		return EXIT_FAILED;
	}
	if (over_source(c->source, dirfd)) {
		log_error("--out: %s is where the pages come from; choose another folder", SHOWN(c->out));
		return EXIT_USAGE;
	}
	r = emit_files_new(dirfd, NULL, &e);
	if (r >= 0)
		r = run_source(c->source, &so, &c->convert, NULL, e, &counts);
	emit_free(e);
	return outcome(r, &counts);
}

static int open_parent(const char *path, char *folder, size_t size, const char **base)
{
	int fd;

	*base = base_name(path);
	if (!**base || str_format(folder, size, "%.*s", (int)(*base - path), path) < 0)
		return -EINVAL;
	if (!*folder)
		str_copy(folder, size, ".");
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int convert_file(struct cmdline *c, int fd, const char *in_name, int dirfd, const char *out_name)
{
	_cleanup_(input_close) struct input in = {.fd = -1};
	struct run_counts counts = {};
	struct emit *e = NULL;
	int r = input_from_file(&in, fd);

	if (r >= 0)
		r = emit_files_new(dirfd, out_name, &e);
	if (r >= 0)
		r = run_input(&in, in_name, &c->convert, e, &counts);
	emit_free(e);
	return outcome(r, &counts);
}

static int do_transcode(struct cmdline *c, const char *in, const char *out)
{
	/* O_NONBLOCK: a FIFO must not hold us up before we know what it is. */
	_cleanup_close_ int fd = open(in, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), dirfd = -1;
	char folder[4096];
	const char *base;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		log_error("cannot open %s: %s", SHOWN(in), errno_text(-errno));
		return EXIT_FAILED;
	}
	if (!S_ISREG(st.st_mode)) {
		log_error("cannot read %s: it is not a regular file", SHOWN(in));
		return EXIT_FAILED;
	}
	dirfd = open_parent(out, folder, sizeof(folder), &base);
	if (dirfd < 0) {
		log_error("cannot write \"%s\": %s", SHOWN(out),
			dirfd == -EINVAL ? "expected the name of a file" : errno_text(dirfd));
		return EXIT_FAILED;
	}
	if (is_same(&st, dirfd, base)) {
		log_error("IN and OUT are the same file, %s; choose another name", SHOWN(out));
		return EXIT_USAGE;
	}
	return convert_file(c, fd, in, dirfd, base);
}

static int by_hand(int argc, char **argv, struct cmdline *c)
{
	const char *verb = argc > 0 ? argv[0] : NULL;

	if (!verb)
		return do_scan(c);
	if (!streq(verb, "transcode") && !streq(verb, "thumbnail")) {
		log_error("\"%s\" is not a verb; expected transcode or thumbnail, or --source and --out",
			SHOWN(verb));
		return EXIT_USAGE;
	}
	if (argc != 3) {
		log_error("%s takes two file names, IN and OUT; see --help", verb);
		return EXIT_USAGE;
	}
	if (streq(verb, "thumbnail") && !c->max_side_given)
		c->convert.max_side = THUMBNAIL_SIDE;
	return do_transcode(c, argv[1], argv[2]);
}

int main(int argc, char **argv)
{
	struct cmdline c = {.convert = CONVERT_OPTIONS_DEFAULT};
	const struct rlimit none = {0, 0};
	int r;

	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_CORE, &none); /* pages do not belong in core dumps */
	if (argc <= 1)
		return helper_main(STDIN_FILENO, STDOUT_FILENO) < 0 ? EXIT_FAILED : EXIT_OK;
	r = parse_options(argc, argv, &c);
	return r >= 0 ? r : by_hand(argc - optind, argv + optind, &c);
}
