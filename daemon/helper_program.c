#include "daemon/helper_program.h"

#define CAPTURE_PROGRAM "pageferry-capture"
#define CAPTURE_SOCKET  "/run/pageferry/capture"

int helper_capture(const struct service *s, char program[HELPER_PROGRAM_SIZE], struct helper_options *ret)
{
	int r = str_format(program, HELPER_PROGRAM_SIZE, "%s/%s", s->config.helpers, CAPTURE_PROGRAM);

	*ret = (struct helper_options){.name = "capture", .timeout_ms = s->config.helper_timeout_ms};
	if (s->config.socket_helpers)
		ret->socket = CAPTURE_SOCKET;
	else
		ret->program = program;
	return r;
}
