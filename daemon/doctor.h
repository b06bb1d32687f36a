/*
 * What is well, what is not, and what to do: findings of the parts, for the method Doctor. A section looks at one area and
 * adds findings; one that has to ask somebody first holds the examination until it has its answer. doctor_sections.c has the
 * table: a part that has something to tell adds a line there and a file daemon/doctor_AREA.c.
 */
#pragma once

#include "daemon/service.h"
#include "base/json.h"

enum finding_level {
	FINDING_OK,
	FINDING_NOTE,    /* worth knowing, nothing to do */
	FINDING_WARNING, /* works, but not as well as it could */
	FINDING_PROBLEM, /* does not work until somebody does something */
};

struct doctor;

struct doctor_section {
	const char *area;
	void (*examine)(struct doctor *d, struct service *s);
};
extern const struct doctor_section doctor_sections[]; /* ends with a NULL area */

/* One finding of the section that is examining, or that holds. `what` says how it is; `advice` what to do, NULL: nothing.
 * Never a secret. */
void doctor_add(struct doctor *d, const char *area, enum finding_level level, const char *advice, const char *what_fmt, ...)
	_printf_(5, 6);
/* May others be asked, at no cost? And models, which costs? */
bool doctor_live(const struct doctor *d);
bool doctor_paid(const struct doctor *d);
/* Between the two the examination goes on and `d` stays, also when its peer has left. doctor_release() may free it. */
void doctor_hold(struct doctor *d);
void doctor_release(struct doctor *d);

/* What is called with the findings, once: an array of the varlink type Finding, taken; NULL: out of memory. */
typedef void (*doctor_done_fn)(void *ud, cJSON *findings);
struct doctor_options {
	const cJSON *areas; /* array of strings; NULL: all */
	bool live, paid;
};
/* Examines; done is called before it returns or later, never after doctor_cancel(). -EINVAL: no such area, in *ret_wrong
 * (borrowed from o->areas). */
int doctor_start(struct service *s, const struct doctor_options *o, doctor_done_fn done, void *ud, struct doctor **ret,
	const char **ret_wrong);
/* The peer has left. NULL is fine. */
void doctor_cancel(struct doctor *d);

/* The sections of the service itself: daemon/doctor_service.c. */
void doctor_clock(struct doctor *d, struct service *s);
void doctor_spool(struct doctor *d, struct service *s);
void doctor_configuration(struct doctor *d, struct service *s);
void doctor_prices(struct doctor *d, struct service *s);
void doctor_helpers(struct doctor *d, struct service *s);
void doctor_backends(struct doctor *d, struct service *s);
void doctor_receipts(struct doctor *d, struct service *s);
/* daemon/doctor_credentials.c */
void doctor_credentials(struct doctor *d, struct service *s);
/* daemon/doctor_residency.c */
void doctor_residency(struct doctor *d, struct service *s);
/* daemon/doctor_bedrock.c: asks Bedrock's control plane whether the backend's model is served, or where its profile leads. */
struct bedrock_look;
void doctor_bedrock(struct doctor *d, struct service *s, const struct backend_config *b);
/* What is on its way is cancelled, before the transport goes. */
void doctor_bedrock_end(struct service *s);
/* daemon/doctor_ask.c: asks the model itself, once, in words; it is paid for. */
void doctor_ask(struct doctor *d, struct service *s, const struct backend_config *b);
/* What is on its way is settled as possibly billed, before transport and spool go. */
void doctor_ask_end(struct service *s);
