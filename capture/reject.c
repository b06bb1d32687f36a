#include "capture/reject.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"

static const char *const names[] = {
	[REJECT_EMPTY] = "empty",
	[REJECT_NOT_AN_IMAGE] = "not-an-image",
	[REJECT_TRUNCATED] = "truncated",
	[REJECT_DAMAGED] = "damaged",
	[REJECT_TOO_LARGE] = "too-large",
	[REJECT_UNSUPPORTED] = "unsupported",
	[REJECT_IO] = "io",
	[REJECT_NO_DEVICE] = "no-device",
	[REJECT_BUSY] = "busy",
	[REJECT_TIMEOUT] = "timeout",
	[REJECT_NO_SIGNAL] = "no-signal",
	[REJECT_DARK] = "dark",
};

const char *reject_name(enum reject_reason r)
{
	return (size_t)r < ARRAY_SIZE(names) ? names[r] : "io";
}

int reject_set(struct reject *why, enum reject_reason reason, const char *fmt, ...)
{
	char text[sizeof(why->message)];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = 0; /* a cut message is still a message */
	va_end(ap);
	why->reason = reason;
	text_safe_copy(why->message, sizeof(why->message), text);
	return -EBADMSG;
}
