/*
 * The extractor seam: build the question, decode the reply. Pure: no I/O, no clock, no globals, so that every
 * extractor is tested with strings. Loop, transport and retry live elsewhere.
 */
#pragma once

#include "extract/doctype.h"

struct creds;

/* ---- the question -------------------------------------------------------------------------------------------------- */

#define JOB_IMAGES_MAX 20

/* A page image in the spool: JPEG, at most 2048 px (the configuration's MaxSide=). */
struct job_image {
	int fd; /* borrowed; read with pread() by whoever sends */
	uint64_t bytes;
	uint32_t width, height;
};

/* What is to be answered: the frozen part of the page's row plus the images. */
struct job {
	const char *page_id;          /* borrowed */
	const struct typeset *types;  /* borrowed; types->types[0] is asked for */
	struct job_image images[JOB_IMAGES_MAX];
	size_t n_images;
	bool cold;      /* the backend has not answered for minutes: its model may have to be loaded first */
	uint32_t tries; /* how often this backend was already asked for this page: another seed, a smaller image */
	bool backlog;   /* nobody waits for it */
	uint64_t nonce; /* another one for each attempt */
};

/* A request is a list of segments, hashed in one pass and sent in another: no body in memory. */
enum segment_kind {
	SEGMENT_LITERAL,     /* data, len */
	SEGMENT_FILE,        /* len bytes of fd from offset 0, as they are */
	SEGMENT_FILE_BASE64, /* the same in base64 (RFC 4648, no line breaks) */
};
struct segment {
	enum segment_kind kind;
	char *data; /* owned */
	int fd;     /* borrowed */
	uint64_t len; /* of data or of the file, before base64 */
};

#define REQUEST_SEGMENTS_MAX 64
#define REQUEST_HEADERS_MAX  24

struct header {
	char *name;  /* owned */
	char *value; /* owned */
};

/* What takes a reply in as it arrives, instead of memory for all of it. Only the body of a 200 goes there. */
struct stream {
	/* 0: go on; else it is enough, and the transfer is ended as if the reply had. */
	int (*take)(struct stream *s, const void *data, size_t len);
	void (*free)(struct stream *s);
	uint64_t answered; /* bytes of the answer so far */
	/* Called after more of the answer has come; may be NULL. It must not cancel the transfer. */
	void (*progress)(void *ud, uint64_t answered);
	void *ud;
};

struct request {
	const char *method; /* static */
	char *url;          /* owned; NULL: the request goes to the helper named by `helper` */
	const char *helper; /* static; "ocr" or NULL */
	struct header headers[REQUEST_HEADERS_MAX];
	size_t n_headers;
	struct segment segments[REQUEST_SEGMENTS_MAX];
	size_t n_segments;
	struct stream *stream; /* owned; NULL: the reply is wanted as a whole */
	uint8_t body_sha256[32]; /* filled by body_hash() (cloud/body.h) before sign */
	size_t max_reply;        /* bytes, of a stream too; the transport ends the transfer beyond */
	bool secret;             /* the reply holds secrets: its memory is wiped */
	int64_t timeout_ms;      /* whole exchange */
	int64_t connect_timeout_ms;
	/* for the ledger, the guard and the receipts; strings borrow from the extractor's configuration */
	const char *model;
	const char *region;     /* NULL for local backends */
	const char *tier;       /* service tier that is asked for, static; NULL: the provider's default */
	const char *resolved;   /* ARNs that AWS says the model's profile and the guardrail lead to, by blanks; NULL: the id itself says where */
	const char *interface;  /* bind to this network interface; NULL: none */
	const char *unix_socket; /* connect here instead of TCP; NULL: none */
	const char *connect_to; /* "HOST:PORT", only with Lab=yes; NULL: none */
	const char *ca_file;    /* extra trust, only with Lab=yes or for local backends; NULL: the system's */
	const char *client_cert, *client_key; /* shown to the server: PEM texts, certificates and private key; NULL: none */
	uint64_t max_input_tokens;  /* an upper bound, for the reservation; 0 when nothing is paid */
	uint64_t max_output_tokens;
};

