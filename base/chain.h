/*
 * The chain of receipts, as lines of text: docs/architecture.md, "Receipts". Pure: whoever has the lines can check them, and
 * trusts nobody for it.
 */
#pragma once

#include "base/crypto_key.h"
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
	const uint8_t *only_key;         /* signatures of any other are refused; NULL: of the one that the first head names */
	/* of signed heads */
	int64_t heads, signed_seq, signed_ms;
	char head_hash[SHA256_HEX_SIZE]; /* of the last head */
	char id[33];                     /* of the chain, which is that of the database */
	uint8_t key[PUBLIC_KEY_SIZE];    /* that signed the last head */
};
#define CHAIN_BEGIN ((struct chain){.hash = CHAIN_NOTHING, .head_hash = CHAIN_NOTHING})
/* Does the line (without its newline) come next? 0 with a receipt's body, owned, or NULL for a signed head, and *c moved on; or
 * -EBADMSG with a sentence in *ret_why (static), or -ENOMEM. */
int chain_follow(struct chain *c, const char *line, size_t len, cJSON **ret_body, const char **ret_why);

/* Appends {"head":BODY,"sig":"SIGNATURE"}, without a newline; `signature` is in base64. */
int chain_head_line(struct buf *out, const char *body, const char *signature);
/* A head's body for where the chain is, as number c->heads + 1, with the key's public half; and its signature, in base64. */
int chain_head_sign(const struct chain *c, int64_t t, const char *trust, struct signing_key *key, struct buf *ret_body, struct buf *ret_signature);
/* The number and hash of the head that the line is; -EBADMSG: it is none. Nothing is checked. */
int chain_head_read(const char *line, size_t len, int64_t *ret_number, char hash[static SHA256_HEX_SIZE]);
