/*
 * The residency guard: may this leave, to there? Asked on the actual URL before every send, for every sink.
 * Fail-closed: what is not known to be allowed is denied. Table: docs/residency.md.
 */
#pragma once

#include "base/util.h"

enum guard_answer {
	GUARD_ALLOW,
	GUARD_DENY,
	GUARD_NEEDS_RESOLVE, /* only AWS can say where it leads (application inference profiles, guardrails, buckets): resolve, else deny */
};

/* What is spoken to. Every request belongs to one of these; what belongs to none is not sent. */
enum guard_sink {
	GUARD_BEDROCK,         /* a model in the cloud: url and model are both checked */
	GUARD_BEDROCK_CONTROL, /* asks about profiles and guardrails; carries no page */
	GUARD_SAGEMAKER,       /* model: the endpoint's name */
	GUARD_S3,              /* model: the bucket */
	GUARD_STS,
	GUARD_IOT_CREDENTIALS,
	GUARD_ROLES_ANYWHERE,
	GUARD_SSO,       /* IAM Identity Center, role credentials */
	GUARD_SSO_OIDC,  /* the same, tokens */
	GUARD_IMDS,      /* instance metadata: its two addresses by plain http */
	GUARD_CONTAINER, /* container credential endpoint: its three addresses by plain http, or loopback */
	GUARD_LOCAL,     /* an attached Jetson or a server in the house: private, link-local or loopback literal, or a socket */
	GUARD_WEBHOOK,   /* later sinks */
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
	const char *model;       /* model id, profile id or ARN, endpoint or bucket; NULL for sinks without */
	const char *guardrail;   /* of a request to a model: id or ARN; NULL: none */
	const char *region;      /* signing region; NULL for local and metadata */
	const char *interface;   /* bound to it, or NULL */
	bool page;               /* S3: it carries a page, which stays there: where the bucket is must be proved */
	bool pinned;             /* local: by https, and with an authority of its own that vouches for the server */
};

/* `why` always gets a sentence: what is allowed or denied, for what reason, and the nearest allowed choice. */
enum guard_answer guard_check(const struct guard_policy *p, const struct guard_question *q, char *why, size_t why_size);
/* For what names a region outside a URL, such as the header x-amz-bucket-region: allowed? */
bool guard_check_region(const struct guard_policy *p, const char *region, char *why, size_t why_size);
/* An ARN in a configuration: partition aws, of `service` ("rolesanywhere"), in exactly `region` (NULL: one of a service without
 * regions, as iam, whose region is empty). */
bool guard_check_arn(const struct guard_policy *p, const char *service, const char *region, const char *arn, char *why,
	size_t why_size);
