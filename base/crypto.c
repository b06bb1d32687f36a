#include "base/crypto.h"

#include <mbedtls/md.h>
#include <sys/random.h>

/* mbedtls_md is the part of mbedTLS that is the same in 2.28 and 3.6. With a built-in SHA-256 its calls fail
 * only for want of memory in setup or for arguments of ours that are wrong; a wrong hash must never be used,
 * so that aborts. */
struct sha256 {
	mbedtls_md_context_t ctx;
};

static const mbedtls_md_info_t *info(void)
{
	const mbedtls_md_info_t *i = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);

	if (!i)
		abort();
	return i;
}

static void must(int r)
{
	if (r != 0)
		abort();
}

int sha256_new(struct sha256 **ret)
{
	struct sha256 *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	mbedtls_md_init(&h->ctx);
	if (mbedtls_md_setup(&h->ctx, info(), 0) != 0 || mbedtls_md_starts(&h->ctx) != 0) {
		sha256_free(h);
		return -ENOMEM;
	}
	*ret = h;
	return 0;
}

void sha256_free(struct sha256 *h)
{
	if (!h)
		return;
	mbedtls_md_free(&h->ctx);
	free(h);
}

void sha256_update(struct sha256 *h, const void *data, size_t len)
{
	if (len > 0)
		must(mbedtls_md_update(&h->ctx, data, len));
}

void sha256_final(struct sha256 *h, uint8_t out[static SHA256_SIZE])
{
	must(mbedtls_md_finish(&h->ctx, out));
	must(mbedtls_md_starts(&h->ctx));
}

void sha256_of(const void *data, size_t len, uint8_t out[static SHA256_SIZE])
{
	must(mbedtls_md(info(), len ? data : (const void *)"", len, out));
}

void sha256_hex_of(const void *data, size_t len, char out[static SHA256_HEX_SIZE])
{
	uint8_t digest[SHA256_SIZE];

	sha256_of(data, len, digest);
	hex_encode(digest, sizeof(digest), out);
}

int hmac_sha256(
	const void *key, size_t key_len, const void *data, size_t len, uint8_t out[static SHA256_SIZE])
{
	int r = mbedtls_md_hmac(
		info(), key_len ? key : (const void *)"", key_len, len ? data : (const void *)"", len, out);

	if (r == MBEDTLS_ERR_MD_ALLOC_FAILED)
		return -ENOMEM;
	must(r);
	return 0;
}

void hex_encode(const void *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * len] = 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int hex_decode(const char *hex, void *out, size_t len)
{
	uint8_t *p = out;

	if (strnlen(hex, 2 * len + 1) != 2 * len)
		return -EINVAL;
	for (size_t i = 0; i < 2 * len; i++)
		if (hex_digit(hex[i]) < 0)
			return -EINVAL;
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)((unsigned int)hex_digit(hex[2 * i]) * 16 +
				 (unsigned int)hex_digit(hex[2 * i + 1]));
	return 0;
}

size_t base64_encode(const void *data, size_t len, char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *p = data;
	char *o = out;
	size_t i;

	for (i = 0; i + 3 <= len; i += 3) {
		*o++ = digits[p[i] >> 2];
		*o++ = digits[(p[i] & 3) << 4 | p[i + 1] >> 4];
		*o++ = digits[(p[i + 1] & 15) << 2 | p[i + 2] >> 6];
		*o++ = digits[p[i + 2] & 63];
	}
	if (len - i > 0) {
		bool two = len - i == 2;

		*o++ = digits[p[i] >> 2];
		*o++ = digits[(p[i] & 3) << 4 | (two ? p[i + 1] >> 4 : 0)];
		*o++ = two ? digits[(p[i + 1] & 15) << 2] : '=';
		*o++ = '=';
	}
	return (size_t)(o - out);
}

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four characters to 1..3 bytes; padding only where `last`. Bits that padding leaves over must be zero, so
 * that two texts never stand for the same bytes (RFC 4648, 3.5). Returns the count or -EINVAL. */
static int base64_quad(const char *s, bool last, uint8_t out[static 3])
{
	int d[4], n = 4;

	if (last && s[3] == '=')
		n = s[2] == '=' ? 2 : 3;
	for (int i = 0; i < 4; i++) {
		d[i] = i < n ? base64_digit(s[i]) : 0;
		if (d[i] < 0)
			return -EINVAL;
	}
	if ((n == 2 && (d[1] & 15)) || (n == 3 && (d[2] & 3)))
		return -EINVAL;
	out[0] = (uint8_t)(d[0] << 2 | d[1] >> 4);
	out[1] = (uint8_t)(d[1] << 4 | d[2] >> 2);
	out[2] = (uint8_t)(d[2] << 6 | d[3]);
	return n - 1;
}

int base64_decode(const char *s, size_t len, struct buf *out)
{
	size_t before = out->len;
	void *p;
	int r;

	if (len % 4 != 0)
		return -EINVAL;
	r = buf_reserve(out, len / 4 * 3, &p);
	if (r < 0)
		return r;
	for (size_t i = 0; i < len; i += 4) {
		uint8_t three[3];
		int n = base64_quad(s + i, i + 4 == len, three);

		if (n < 0) {
			out->len = before;
			buf_terminate(out);
			return n;
		}
		memcpy(out->data + out->len, three, (size_t)n);
		out->len += (size_t)n;
	}
	buf_terminate(out);
	return 0;
}

void random_bytes(void *out, size_t len)
{
	char *p = out;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			abort();
		p += n;
		len -= (size_t)n;
	}
}

void wipe(void *p, size_t len)
{
	if (len > 0)
		explicit_bzero(p, len);
}
