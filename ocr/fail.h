/* Why a page gave no words: a stable reason for the "end" frame and a text for people. */
#pragma once

#include "base/util.h"

struct ocr_fail {
	const char *reason; /* static; docs/architecture.md, "Helper framing" */
	char message[200];
};

/* Fills f and returns `error`, so that functions can `return ocr_fail_set(...)`. A text that does not fit is
 * cut. */
int ocr_fail_set(struct ocr_fail *f, int error, const char *reason, const char *fmt, ...) _printf_(4, 5);