/* Frees what it owns, header values and literals (keys, tokens) wiped first; the struct is the caller's. */
void request_free(struct request *r);
int request_add_header(struct request *r, const char *name, const char *value);
/* Takes the buffer's content, also on failure: the buffer is empty after. */
int request_add_literal_take(struct request *r, struct buf *b);
int request_add_file(struct request *r, enum segment_kind kind, int fd, uint64_t len);
const char *request_header(const struct request *r, const char *name); /* NULL if none; case ignored */
/* Bytes on the wire. */
uint64_t request_body_length(const struct request *r);

/* ---- the reply ----------------------------------------------------------------------------------------------------- */

enum transport_error {
	TRANSPORT_OK,       /* there is an HTTP status, or the helper ended well */
	TRANSPORT_RESOLVE,  /* name lookup failed */
	TRANSPORT_CONNECT,  /* refused, unreachable, timed out before a connection */
	TRANSPORT_TLS,      /* handshake or certificate */
	TRANSPORT_TIMEOUT,  /* connected, no whole reply in time: may have been billed */
	TRANSPORT_BROKEN,   /* connection ended in the middle: may have been billed */
	TRANSPORT_TOO_LARGE, /* reply over max_reply */
	TRANSPORT_REDIRECT, /* 3xx: never followed */
	TRANSPORT_DENIED,   /* the residency guard said no; nothing was sent */
	TRANSPORT_LOCAL,    /* our own trouble (memory, a page file that cannot be read, helper could not start) */
	TRANSPORT_CANCELLED,
};

struct reply {
	enum transport_error error;
	char detail[160];  /* for people, already safe */
	bool sent;         /* at least one byte of the body left us: false means surely not billed */
	bool sent_all;     /* the whole body did: the other side may have worked on the page */
	int status;        /* HTTP; 0 without one */
	const struct header *headers; /* borrowed */
	size_t n_headers;
	const char *body;  /* borrowed, NUL-ended */
	size_t len;
	const struct stream *stream; /* borrowed: the request's, when the body went there; else NULL */
	int64_t date_ms;   /* the server's Date over verified TLS, 0 if none */
	int64_t sent_ms, done_ms; /* boottime: first byte out, last byte in */
	char peer_sha256[65]; /* of the peer's certificate, hex; "" without TLS */
	char address[46];     /* the connection's other end, as an IP literal; "" when there was none */
};
const char *reply_header(const struct reply *r, const char *name);

/* ---- the verdict: two answers, about the page and about the backend ------------------------------------------------ */

enum page_outcome {
	PAGE_DONE,      /* answered: `answer` holds what was said */
	PAGE_NEXT,      /* this backend cannot do this page: try the next of the route */
	PAGE_RETRY,     /* again later, and it counts as a try */
	PAGE_REJECT,    /* a person is needed: held */
	PAGE_UNTOUCHED, /* as if never asked: the trouble was not the page's */
};
enum backend_state {
	BACKEND_OK,
	BACKEND_BUSY, /* slow down for delay_ms */
	BACKEND_DOWN, /* breaker: probe later */
};

/* How long to wait after a failure: docs/architecture.md, "Waiting and trying again". */
enum wait_class {
	WAIT_BACKOFF,   /* the backend's or the page's Backoff=, nothing quicker */
	WAIT_TRANSIENT, /* may pass in a moment: AWS's quick tries from 50 ms first */
	WAIT_THROTTLED, /* the same from 1 s */
	WAIT_LOADING,   /* the model is coming up: tens of seconds */
	WAIT_PAUSE,     /* minutes: a person or a quota's period must change something first */
	WAIT_AGAIN,     /* once at once, with what was learned (the time, new credentials); then as WAIT_BACKOFF */
};

struct usage {
	uint64_t input, output, cached; /* tokens, as reported */
	bool reported;
	bool differs; /* two reports of one reply are not the same: the larger figures are here */
};

