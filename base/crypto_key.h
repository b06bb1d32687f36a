/*
 * Private keys that sign, and the certificates that belong to them: EC on P-256 and RSA of 2048 bits or more, from PEM
 * (RFC 7468). Messages name what is wrong and never quote the text. With crypto.c the only files that include mbedTLS.
 */
#pragma once

#include "base/crypto.h"

#define KEY_SIGNATURE_MAX 1024 /* RSA of 8192 bits */

enum key_kind { KEY_EC_P256, KEY_RSA };

struct signing_key;
/* PKCS #8, SEC 1 or PKCS #1, without a password. 0, -ENOMEM, or -EBADMSG with a sentence in `why`. */
int signing_key_parse(const char *pem, size_t len, struct signing_key **ret, char *why, size_t why_size);
void signing_key_free(struct signing_key *k);
enum key_kind signing_key_kind(const struct signing_key *k);
/* Signs a SHA-256: ECDSA as DER (RFC 6979, so always the same), or RSA PKCS #1 v1.5. 0, -ENOMEM or -EIO. */
int signing_key_sign(struct signing_key *k, const uint8_t hash[static SHA256_SIZE], uint8_t out[static KEY_SIGNATURE_MAX],
	size_t *ret_len);

/* A new EC key on P-256. 0, -ENOMEM or -EIO. */
int signing_key_generate(struct signing_key **ret);
/* Appends the private key as PEM (SEC 1); wipe the buffer (buf_wipe()). 0, -ENOMEM or -EIO. */
int signing_key_print(struct signing_key *k, struct buf *out);

/* A public EC key on P-256 as SubjectPublicKeyInfo (RFC 5480): what `openssl pkey -pubout -outform DER` writes. */
#define PUBLIC_KEY_SIZE 91
/* Of a private key. -EINVAL: it is RSA. */
int signing_key_public(struct signing_key *k, uint8_t out[static PUBLIC_KEY_SIZE]);
/* From PEM and back. -EBADMSG: not one public key on P-256. */
int public_key_parse(const char *pem, size_t len, uint8_t out[static PUBLIC_KEY_SIZE]);
int public_key_print(const uint8_t key[static PUBLIC_KEY_SIZE], struct buf *out);
/* Is this (DER) the key's signature of the SHA-256? 0, -EKEYREJECTED: it is not; -EBADMSG: this is no key; -ENOMEM. */
int public_key_verify(
	const uint8_t key[static PUBLIC_KEY_SIZE], const uint8_t hash[static SHA256_SIZE], const void *signature, size_t len);

#define CERTIFICATES_MAX 6 /* the device's own and those between it and the root */

struct certificate {
	uint8_t *der; /* owned */
	size_t len;
	int64_t not_before, not_after; /* seconds since 1970; both still valid */
};
/* The device's own certificate first, then each that signed the one before. */
struct certificates {
	struct certificate list[CERTIFICATES_MAX];
	size_t n;         /* >= 1 */
	char *serial;     /* owned: of the first, in decimal, of any length */
	char subject[96]; /* of the first, for people */
};
/* 0, -ENOMEM, or -EBADMSG with a sentence in `why`. */
int certificates_parse(const char *pem, size_t len, struct certificates *ret, char *why, size_t why_size);
void certificates_clear(struct certificates *c);
/* Does the key belong to the first certificate? */
bool certificates_match(const struct certificates *c, struct signing_key *k);
