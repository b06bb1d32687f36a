/* The device's keys that sign the receipts: where they are, making them, and which one it is. For heads.c. */
#pragma once

#include "base/chain.h"
#include "daemon/heads.h"

struct head_keys {
	struct spool *spool;                  /* borrowed */
	const struct receipts_config *config; /* borrowed */
	struct signing_key *key;              /* signs; NULL: not loaded */
	struct signing_key *next;             /* takes its place with the next head; NULL: none */
	bool replaces;                        /* the one that signed is lost: the key that is there goes on without it */
};
void head_keys_forget(struct head_keys *k);
/* The keys for the chain as it is. -EKEYREJECTED: the one that goes on with it is not there; all with a sentence. */
int head_keys_load(struct head_keys *k, const struct chain *at, char *why, size_t why_size);
/* Puts the next key, newly made, where it will be found. -EOPNOTSUPP: keys are made by whoever configured where they are. */
int head_keys_make_next(struct head_keys *k, char *why, size_t why_size);
/* The key that signed last is lost: is another one there, or can one be made? -EEXIST: it is not lost; -EOPNOTSUPP: a new one is made by
 * whoever configured where it is. With a sentence. What is in its place and is no key is set aside. */
int head_keys_replace(struct head_keys *k, const struct chain *at, char *why, size_t why_size);
/* The change is committed: the next key is the key. */
int head_keys_changed(struct head_keys *k);
