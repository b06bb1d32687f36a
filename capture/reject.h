/* Why a page gave nothing: the stable words of the helper framing (docs/architecture.md), and a sentence for
 * people. */
#pragma once

#include "base/util.h"

enum reject_reason {
	REJECT_EMPTY,
	REJECT_NOT_AN_IMAGE,
	REJECT_TRUNCATED,
	REJECT_DAMAGED,
	REJECT_TOO_LARGE,
	REJECT_UNSUPPORTED,
	REJECT_IO,
	REJECT_NO_DEVICE,
	REJECT_BUSY,
	REJECT_TIMEOUT,
	REJECT_NO_SIGNAL,
	REJECT_DARK,
};

struct reject {
	enum reject_reason reason;
	char message[256];
};

/*
 * The convention of this folder: a function with a `struct reject *why` that returns -EBADMSG has filled it,
 * and the page is rejected while the others go on. Any other negative errno is trouble of the run (a closed
 * pipe, no memory). The text is made harmless (base/text.h). Always returns -EBADMSG.
 */
int reject_set(struct reject *why, enum reject_reason reason, const char *fmt, ...) _printf_(3, 4);
const char *reject_name(enum reject_reason r);
