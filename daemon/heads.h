/*
 * Signed heads of the chain of receipts: every 100 receipts, after an hour, where the day changes and at the end what there is is
 * signed by the device's key (docs/architecture.md, "Receipts"). What is signed is followed first: a chain that does not hold is not
 * vouched for. The last head is also in a file beside the database: the chain of a database that takes its place begins with it.
 * Steps HEAD_* of base/step.h. The keys are in heads_key.c.
 */
#pragma once

#include "daemon/spool.h"

#define HEAD_KEY_FILE  "receipts.key"
#define HEAD_NEXT_FILE "receipts.key.next"
#define HEAD_LAST_FILE "receipts.head"

/* [Receipts] */
struct receipts_config {
	char directory[256];            /* of the daily files; "": receipts/ in the spool's folder */
	int64_t keep_files_ms;          /* 0: for ever */
	int64_t sign_every, sign_after_ms;
	/* Where the private key is: a systemd credential, a file, or ("" both) HEAD_KEY_FILE, which is made when it is needed. The next
	 * one is what the key changes to. */
	char key[256], key_credential[64], next_key[256], next_key_credential[64];
};

struct heads;
int heads_new(struct spool *s, const struct receipts_config *c, struct heads **ret);
void heads_free(struct heads *h); /* NULL is fine */
/* A slice: signs when it is time, or (`now`) whatever is not signed. 1: call again, 0: nothing is left to do, negative errno:
 * it cannot be signed, which was said. */
int heads_step(struct heads *h, bool now);
/* What is signed: up to this receipt; -1: not looked at yet. Why no more of it can be signed; "": nothing is in the way. */
const char *heads_trouble(const struct heads *h, int64_t *ret_signed);
/* From now on another key signs, which is made here: what it is is signed by both. 0 when that is on disk, or negative errno with a
 * sentence. */
int heads_change_key(struct heads *h, char *why, size_t why_size);
/* The key that signed is lost for good: from now on the one that is in its place signs, or one that is made here, and the next head says
 * that, why and by whom. 0, or negative errno with a sentence; it lasts as long as the service runs, and so is asked for again after
 * a crash. */
struct head_loss {
	const char *why; /* shorter than CHAIN_WHY_MAX */
	const char *by;  /* shorter than CHAIN_BY_MAX */
};
int heads_replace_key(struct heads *h, const struct head_loss *loss, char *why, size_t why_size);
