/* Hashes, HMAC, hex, base64 and random bytes. With crypto_key.c the files that include mbedTLS. */
#pragma once

#include "base/buf.h"

#define SHA256_SIZE     32
#define SHA256_HEX_SIZE 65 /* with NUL */

struct sha256;
int sha256_new(struct sha256 **ret);
void sha256_free(struct sha256 *h);
void sha256_update(struct sha256 *h, const void *data, size_t len);
/* Writes the digest; the state is fresh again after. */
void sha256_final(struct sha256 *h, uint8_t out[static SHA256_SIZE]);
void sha256_of(const void *data, size_t len, uint8_t out[static SHA256_SIZE]);
void sha256_hex_of(const void *data, size_t len, char out[static SHA256_HEX_SIZE]);
/* HMAC-SHA-256 (RFC 2104). 0 or -ENOMEM. */
int hmac_sha256(const void *key, size_t key_len, const void *data, size_t len, uint8_t out[static SHA256_SIZE]);

/* Lower case; out holds 2 * len + 1 bytes. */
void hex_encode(const void *data, size_t len, char *out);
/* Exactly 2 * len hex digits. 0 or -EINVAL. */
int hex_decode(const char *hex, void *out, size_t len);
/* RFC 4648 with padding. BASE64_SIZE(n) characters for n bytes, no NUL counted. */
#define BASE64_SIZE(n) (((n) + 2) / 3 * 4)
size_t base64_encode(const void *data, size_t len, char *out);
/* -EINVAL on anything but padded base64. */
int base64_decode(const char *s, size_t len, struct buf *out);
/* getrandom(); never fails on a booted system (aborts if it does). */
void random_bytes(void *out, size_t len);
/* Overwrites with zeroes in a way that the compiler keeps. */
void wipe(void *p, size_t len);
