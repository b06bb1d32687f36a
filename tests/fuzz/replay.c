/* Feeds a fuzz target the files of its corpus, tests/fuzz/corpus/TARGET/: findings stay fixed without a fuzzer. */
#include <dirent.h>
#include <stdio.h>

#include "base/fileio.h"

#include <fcntl.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	char path[256];
	struct dirent *e;
	unsigned int n = 0;
	DIR *d;

	str_format(path, sizeof(path), "tests/fuzz/corpus/%s", name);
	d = opendir(path);
	if (!d) {
		printf("not ok %s: no corpus at %s\n", name, path);
		return 1;
	}
	while ((e = readdir(d))) {
		_cleanup_buf_ struct buf b = {};

		if (e->d_name[0] == '.' || file_read(dirfd(d), e->d_name, (size_t)16 << 20, &b) < 0)
			continue;
		LLVMFuzzerTestOneInput((const uint8_t *)buf_str(&b), b.len);
		n++;
	}
	closedir(d);
	printf("%s %s: %u inputs\n", n ? "ok" : "not ok", name, n);
	return n ? 0 : 1;
}
