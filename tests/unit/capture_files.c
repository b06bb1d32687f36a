/* By hand: pages from a folder into files. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "tests/unit/capture_make.h"

static const struct source_options no_controls = {.controls = "", .limits = {120000000, 96 << 20}};

static void put_file(int dirfd, const char *name, const void *data, size_t len)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	CHECK_INT(write_all(fd, data, len), 0);
	close(fd);
}

static unsigned int count_entries(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fdopendir(fd);
	unsigned int n = 0;

	CHECK(d);
	for (struct dirent *e; (e = readdir(d));)
		n += !streq(e->d_name, ".") && !streq(e->d_name, "..");
	closedir(d);
	return n;
}

static void check_page(int dirfd, const char *name, uint32_t w)
{
	_cleanup_buf_ struct buf b = {};
	_cleanup_pic_ struct pic p = {};

	CHECK_INT(file_read(dirfd, name, (size_t)16 << 20, &b), 0);
	p = read_jpeg(&b, NULL, NULL);
	CHECK_INT(p.w, w);
}

TEST(good_pages_appear_and_bad_ones_leave_nothing)
{
	const char *tmp = test_tmpdir();
	char in_path[256], out_path[256], source[300];
	_cleanup_close_ int in = -1, out = -1;
	_cleanup_pic_ struct pic page = pic_page(1500, 1500, 3), small = pic_page(50, 40, 3);
	_cleanup_buf_ struct buf large = {}, jpeg = {}, png = {};
	struct convert_options o = CONVERT_OPTIONS_DEFAULT;
	struct run_counts counts;
	struct emit *e = NULL;

	o.quality = 97;
	str_format(in_path, sizeof(in_path), "%s/in", tmp);
	str_format(out_path, sizeof(out_path), "%s/out", tmp);
	str_format(source, sizeof(source), "replay:%s", in_path);
	in = dir_open(AT_FDCWD, in_path, 0700);
	out = dir_open(AT_FDCWD, out_path, 0700);
	CHECK(in >= 0 && out >= 0);
	make_jpeg(&page, (struct jpeg_make){.quality = 97}, &large);
	make_jpeg(&small, (struct jpeg_make){}, &jpeg);
	make_png(
		small.w, small.h, 8, PNG_COLOR_TYPE_RGB, false, small.px, (size_t)small.w * 3, NULL, 0, &png);
	put_file(in, "a.jpg", jpeg.data, jpeg.len);
	put_file(in, "a.png", png.data, png.len);
	put_file(in, "b.jpg", large.data, large.len - 500); /* its file was begun when the damage is found */
	put_file(in, "c.jpg", "", 0);
	put_file(in, "d.jpg", large.data, large.len);
	CHECK_INT(emit_files_new(out, NULL, &e), 0);
	CHECK_INT(run_source(source, &no_controls, &o, NULL, e, &counts), 0);
	emit_free(e);
	CHECK_INT(counts.pages, 3);
	CHECK_INT(counts.rejected, 2);
	CHECK(!counts.failed);
	CHECK_INT(count_entries(out), 3);
	check_page(out, "a.jpg", 50);
	check_page(out, "a.png.jpg", 50);
	check_page(out, "d.jpg", 1500);
}

/* A second run replaces whole files. */
TEST(one_page_under_a_given_name)
{
	_cleanup_close_ int dir = dir_open(AT_FDCWD, test_tmpdir(), 0700);
	_cleanup_pic_ struct pic page = pic_page(90, 60, 3);
	_cleanup_buf_ struct buf jpeg = {};
	struct convert_options o = CONVERT_OPTIONS_DEFAULT;

	make_jpeg(&page, (struct jpeg_make){}, &jpeg);
	for (uint32_t side = 80; side >= 40; side -= 40) {
		struct run_counts counts;
		struct emit *e = NULL;
		struct input in;

		o.max_side = side;
		input_from_memory(&in, jpeg.data, jpeg.len);
		CHECK_INT(emit_files_new(dir, "result.jpg", &e), 0);
		CHECK_INT(run_input(&in, "whatever.jpg", &o, e, &counts), 0);
		emit_free(e);
		CHECK_INT(count_entries(dir), 1);
		check_page(dir, "result.jpg", side);
	}
}

