/*
 * The chain of receipts, as lines of text: docs/architecture.md, "Receipts". Pure: whoever has the lines can check them, and
 * trusts nobody for it. Signed heads are in chain_head.c.
 */
#pragma once

#include "base/crypto_key.h"
#include "base/json.h"

#define CHAIN_NOTHING  "0000000000000000000000000000000000000000000000000000000000000000" /* before the first receipt */
#define CHAIN_LINE_MAX ((size_t)16 << 10)
#define CHAIN_ID_SIZE  33 /* 32 hex digits: of the database that the chain is in */

/* SHA-256 over the hash before, a newline, and the body. 0 or -ENOMEM. */
int chain_hash(const char *previous, const char *body, size_t len, char out[static SHA256_HEX_SIZE]);
/* Appends {"receipt":BODY,"hash":"HASH"}, without a newline. */
int chain_line(struct buf *out, const char *body, const char *hash);

#define CHAIN_WHY_MAX 160 /* what a person said, with its NUL */
#define CHAIN_BY_MAX  32

/* A key was lost, and another one goes on without its signature: a head by the new one alone says so. */
struct chain_loss {
	int64_t head, seq, t;                 /* of that head */
	int64_t signed_seq, signed_head;      /* the last one by the key that was lost; 0: it is not among what was followed */
	char trust[16], why[CHAIN_WHY_MAX], by[CHAIN_BY_MAX];
	uint8_t lost[PUBLIC_KEY_SIZE], key[PUBLIC_KEY_SIZE];
	bool key_seen;                        /* one of `keys` vouched for what was followed up to there, or there was nothing to vouch for */
};

/* How far it was followed; CHAIN_BEGIN at first. */
struct chain {
	int64_t seq;
	char hash[SHA256_HEX_SIZE];
	const uint8_t (*keys)[PUBLIC_KEY_SIZE]; /* whose signatures are looked for: see key_seen */
	size_t n_keys;
	/* Files of days: it may begin with a signed head instead of the first receipt, and where two files meet the head of the one's
	 * end stands at the beginning of the next once more. */
	bool in_parts;
	bool unchecked; /* signatures are taken as they are, for whoever made them: elliptic curves take their time */
	/* of signed heads */
	int64_t heads, signed_seq, signed_ms;
	char head_hash[SHA256_HEX_SIZE]; /* of the last head */
	char id[CHAIN_ID_SIZE];
	uint8_t key[PUBLIC_KEY_SIZE];    /* that signs what comes */
	bool key_seen;                   /* one of `keys` signed a head since the last loss, and so vouches for what is before it, or for the key after it */
	int64_t key_changes;             /* heads that hand over to another key */
	int64_t key_losses;              /* heads by a key that no other one handed over to; the last of them: */
	struct chain_loss loss;
	int64_t from_seq, from_head;     /* after which it was begun; 0: it is whole */
	/* Head 1 may say which chain was there before the database was lost: its last head. "": none was known */
	char after[CHAIN_ID_SIZE], after_hash[SHA256_HEX_SIZE];
	int64_t after_head;
};
#define CHAIN_BEGIN ((struct chain){.hash = CHAIN_NOTHING, .head_hash = CHAIN_NOTHING})
/* Does the line (without its newline) come next? 0 with a receipt's body, owned, or NULL for a signed head, and *c moved on; or
 * -EBADMSG with a sentence in *ret_why (static), or -ENOMEM. */
int chain_follow(struct chain *c, const char *line, size_t len, cJSON **ret_body, const char **ret_why);

/* Appends {"head":BODY,"sig":"SIGNATURE"}, without a newline; `signature` is in base64, of a change of keys two with a dot between. */
int chain_head_line(struct buf *out, const char *body, const char *signature);
struct chain_signing {
	struct signing_key *key, *next; /* next: the key from here on, which signs too; NULL: the same */
	const char *why, *by;           /* the key that signed before is lost: why `key` goes on without it (shorter than CHAIN_WHY_MAX), and who
					 * said so; NULL: it is not */
	const struct chain *after;      /* for head 1: where the chain before it ended; NULL: not known */
	int64_t t;
	const char *trust;
};
/* A head's body for where the chain is, as number c->heads + 1, with the key's public half; and its signature, in base64. */
int chain_head_sign(const struct chain *c, const struct chain_signing *s, struct buf *ret_body, struct buf *ret_signature);
/* Where the chain is at the head that the line is, by its own words: no signature is checked. -EBADMSG: it is none. */
int chain_head_read(const char *line, size_t len, struct chain *ret);

/* For chain.c: is the line a head's, and does it come next? As chain_follow(). */
bool chain_head_is(const char *line, size_t len);
int chain_head_follow(struct chain *c, const char *line, size_t len, const char **ret_why);
