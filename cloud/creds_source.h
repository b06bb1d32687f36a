/*
 * Where credentials come from: [Credentials NAME] and its Source=. A source is a pure state machine, one file each
 * (cloud/creds_SOURCE.c): asked for the next step it names what is to be done (a request to send, a program to run, another
 * section's credentials to get), is told what came of it, and ends with credentials or a reason. It reads its own files and
 * does nothing else; daemon/credentials.c does the rest, and asks the guard before every request.
 */
#pragma once

#include "cloud/creds.h"
#include "cloud/guard.h"
#include "extract/extractor.h"

enum creds_kind {
	CREDS_SYSTEMD,        /* a credential that systemd gave the service */
	CREDS_FILE,           /* a file with keys */
	CREDS_ENVIRONMENT,
	CREDS_PROCESS,        /* a program prints them */
	CREDS_ASSUME_ROLE,    /* STS, with another section's credentials */
	CREDS_WEB_IDENTITY,   /* STS, with a token from a file */
	CREDS_CONTAINER,
	CREDS_IMDS,
	CREDS_IOT,            /* AWS IoT Core credential provider */
	CREDS_ROLES_ANYWHERE, /* IAM Roles Anywhere */
	CREDS_API_KEY,        /* Bedrock API key */
	CREDS_PROFILE,        /* a profile of the files that the AWS command line has, and whatever it leads to */
	CREDS_KINDS,
};
/* As Source= spells it; all of them, NULL-ended. */
extern const char *const creds_kind_names[CREDS_KINDS + 1];

#define CREDS_PATH_SIZE 256
#define CREDS_ARN_SIZE  640 /* of a role: a path of up to 512 characters fits */

/* [Credentials NAME]. Which keys a source has: daemon/config_credentials.c. */
struct creds_config {
	char name[33];
	int kind; /* enum creds_kind; -1: none was given */
	char credential[64];                 /* name of the systemd credential */
	char file[CREDS_PATH_SIZE], config_file[CREDS_PATH_SIZE];
	char profile[64];                    /* section of the file */
	char command[1024];                  /* of the program, with its arguments */
	char role_arn[CREDS_ARN_SIZE];
	char source_credentials[33];         /* section whose credentials assume the role */
	char external_id[1225], session_name[65];
	int64_t duration_ms;                 /* asked for; 0: the service's own */
	char token_file[CREDS_PATH_SIZE];
	char certificate[CREDS_PATH_SIZE], key[CREDS_PATH_SIZE]; /* an absolute path, or the name of a systemd credential */
	char role_alias[129], thing_name[129];
	char trust_anchor_arn[256], profile_arn[256];
	bool version_1;                      /* of the metadata service: also without a token */
	char region[32], endpoint[256];
	char connect_to[128], ca_file[CREDS_PATH_SIZE]; /* Lab=yes */
	int64_t timeout_ms;                  /* of one request or run */
};

enum creds_action {
	CREDS_SEND,   /* `request`, if the guard allows it as `sink`; the reply is the next input */
	CREDS_RUN,    /* `argv`; what it printed is the next input: body, len, and its exit status as status */
	CREDS_ASK,    /* the credentials of [Credentials `section`] are the next input; or it fails as those did */
	CREDS_HAVE,   /* the end: `creds` */
	CREDS_FAILED, /* the end: `reason` and `message` */
};

#define CREDS_ARGS_MAX 32

struct creds_step {
	enum creds_action action;
	struct request request; /* owned; signed already where it must be */
	enum guard_sink sink;
	char *argv[CREDS_ARGS_MAX + 1]; /* owned, NULL-ended; argv[0] is a path */
	const char *section;    /* borrowed from the configuration */
	struct creds creds;     /* owned */
	char reason[48];        /* stable, for scripts: "no-credentials", "bad-credentials", "access-denied" ... */
	char message[240];      /* for people: what is wrong and what to do; safe text, no secrets */
	bool local;             /* an end that came of files and the environment alone: they are looked at again before use */
	bool creds_wrong;       /* it was the other section's credentials that were refused: they are to be got anew */
};
void creds_step_clear(struct creds_step *s); /* wipes and frees; the struct is empty after */
/* The end without credentials. Returns 0, so that sources can `return creds_fail(...)`. The text is made safe. */
int creds_fail(struct creds_step *s, const char *reason, const char *fmt, ...) _printf_(3, 4);

struct creds_input {
	int64_t now_ms;            /* realtime, corrected by what servers' Date has taught */
	int64_t signing_s;         /* the same in seconds, for signatures; 0: the clock is known to be wrong, nothing is signed */
	const struct reply *reply; /* after CREDS_SEND and CREDS_RUN */
	const struct creds *creds; /* after CREDS_ASK */
};

struct creds_source_ops {
	size_t state_size; /* of its state, which starts as zeroes; 0: it needs none */
	bool stable;       /* what it gave serves beyond its end while it gives nothing newer, until it is refused */
	/* 0 with the step filled, or negative errno (of this machine: no memory). First with an empty input but for the time. */
	int (*next)(const struct creds_config *c, void *state, const struct creds_input *in, struct creds_step *ret);
	void (*clear)(void *state); /* wipes and frees what the state owns; may be NULL */
};
/* NULL: the source is not there. */
const struct creds_source_ops *creds_source_ops(enum creds_kind k);

/* One retrieval. */
struct creds_source;
int creds_source_new(const struct creds_config *c, struct creds_source **ret);
void creds_source_free(struct creds_source *s);
int creds_source_next(struct creds_source *s, const struct creds_input *in, struct creds_step *ret);

/* For the sources. A regular file's whole text, NUL-ended, in a block of max + 1 bytes: creds_text_free() it. Negative errno:
 * -EFBIG beyond `max`, -EINVAL for what is no regular file, -EBADMSG for one with NUL bytes. */
int creds_read_text(const char *path, size_t max, char **ret, size_t *ret_len);
/* The same for what only the service may read: -EPERM when others can read it, or the group can write it. */
int creds_read_secret(const char *path, size_t max, char **ret, size_t *ret_len);
void creds_text_free(char *text, size_t max); /* wipes; NULL is fine */
/* "$CREDENTIALS_DIRECTORY/NAME" into `path`. 0, or -ENOKEY: the service was started without any. */
int creds_systemd_path(const char *name, char *path, size_t size);

extern const struct creds_source_ops creds_source_systemd, creds_source_file, creds_source_environment,
	creds_source_process, creds_source_assume_role, creds_source_web_identity,
	creds_source_container, creds_source_imds, creds_source_iot, creds_source_roles_anywhere, creds_source_api_key,
	creds_source_profile;
