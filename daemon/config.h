/* pageferryd's configuration: the table of every section and key is in config.c; --help-config is made from it. */
#pragma once

#include "base/ini.h"
#include "cloud/bedrock.h"
#include "cloud/creds_source.h"
#include "cloud/guard.h"
#include "cloud/openai.h"
#include "cloud/sagemaker.h"
#include "daemon/budget.h"
#include "daemon/heads.h"
#include "daemon/spool.h"
#include "extract/ocr.h"

#define CONFIG_FILE     "/etc/pageferry/pageferry.conf"
#define BACKENDS_MAX    8
#define CONCURRENCY_MAX 8
#define PATH_SIZE       256
#define URL_SIZE        256
#define WATCH_FOLDERS_MAX 8
#define CREDENTIALS_MAX 8

enum backend_kind { KIND_BEDROCK, KIND_SAGEMAKER, KIND_OPENAI, KIND_OCR };

/* [Backend NAME]. The keys' own fields first; config_read() hands them on to the struct of the backend's kind. */
struct backend_config {
	char name[BACKEND_NAME_SIZE];
	int kind; /* enum backend_kind */
	int64_t concurrency;       /* requests in flight */
	int64_t requests_per_minute, tokens_per_minute; /* 0: no limit */
	int64_t pages_per_request; /* of one document; 0: as many as its kind takes */
	int64_t tries;             /* attempts that count before the next backend is asked, or the page held */
	int64_t backoff_ms, backoff_max_ms;
	int64_t fallback_after_ms; /* a backend down for longer sends its pages down the route */
	/* keys that several kinds have */
	char model[256], endpoint[URL_SIZE], connect_to[128], ca_file[PATH_SIZE];
	char region[32];
	int64_t max_output_tokens, timeout_ms, connect_timeout_ms;
	int64_t price_per_request_pusd; /* -1: not given, prices.conf says it */
	int64_t start_patience_ms; /* a model that is still being started after so long counts as down */
	/* where secrets come from; never the secrets */
	char credentials[33]; /* name of the section */
	char api_key_credential[64], api_key_file[PATH_SIZE];
	/* the one of its kind is used */
	struct bedrock_config bedrock;
	struct sagemaker_config sagemaker;
	struct openai_config openai;
	struct ocr_config ocr;
};

/* [Watch NAME]: a folder whose files are taken. */
enum watch_then { THEN_MOVE, THEN_LEAVE };
struct watch_config {
	char name[33];
	char folder[PATH_SIZE];
	int then;                    /* enum watch_then: what becomes of a file that was taken */
	char done[65], rejected[65]; /* names of folders in it, for THEN_MOVE */
	char type[33];               /* "": [Capture] Type= */
	int lane;                    /* enum lane */
	int64_t settle_ms;
};

enum over_budget { OVER_WAIT, OVER_NEXT };
enum blank_pages { BLANK_SEND, BLANK_HOLD, BLANK_IGNORE };

struct config {
	/* [Service] */
	char control_socket[108];
	char group_look[33], group_manage[33];
	char documents[PATH_SIZE], documents_local[PATH_SIZE]; /* shipped; and the operator's own, which win by name */
	char prices[PATH_SIZE];
	char helpers[PATH_SIZE];   /* folder of the helper programs, for fork+exec */
	bool socket_helpers;       /* use /run/pageferry/{capture,ocr} sockets (systemd units) */
	bool lab;
	int64_t stop_timeout_ms;
	char proxy[URL_SIZE];
	/* [Capture] */
	char source[PATH_SIZE];    /* default source: "v4l2:auto", "replay:/dir" */
	char controls[512];        /* of a camera: "name=value name=value" */
	bool automatic;            /* pages are taken as they come to rest */
	int64_t keep_warm_ms;      /* the camera stays on for the next scan; 0: not */
	int64_t max_side, max_pixels, quality, helper_timeout_ms, document_timeout_ms;
	int rotate;  /* quarters clockwise of pages from `source`, modulo 4 */
	bool square; /* pages are laid straight */
	char type[33];             /* default type: "auto" */
	bool glass_gate;
	int blank_pages;           /* enum blank_pages */
	bool page_hash, thumbnails, keep_original;
	/* [Spool] */
	char directory[PATH_SIZE];
	int64_t cap_bytes, floor_bytes, floor_inodes;
	int64_t keep_pages_ms, keep_results_ms; /* 0: for ever */
	/* [Route] */
	char route[ROUTE_MAX][BACKEND_NAME_SIZE]; /* Backends=: default "ocr" */
	size_t n_route;
	int64_t start_spread_ms;
	/* [Budget] */
	struct budget_limits budget;
	int over_budget;           /* enum over_budget */
	/* [Receipts] */
	struct receipts_config receipts;
	/* [Residency] */
	bool melbourne;            /* also ap-southeast-4 */
	/* [Backend ...]; "ocr" is always there */
	struct backend_config backends[BACKENDS_MAX];
	size_t n_backends;
	/* [Credentials ...]; "aws" is always there */
	struct creds_config credentials[CREDENTIALS_MAX];
	size_t n_credentials;
	/* [Watch ...] */
	struct watch_config watches[WATCH_FOLDERS_MAX];
	size_t n_watches;
};

/* Defaults, then FILE and its drop-ins, then cross checks (routes name backends; the guard allows each backend's URL and
 * model; lab keys need Lab=yes). 0 or negative errno with one line a problem in `errors`. */
int config_read(const char *file, bool optional, struct config *ret, struct buf *errors);
int config_help(struct buf *out);
const struct backend_config *config_backend(const struct config *c, const char *name);
const struct creds_config *config_credentials(const struct config *c, const char *name);
const char *backend_kind_name(enum backend_kind k);
/* Reads the backend's API key from its credential or file, if it names one, into `out`. 0 (also when it names none, out is
 * ""), or negative errno with a sentence without the secret. */
int config_api_key(const struct backend_config *b, char *out, size_t size, char *why, size_t why_size);
/* What the guard is asked for this backend before anything is sent; the strings borrow from b and `url`. */
int config_guard_question(const struct backend_config *b, struct guard_question *ret, struct buf *url);
/* The same about its bucket, and not about a page in it; -ENOENT: it has none. */
int config_guard_bucket(const struct backend_config *b, struct guard_question *ret, struct buf *url);
/* About where the page itself goes: to the bucket, if there is one. */
int config_guard_page(const struct backend_config *b, struct guard_question *ret, struct buf *url);
void config_guard_policy(const struct config *c, struct guard_policy *ret);
