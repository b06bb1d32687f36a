/* audit: receipts by the line, from the service or a copy, followed as a chain; and what they add up to. */
#pragma once

#include <stdio.h>
#include <sys/types.h>

#include "base/chain.h"
#include "ctl/ctl.h"

/* A head that was kept elsewhere. */
struct audit_kept {
	int64_t number;
	char hash[SHA256_HEX_SIZE], chain[CHAIN_ID_SIZE];
	bool found;
};
#define AUDIT_KEYS_MAX 16
/* A key that another one replaced without its signature. */
struct audit_loss {
	size_t chain; /* which of the chains */
	struct chain_loss said;
};
/* Chains that were followed to their ends, and what they are held against; borrowed. */
struct audit_found {
	const struct chain *chains;
	size_t n_chains;
	const struct audit_kept *kept;
	size_t n_kept;
	const struct audit_loss *losses;
	size_t n_losses;
	bool key_given;
};
/* audit_proof.c: is something missing, or signed by somebody else? EXIT_WELL, or the code after a message. */
int audit_judge(const struct audit_found *f);
/* What they prove, and what not: an exit code. */
int audit_put_proof(const struct ctl *c, const struct audit_found *f);

/* audit_key.c: the service goes on with another key: both sign that, or the new one alone says that the other is lost. Exit codes. */
int audit_rotate(struct ctl *c);
int audit_replace(struct ctl *c);

/* spool.c: the receipts of a stopped service's spool, as lines; by pageferryd, which alone knows what a spool is. 0, or negative
 * errno, said. */
int spool_receipts(const char *directory, FILE **ret, pid_t *ret_pid);
/* Its exit status, or negative errno. */
int spool_receipts_end(FILE *f, pid_t pid);

struct audit_report;
int audit_report_new(struct audit_report **ret);
void audit_report_free(struct audit_report *r); /* NULL is fine */
/* Adds the body of one receipt. 0 or -ENOMEM. */
int audit_report_add(struct audit_report *r, const cJSON *body);
/* As text, CSV (options.csv) or one JSON object a line (options.json): an exit code. What has left Australia, or was done with
 * Lab=yes, comes first. */
int audit_report_put(struct audit_report *r, struct ctl *c);
/* Is that somewhere in Australia, or on this side? For the report, by what the receipt says. */
bool audit_in_australia(const char *host, const char *region);
