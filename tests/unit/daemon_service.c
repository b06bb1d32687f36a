/* The whole service in this process, without a board, a network or a page to send. */
#include <signal.h>

#include "daemon/config.h"
#include "daemon/service.h"
#include "tests/unit/daemon_fixture.h"

#define STOP_TIMEOUT_MS 60000

static struct service *service_new(char *why, size_t why_size)
{
	struct service *s = calloc(1, sizeof(*s));
	_cleanup_buf_ struct buf errors = {0}, text = {0};
	sigset_t blocked;
	char *types = realpath("configs/documents", NULL);
	const char *folder = test_tmpdir();
	int r;

	CHECK(s && types);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGHUP);
	sigaddset(&blocked, SIGCHLD);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	log_set_level(LOG_LEVEL_ERROR);
	r = buf_addf(&text,
		"[Service]\nControlSocket=%s/control\nDocuments=%s\nDocumentsLocal=%s/none\nPrices=%s/none\nHelpers=%s\n"
		"StopTimeout=%ds\n[Spool]\nDirectory=%s\nFreeFloor=0\nInodeFloor=0\n",
		folder, types, folder, folder, folder, STOP_TIMEOUT_MS / 1000, folder);
	free(types);
	CHECK_INT(r, 0);
	test_write(AT_FDCWD, "", buf_str(&text), 0);
	(void)why;
	(void)why_size;
	return s;
}
