/* The table itself, for its reader, its tests and its documentation (docs/errors.md). */
#pragma once

#include "extract/extractor.h"

enum aws_error_flags {
	ERROR_BILLED = 1 << 0,      /* may have been billed */
	ERROR_BILLED_SENT = 1 << 1, /* may have been when a byte of the request had left */
	ERROR_CLOCK = 1 << 2,       /* learn the server's time, then sign again once */
	ERROR_CREDS = 1 << 3,       /* new credentials, then once more */
	ERROR_SMALLER = 1 << 4,     /* a smaller page may do */
	ERROR_ONCE = 1 << 5,        /* one more try at most, whatever Tries= says */
};

/* Which part of the request had left when the connection failed. */
enum aws_error_sent { SENT_ANY, SENT_WHOLE, SENT_NOT_WHOLE };

/* First match wins. 0 or NULL matches whatever there is. */
struct aws_error_row {
	enum transport_error error; /* TRANSPORT_OK: there was a reply */
	enum aws_error_sent sent;
	int status, status_to;      /* status_to 0: this one alone */
	const char *type;           /* case ignored: in an event stream it begins in lower case */
	const char *said;           /* part of the message, case ignored */
	enum page_outcome page;
	enum backend_state backend;
	enum wait_class wait;
	uint32_t least_ms;          /* of the wait, before jitter */
	unsigned int flags;         /* enum aws_error_flags */
	const char *reason;         /* stable; docs/errors.md and docs/operating.md say what each asks of a person */
	const char *advice;         /* what happened and what to do */
};

const struct aws_error_row *aws_error_rows(size_t *ret_n);
/* What the model's own server said within a ModelErrorException or ModelError; NULL: as the row for that says. */
const struct aws_error_row *aws_error_original(int64_t status);
