/*
 * The residency guard: may this leave, to there? Asked on the actual URL before every send, for every sink.
 * Fail-closed: what is not known to be allowed is denied. Table: docs/residency.md.
 */
#pragma once

#include "base/util.h"

enum guard_answer {
	GUARD_ALLOW,
	GUARD_DENY,
	GUARD_NEEDS_RESOLVE, /* only AWS can say where it leads (application inference profiles): resolve, else deny */
};

enum guard_sink {
	GUARD_BEDROCK,     /* a model in the cloud: url and model are both checked */
	GUARD_LOCAL,       /* an attached Jetson or a server in the house: private, link-local or loopback literal, or a socket */
	GUARD_CREDENTIALS, /* STS, IoT, Roles Anywhere ... */
	GUARD_WEBHOOK,     /* later sinks */
};

struct guard_policy {
	bool sydney_only;    /* false also allows ap-southeast-4 (Melbourne) */
	bool lab;            /* Lab=yes: loopback stands in for AWS; status and every receipt say so */
};

struct guard_question {
	enum guard_sink sink;
	const char *url;         /* as it will be requested; NULL for a UNIX socket */
	const char *unix_socket; /* path, or NULL */
	const char *connect_to;  /* where the connection really goes (lab), or NULL */
	const char *model;       /* model id, profile id or ARN; NULL for sinks without */
	const char *region;      /* signing region; NULL for local */
	const char *interface;   /* bound to it, or NULL */
};

/* `why` always gets a sentence: what is allowed or denied, for what reason, and the nearest allowed choice. */
enum guard_answer guard_check(const struct guard_policy *p, const struct guard_question *q, char *why, size_t why_size);
