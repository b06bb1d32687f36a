#include "cloud/sigv4_x509.h"

#include "cloud/sigv4_internal.h"

#define HEADER_MAX ((size_t)24 << 10) /* the transport takes 32 KiB */

static int add_der(struct buf *out, const struct certificate *c)
{
	void *to;
	int r = buf_reserve(out, BASE64_SIZE(c->len), &to);

	if (r < 0)
		return r;
	out->len += base64_encode(c->der, c->len, to);
	buf_terminate(out);
	return 0;
}

static int add_certificates(const struct certificates *c, struct request *req)
{
	_cleanup_buf_ struct buf own = BUF_MAX(HEADER_MAX), chain = BUF_MAX(HEADER_MAX);
	int r = add_der(&own, &c->list[0]);

	if (r >= 0)
		r = request_add_header(req, "x-amz-x509", buf_str(&own));
	for (size_t i = 1; r >= 0 && i < c->n; i++) {
		r = i > 1 ? buf_addc(&chain, ',') : 0;
		if (r >= 0)
			r = add_der(&chain, &c->list[i]);
	}
	return r < 0 || !chain.len ? r : request_add_header(req, "x-amz-x509-chain", buf_str(&chain));
}

static int sign_with_key(const void *ud, const struct sigv4_params *p, const char *date, const struct buf *to_sign,
	struct buf *out)
{
	struct signing_key *const *k = ud;
	uint8_t hash[SHA256_SIZE], signature[KEY_SIGNATURE_MAX];
	char hex[2 * KEY_SIGNATURE_MAX + 1];
	size_t len;
	int r;

	sha256_of(buf_str(to_sign), to_sign->len, hash);
	r = signing_key_sign(*k, hash, signature, &len);
	if (r < 0)
		return r;
	hex_encode(signature, len, hex);
	return buf_adds(out, hex);
}

int sigv4_sign_x509(const struct sigv4_params *p, const struct certificates *c, struct signing_key *k, struct request *req)
{
	const struct sigv4_signer by = {
		signing_key_kind(k) == KEY_RSA ? "AWS4-X509-RSA-SHA256" : "AWS4-X509-ECDSA-SHA256", c->serial, sign_with_key, &k};
	char date[SIGV4_DATE_SIZE];
	struct url u;
	int r;

	if (!*p->region || !*p->service || !req->method || !req->url || url_split(req->url, &u, NULL, 0) < 0)
		return -EINVAL;
	r = sigv4_date(p->now, date);
	if (r < 0)
		return r;
	sigv4_drop_headers(req);
	r = request_add_header(req, "x-amz-date", date);
	if (r >= 0)
		r = add_certificates(c, req);
	if (r >= 0)
		r = sigv4_authorize_by(p, &by, date, &u, req);
	if (r < 0)
		sigv4_drop_headers(req);
	return r == -EMSGSIZE || r == -E2BIG ? -ENOBUFS : MIN(r, 0);
}
