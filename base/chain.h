/*
 * The chain of receipts, as lines of text: docs/architecture.md, "Receipts". Pure: whoever has the lines can check them, and
 * trusts nobody for it.
 */
#pragma once

#include "base/crypto.h"
#include "base/json.h"

#define CHAIN_NOTHING  "0000000000000000000000000000000000000000000000000000000000000000" /* before the first receipt */
#define CHAIN_LINE_MAX ((size_t)16 << 10)

/* SHA-256 over the hash before, a newline, and the body. 0 or -ENOMEM. */
int chain_hash(const char *previous, const char *body, size_t len, char out[static SHA256_HEX_SIZE]);
/* Appends {"receipt":BODY,"hash":"HASH"}, without a newline. */
int chain_line(struct buf *out, const char *body, const char *hash);

/* How far it was followed; CHAIN_BEGIN at first. */
struct chain {
	int64_t seq;
	char hash[SHA256_HEX_SIZE];
};
#define CHAIN_BEGIN ((struct chain){.hash = CHAIN_NOTHING})
/* Does the line (without its newline) come next? 0 with its body, owned, and *c moved on; or -EBADMSG with a sentence in
 * *ret_why (static), or -ENOMEM. */
int chain_follow(struct chain *c, const char *line, size_t len, cJSON **ret_body, const char **ret_why);
