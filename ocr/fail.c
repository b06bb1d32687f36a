#include "ocr/fail.h"

#include <stdarg.h>
#include <stdio.h>

int ocr_fail_set(struct ocr_fail *f, int error, const char *reason, const char *fmt, ...)
{
	va_list ap;

	f->reason = reason;
	va_start(ap, fmt);
	vsnprintf(f->message, sizeof(f->message), fmt, ap);
	va_end(ap);
	return error;
}
