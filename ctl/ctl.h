/* What the verbs share: the options, the look of the output, and what to say when a call fails. */
#pragma once

#include "ctl/client.h"
#include "ctl/format.h"
#include "ctl/options.h"

enum exit_code {
	EXIT_WELL,
	EXIT_PAGE_FAILED,
	EXIT_USAGE,
	EXIT_UNREACHABLE,
	EXIT_NOT_ALLOWED,
	EXIT_TIMED_OUT
};

struct ctl {
	struct options options;
	struct look look;    /* of standard output */
	int64_t deadline_ms; /* boottime; -1: none */
};

/* Each verb is one function of a file of its name: the exit code. */
int verb_status(struct ctl *c);
int verb_wait_pages(struct ctl *c); /* scan, extract */
int verb_list(struct ctl *c);
int verb_show(struct ctl *c);
int verb_crop(struct ctl *c);
int verb_watch(struct ctl *c);
int verb_change(struct ctl *c); /* hold, release, retry, drop */
int verb_confirm(struct ctl *c);
int verb_doctor(struct ctl *c);
int verb_document(struct ctl *c);
int verb_audit(struct ctl *c);
int verb_usage(struct ctl *c);
/* All words as they came; does not come back unless pageferryd cannot be run. */
int verb_spool(int argc, char **argv);

/* Connects, or says why not: EXIT_WELL or EXIT_UNREACHABLE. */
int ctl_connect(const struct ctl *c, struct client **ret);
/* One call, one reply; takes `parameters`. EXIT_WELL with the reply (clear it), or the code after a message.
 */
int ctl_call_take(struct ctl *c, const char *method, cJSON *parameters, struct client_reply *ret);
/* Says what a failed exchange (negative errno) or an error reply means; the code. `what` may be NULL: a file
 * or id. */
int ctl_exchange_failed(const struct ctl *c, int error);
int ctl_error_reply(const struct client_reply *r, const char *what);
/* A sentence about an error reply, appended. */
int ctl_error_text(const struct client_reply *r, struct buf *out);
/* "pageferryctl: ..." on standard error. */
void ctl_say(const char *fmt, ...) _printf_(1, 2);
/* Writes and flushes: EXIT_WELL, or EXIT_PAGE_FAILED when standard output is gone. */
int ctl_put(const struct buf *out);
int ctl_put_json(const cJSON *j);
/* A member that is text; "" when there is none. Borrowed. */
const char *text_of(const cJSON *j, const char *name);
/* The varlink type Filter of the options; NULL, said: a word is not UTF-8. */
cJSON *filter_of(const struct options *o);
/* What a person should know who looks at its file: "blurred", "blank, cut-off"; "" when there is nothing. Its own words
 * only. Returns `out`. */
const char *page_looks(const cJSON *page, char *out, size_t size);
/* A page's name, or its id when it has none; borrowed. */
const char *page_title(const cJSON *page);
