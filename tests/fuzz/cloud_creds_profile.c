/* The shared files: up to the first NUL the config file, behind it the credentials file. The profile that is wanted leads to keys, to a step
 * that can be done, or to a reason. */
#include <sys/mman.h>
#include <unistd.h>

#include "base/fileio.h"
#include "cloud/creds_shared.h"
#include "cloud/creds_source.h"

static void judge(const struct creds_step *s)
{
	switch (s->action) {
	case CREDS_HAVE:
		if (!s->creds.access_key[0] || !s->creds.secret_key[0] || !s->local)
			abort();
		return;
	case CREDS_FAILED:
		if (!s->reason[0] || !s->message[0])
			abort();
		return;
	case CREDS_RUN:
		if (!s->argv[0] || s->argv[0][0] != '/')
			abort();
		return;
	case CREDS_SEND:
		/* of the machine itself, or STS where the configuration says */
		if (!s->request.url || (s->sink == GUARD_STS && strcmp(s->request.url, "https://sts.ap-southeast-2.amazonaws.com/") != 0))
			abort();
		return;
	case CREDS_ASK:
		abort();
	}
}

/* As a path; the descriptor in *ret_fd. */
static int make_file(const uint8_t *data, size_t size, char *path, size_t path_size, int *ret_fd)
{
	_cleanup_close_ int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || write_all(fd, data, size) < 0)
		return -EIO;
	str_format(path, path_size, "/proc/self/fd/%d", fd);
	*ret_fd = take_fd(&fd);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
	size_t first = nul ? (size_t)(nul - data) : size;
	struct creds_config c = {.kind = CREDS_PROFILE, .region = "ap-southeast-2", .endpoint = "https://sts.ap-southeast-2.amazonaws.com/",
		.profile = "a", .timeout_ms = 1000};
	_cleanup_close_ int config = -1, credentials = -1;
	struct creds_source *s = NULL;
	struct creds_step step = {};

	if (make_file(data, first, c.config_file, sizeof(c.config_file), &config) < 0 ||
		make_file(nul ? nul + 1 : data, nul ? size - first - 1 : 0, c.file, sizeof(c.file), &credentials) < 0)
		return 0;
	if (creds_source_new(&c, &s) < 0)
		return 0;
	if (creds_source_next(s, &(struct creds_input){.now_ms = INT64_C(1795219200000), .signing_s = 1795219200}, &step) >= 0)
		judge(&step);
	creds_step_clear(&step);
	creds_source_free(s);
	return 0;
}