struct verdict {
	enum page_outcome page;
	enum backend_state backend;
	bool billed;        /* may have been: when the reply does not prove otherwise, true */
	enum wait_class wait;
	uint32_t delay_ms;  /* wait at least so long; 0: the courier's own backoff */
	uint32_t hint_ms;   /* the server asks for so long; 0: it does not */
	bool smaller;       /* the page would do if it were smaller */
	uint8_t most_tries; /* with PAGE_RETRY: no more attempts at this backend than these; 0: Tries= */
	char reason[48];    /* stable, for scripts: "throttled", "model-access", "expired-token", "truncated" ... */
	char message[400];  /* for people: what happened and what to do; safe text */
	struct usage usage;
	char request_id[80];
	char stop[32];      /* stop reason as reported */
	const struct doctype *type; /* the type the answer is for (borrowed from the job's typeset) */
	char *answer;       /* owned, NUL-ended raw text for answer_parse(); there with PAGE_DONE, else NULL */
	cJSON *evidence;    /* owned; for answer_add_evidence(); may be NULL */
	bool clock_wrong;   /* the server said that our clock is off: learn from reply.date_ms, then again */
	bool backend_fault; /* with BACKEND_DOWN: whatever the page, this backend cannot (its set-up, not this request) */
	bool creds_wrong;   /* refresh credentials before the next try */
};
void verdict_clear(struct verdict *v); /* frees what it owns */
/* Sets page, backend, reason and message (printf). Returns 0, so that decoders can `return verdict_set(...)`. */
int verdict_set(struct verdict *v, enum page_outcome page, enum backend_state backend, const char *reason, const char *fmt, ...)
	_printf_(5, 6);
const char *page_outcome_name(enum page_outcome o);
const char *backend_state_name(enum backend_state s);

/* ---- the seam ------------------------------------------------------------------------------------------------------ */

struct extractor {
	const struct extractor_ops *ops;
	const char *backend; /* name from the configuration: "sydney"; borrowed */
	const void *config;  /* the extractor's own struct: cloud/bedrock.h, cloud/openai.h, extract/ocr.h */
};

/* What a job that takes several requests, one after the other, has learned so far; the courier owns it. */
#define DIALOGUE_OBJECTS 3
struct dialogue {
	unsigned int step;  /* the extractor's own; 0: what build() made is out */
	unsigned int looks; /* the same */
	int64_t left_ms;    /* of the first request's timeout_ms, which is that of all of them; set before each call */
	char *objects[DIALOGUE_OBJECTS]; /* owned; what is to be cleared up, as the extractor calls it */
	char id[80];        /* the request, as the other side calls it */
};
void dialogue_clear(struct dialogue *e); /* frees what it owns */

struct extractor_ops {
	const char *name; /* "bedrock", "openai", "ocr" */
	bool paid;        /* needs reservation, and a person's word after a rebuild */
	/* The request for a job. 0, or negative errno (-EMSGSIZE: the page is too large for this backend). */
	int (*build)(const struct extractor *x, const struct job *j, struct request *ret);
	/* What a reply means. Called for every end of an exchange, transport errors included. 0 or -ENOMEM. NULL with proceed(). */
	int (*decode)(const struct extractor *x, const struct job *j, const struct reply *r, struct verdict *ret);
	/* Adds authentication, last before every send; NULL: none is needed. now: seconds since 1970, skew applied.
	 * 0, or -EACCES when these credentials cannot sign. */
	int (*sign)(const struct extractor *x, const struct creds *c, int64_t now, struct request *req);
	/* A small request that proves the backend alive without a page (GET /health); NULL: a page is the probe. */
	int (*probe)(const struct extractor *x, struct request *ret);
	/* In place of decode(), of a job that may take several requests; NULL: one is all. 1: *ret is the next, to be sent after
	 * *ret_wait_ms (the verdict has nothing then but creds_wrong); 0: the verdict is there; or negative errno. */
	int (*proceed)(const struct extractor *x, struct dialogue *e, const struct job *j, const struct reply *r, struct request *ret,
		int64_t *ret_wait_ms, struct verdict *v);
	/* When it is over, until it gives 0: 1: *ret removes one thing that the dialogue left behind; or negative errno. With proceed(). */
	int (*tidy)(const struct extractor *x, struct dialogue *e, struct request *ret);
};
