/* Bytes as a client of the control socket sends them: cut into messages, read as calls, answered. */
#include "base/text.h"
#include "daemon/varlink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(const struct varlink_call *call)
{
	_cleanup_buf_ struct buf out = {}, parameters = {};
	char interface[64];
	const char *name;

	if (varlink_method_split(call->method, interface, sizeof(interface), &name) >= 0 &&
		(!*interface || !*name))
		abort();
	if (call->parameters && json_print(call->parameters, false, &parameters) < 0)
		return;
	/* What was read as UTF-8 JSON is written as such, one NUL at its end and none before. */
	if (varlink_reply_format(&out, NULL, parameters.len ? buf_str(&parameters) : NULL, parameters.len,
		    call->more) >= 0 &&
		(memchr(out.data, 0, out.len) != out.data + out.len - 1 ||
			!utf8_valid(out.data, out.len - 1)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct buf in = {};
	ssize_t len;

	if (size > VARLINK_MESSAGE_MAX * 4 || buf_add(&in, data, size) < 0)
		return 0;
	while ((len = varlink_message(&in)) >= 0) {
		struct varlink_call call;
		const char *why = NULL;

		if (varlink_call_parse(in.data, (size_t)len, &call, &why) >= 0) {
			answer(&call);
			varlink_call_clear(&call);
		}
		buf_consume(&in, (size_t)len + 1);
	}
	return 0;
}