TEST(only_files_are_replaced)
{
	_cleanup_close_ int dir = dir_open(AT_FDCWD, test_tmpdir(), 0700);
	_cleanup_pic_ struct pic page = pic_page(90, 60, 3);
	_cleanup_buf_ struct buf jpeg = {};
	struct convert_options o = CONVERT_OPTIONS_DEFAULT;
	static const struct {
		const char *name;
		int error;
	} taken[] = {{"link", -EEXIST}, {"folder", -EISDIR}, {"fifo", -EEXIST}};

	make_jpeg(&page, (struct jpeg_make){}, &jpeg);
	CHECK(symlinkat("elsewhere", dir, "link") == 0 && mkdirat(dir, "folder", 0700) == 0 &&
		mkfifoat(dir, "fifo", 0600) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
		struct run_counts counts;
		struct emit *e = NULL;
		struct input in;

		input_from_memory(&in, jpeg.data, jpeg.len);
		CHECK_INT(emit_files_new(dir, taken[i].name, &e), 0);
		CHECK_INT(run_input(&in, "page", &o, e, &counts), taken[i].error);
		emit_free(e);
		CHECK_INT(count_entries(dir), ARRAY_SIZE(taken));
	}
}

TEST(sources_that_are_not_there)
{
	static const char *const names[] = {
		"replay:/nonexistent", "replay:", "nothing", ":", "", "v4l2:/dev/null", "v4l2:"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct page_source *s = NULL;
		struct reject why = {};

		CHECK_INT(source_open(names[i], &no_controls, &s, &why), -EBADMSG);
		CHECK(why.message[0]);
	}
}

TEST(an_empty_folder_says_so)
{
	struct page_source *s = NULL;
	struct reject why = {};
	char source[300];

	str_format(source, sizeof(source), "replay:%s", test_tmpdir());
	CHECK_INT(source_open(source, &no_controls, &s, &why), -EBADMSG);
	CHECK_STR(reject_name(why.reason), "empty");
}

/* Raw frames say by their names what they are; what does not fit its name is no page. */
TEST(raw_frames_by_their_names)
{
	const char *tmp = test_tmpdir();
	static const uint8_t frame[64 * 32 * 3] = {};
	char out_path[256], source[300];
	_cleanup_close_ int in = dir_open(AT_FDCWD, tmp, 0700), out = -1;
	struct convert_options o = CONVERT_OPTIONS_DEFAULT;
	struct run_counts counts;
	struct emit *e = NULL;

	str_format(out_path, sizeof(out_path), "%s/out", tmp);
	str_format(source, sizeof(source), "replay:%s", tmp);
	out = dir_open(AT_FDCWD, out_path, 0700);
	put_file(in, "a-64x32.nv12", frame, 64 * 32 * 3 / 2);
	put_file(in, "b-b-64x32-full-709.YUYV", frame, 64 * 32 * 2);
	put_file(in, "c-64x32-limited.rgb3", frame, 64 * 32 * 3);
	put_file(in, "d-64x32.nv12", frame, 64 * 32);         /* short */
	put_file(in, "e-64x32.nv12", frame, 64 * 32 * 3 / 2 + 1); /* of another geometry */
	put_file(in, "f.nv12", frame, 64 * 32 * 3 / 2);
	put_file(in, "g-64x0.grey", frame, 64);
	put_file(in, "h-99999x64.grey", frame, 64);
	put_file(in, "i-64x33.nv12", frame, 64 * 33 * 3 / 2);
	put_file(in, "j-64x32.grey", "", 0);
	put_file(in, "k-64x32-odd.grey", frame, 64 * 32);
	put_file(in, "l-64x32.unknown", frame, 64 * 32);
	put_file(in, "m.pgm", "P5\n2 2\n255\n1234", 15);
	CHECK_INT(emit_files_new(out, NULL, &e), 0);
	CHECK_INT(run_source(source, &no_controls, &o, NULL, e, &counts), 0);
	emit_free(e);
	CHECK_INT(counts.pages, 4);
	CHECK_INT(counts.rejected, 8);
	CHECK_INT(count_entries(out), 4);
	check_page(out, "a-64x32.nv12.jpg", 64);
	check_page(out, "c-64x32-limited.rgb3.jpg", 64);
	check_page(out, "m.pgm.jpg", 2);
}

/* A raw frame beyond MaxPixels= is not read, to be a page or to be watched: there are no bytes in this one. */
TEST(raw_frames_beyond_the_limit_are_not_read)
{
	struct source_options o = SOURCE_OPTIONS_DEFAULT;
	struct page_item item = {};
	struct page_source *s = NULL;
	struct reject why = {};
	char path[300], source[320];
	struct glance look;
	int fd;

	str_format(path, sizeof(path), "%s/page-64x48.grey", test_tmpdir());
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	close(fd);
	str_format(source, sizeof(source), "replay:%s", path);
	o.limits.max_pixels = 64 * 48 - 1;
	CHECK_INT(source_open(source, &o, &s, &why), 0);
	CHECK_INT(s->ops->next(s, &item, &why), -EBADMSG);
	CHECK_STR(reject_name(why.reason), "too-large");
	s->ops->again(s);
	CHECK_INT(s->ops->glance(s, &look, &why), -EBADMSG);
	CHECK_STR(reject_name(why.reason), "too-large");
	source_close(s);
}
