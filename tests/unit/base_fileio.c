#include "tests/unit/test.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fileio.h"

static int tmp(void)
{
	int fd = open(test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CHECK(fd >= 0);
	return fd;
}

static void put(int dir, const char *name, const char *text)
{
	test_write(dir, name, text, 0644);
}

static void check_content(int dir, const char *name, const char *want)
{
	_cleanup_buf_ struct buf b = {};

	CHECK_INT(file_read(dir, name, 1000, &b), 0);
	CHECK_STR(buf_str(&b), want);
}

static bool exists(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

TEST(read_whole_files)
{
	_cleanup_close_ int d = tmp();
	_cleanup_buf_ struct buf b = {};

	put(d, "f", "12345");
	CHECK_INT(file_read(d, "f", 5, &b), 0);
	CHECK_STR(buf_str(&b), "12345");
	CHECK_INT(b.max, 0);
	CHECK_INT(file_read(d, "f", 4, &b), -EFBIG);
	CHECK_STR(buf_str(&b), "12345"); /* untouched by errors */
	put(d, "empty", "");
	CHECK_INT(file_read(d, "empty", 0, &b), 0);
	CHECK_INT(b.len, 0);
	CHECK_INT(file_read(d, "none", 10, &b), -ENOENT);
}

TEST(read_files_without_a_size)
{
	_cleanup_buf_ struct buf b = {};

	CHECK_INT(file_read(AT_FDCWD, "/proc/self/maps", 1 << 20, &b), 0); /* st_size is 0 */
	CHECK(b.len > 100);
	CHECK_INT(file_read(AT_FDCWD, "/proc/self/maps", 10, &b), -EFBIG);
}

TEST(read_only_what_is_a_file)
{
	_cleanup_close_ int d = tmp();
	_cleanup_buf_ struct buf b = {};

	put(d, "f", "x");
	CHECK_INT(symlinkat("f", d, "link"), 0);
	CHECK_INT(file_read(d, "link", 10, &b), -ELOOP);
	CHECK_INT(mkfifoat(d, "pipe", 0600), 0);
	CHECK_INT(file_read(d, "pipe", 10, &b), -EINVAL); /* and does not wait for a writer */
	CHECK_INT(file_read(d, ".", 10, &b), -EISDIR);
	CHECK_INT(file_read(AT_FDCWD, "/dev/zero", 10, &b), -EINVAL);
}

TEST(large_file)
{
	_cleanup_close_ int d = tmp();
	_cleanup_buf_ struct buf b = {};
	_cleanup_free_ char *data = malloc(300000);
	_cleanup_close_ int fd = openat(d, "big", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	for (int i = 0; i < 300000; i++)
		data[i] = (char)(i * 7);
	CHECK_INT(write_all(fd, data, 300000), 0);
	CHECK_INT(file_read(d, "big", 300000, &b), 0);
	CHECK(b.len == 300000 && memcmp(b.data, data, 300000) == 0);
}

TEST(names_with_folders)
{
	_cleanup_close_ int d = tmp();
	char path[128];

	CHECK_INT(mkdirat(d, "sub", 0755), 0);
	put(d, "sub/f", "x");
	CHECK(exists(d, "sub/f"));
	CHECK_INT(rename_durable(d, "sub/f", d, "g"), 0);
	check_content(d, "g", "x");
	str_format(path, sizeof(path), "%s/h", test_tmpdir());
	put(AT_FDCWD, path, "y");
	check_content(d, "h", "y");
}

TEST(rename_never_replaces)
{
	_cleanup_close_ int d = tmp(), sub = dir_open(d, "sub", 0755);

	put(d, "a", "A");
	put(sub, "b", "B");
	CHECK_INT(rename_durable(d, "a", sub, "b"), -EEXIST);
	check_content(d, "a", "A");
	check_content(sub, "b", "B");
	CHECK_INT(rename_durable(d, "a", sub, "c"), 0);
	CHECK(!exists(d, "a"));
	check_content(sub, "c", "A");
	CHECK_INT(replace_durable(sub, "c", sub, "b"), 0);
	check_content(sub, "b", "A");
	CHECK_INT(rename_durable(d, "none", sub, "d"), -ENOENT);
	CHECK_INT(replace_durable(d, "none", sub, "d"), -ENOENT);
}

TEST(unlink_twice)
{
	_cleanup_close_ int d = tmp();

	put(d, "f", "x");
	CHECK_INT(unlink_durable(d, "f"), 0);
	CHECK(!exists(d, "f"));
	CHECK_INT(unlink_durable(d, "f"), 0);
	CHECK_INT(unlink_durable(d, "no/f"), -ENOENT);
}

TEST(folders)
{
	_cleanup_close_ int d = tmp(), a = dir_open(d, "a", 0750), again = dir_open(d, "a", 0750);
	struct stat st;

	CHECK(a >= 0 && again >= 0);
	CHECK(fstat(a, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 027) == 0);
	CHECK(fcntl(a, F_GETFD) & FD_CLOEXEC);
	put(d, "file", "x");
	CHECK_INT(dir_open(d, "file", 0750), -ENOTDIR);
	CHECK_INT(symlinkat("a", d, "link"), 0);
	CHECK_INT(dir_open(d, "link", 0750), -ENOTDIR);
	CHECK_INT(dir_open(d, "x/y", 0750), -ENOENT);
	CHECK_INT(fsync_dir(a), 0);
	CHECK_INT(fsync_dir(AT_FDCWD), 0);
	CHECK_INT(fsync_retry(-1), -EBADF);
}

TEST(pipes)
{
	int p[2];
	char b[8];

	CHECK_INT(pipe(p), 0);
	CHECK_INT(write_all(p[1], "abc", 3), 0);
	close(p[1]);
	CHECK_INT(read_full(p[0], b, sizeof(b)), 3);
	CHECK_INT(read_full(p[0], b, sizeof(b)), 0);
	close(p[0]);
	CHECK_INT(read_full(p[0], b, 1), -EBADF);
	CHECK_INT(write_all(p[1], "x", 1), -EBADF);
}

TEST(nonblocking)
{
	int s[2];
	char c;

	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	CHECK_INT(fd_nonblock(s[0], true), 0);
	CHECK(fcntl(s[0], F_GETFD) & FD_CLOEXEC);
	CHECK_INT(read_full(s[0], &c, 1), -EAGAIN);
	CHECK_INT(fd_nonblock(s[0], false), 0);
	CHECK(!(fcntl(s[0], F_GETFL) & O_NONBLOCK));
	close(s[0]);
	close(s[1]);
	CHECK_INT(fd_nonblock(s[0], true), -EBADF);
}
