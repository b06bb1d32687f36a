#include "cloud/sigv4.h"

#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "cloud/sigv4_internal.h"
#include "cloud/url.h"

#define CANONICAL_MAX ((size_t)64 << 10)
#define QUERY_MAX     64
#define SCOPE_SIZE    160

/* Intermediaries may change these, or curl sets them itself. Source: the SDKs' lists of unsignable headers. */
static const char *const never_signed[] = {
	"authorization",
	"cache-control",
	"connection",
	"expect",
	"from",
	"keep-alive",
	"max-forwards",
	"pragma",
	"referer",
	"te",
	"trailer",
	"transfer-encoding",
	"upgrade",
	"user-agent",
	"x-amzn-trace-id",
};

/* What the signers themselves add; dropped first, so that a request can be signed again. */
static const char *const own_headers[] = {"x-amz-date", "x-amz-security-token", "x-amz-content-sha256", "x-amz-x509",
	"x-amz-x509-chain", "authorization"};

int sigv4_encode_label(const char *s, struct buf *out)
{
	return url_encode(s, strlen(s), "", out);
}

int sigv4_date(int64_t seconds, char out[static SIGV4_DATE_SIZE])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (seconds < 0 || seconds > INT64_C(253402300799) || (int64_t)t != seconds || !gmtime_r(&t, &tm))
		return -EINVAL;
	return strftime(out, SIGV4_DATE_SIZE, "%Y%m%dT%H%M%SZ", &tm) == SIGV4_DATE_SIZE - 1 ? 0 : -EINVAL;
}

/* ---- headers ----------------------------------------------------------------------------------------------------- */

struct canonical_header {
	char name[64]; /* lower case */
	const char *value;
};

static bool is_never_signed(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(never_signed); i++) {
		if (streq(name, never_signed[i]))
			return true;
	}
	return starts_with(name, "proxy-") || starts_with(name, "sec-");
}

/* A token of RFC 9110, in lower case. */
static int lower_name(const char *name, char *out, size_t size)
{
	size_t len = strlen(name);

	if (!len || len >= size)
		return -EINVAL;
	for (size_t i = 0; i <= len; i++) {
		char c = name[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c + 32);
		else if (c && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && !strchr("!#$%&'*+-.^_`|~", c))
			return -EINVAL;
		out[i] = c;
	}
	return 0;
}

/* Control characters (tabs too: how they collapse is not defined) would be signed differently than sent. */
static bool value_ok(const char *v)
{
	for (; *v; v++) {
		if ((unsigned char)*v < 0x20 || *v == 0x7f)
			return false;
	}
	return true;
}

static int compare_headers(const void *a, const void *b)
{
	return strcmp(((const struct canonical_header *)a)->name, ((const struct canonical_header *)b)->name);
}

/* Sorted; -EINVAL on a name given twice, on Host (curl sends its own) and on what cannot be signed as sent. */
static int collect_headers(const struct request *req, const char *host, struct canonical_header *out, size_t *ret_n)
{
	size_t n = 0;

	strcpy(out[n].name, "host");
	out[n++].value = host;
	for (size_t i = 0; i < req->n_headers; i++) {
		struct canonical_header *h = &out[n];

		if (lower_name(req->headers[i].name, h->name, sizeof(h->name)) < 0 || !value_ok(req->headers[i].value))
			return -EINVAL;
		if (is_never_signed(h->name))
			continue;
		h->value = req->headers[i].value;
		n++;
	}
	qsort(out, n, sizeof(*out), compare_headers);
	for (size_t i = 1; i < n; i++) {
		if (streq(out[i - 1].name, out[i].name))
			return -EINVAL;
	}
	*ret_n = n;
	return 0;
}

/* Trimmed, inner runs of blanks as one. */
static int add_value(struct buf *out, const char *v)
{
	bool blank = false, any = false;

	for (; *v; v++) {
		int r;

		if (*v == ' ') {
			blank = true;
			continue;
		}
		r = blank && any ? buf_addc(out, ' ') : 0;
		if (r >= 0)
			r = buf_addc(out, *v);
		if (r < 0)
			return r;
		blank = false;
		any = true;
	}
	return 0;
}

static int add_headers(const struct request *req, const struct url *u, struct buf *out, struct buf *names)
{
	struct canonical_header h[REQUEST_HEADERS_MAX + 1];
	char host[272];
	size_t n;
	int r;

	if (url_host_header(u, host, sizeof(host)) < 0)
		return -EINVAL;
	r = collect_headers(req, host, h, &n);
	for (size_t i = 0; r >= 0 && i < n; i++) {
		r = buf_addf(out, "%s:", h[i].name);
		if (r >= 0)
			r = add_value(out, h[i].value);
		if (r >= 0)
			r = buf_addc(out, '\n');
		if (r >= 0)
			r = buf_addf(names, "%s%s", i ? ";" : "", h[i].name);
	}
	return r;
}

/* ---- path and query ---------------------------------------------------------------------------------------------- */

/* The path as sent, encoded once more; S3: encoded exactly once, whatever form it was sent in. */
static int add_path(const struct url *u, bool single_encode, struct buf *out)
{
	_cleanup_buf_ struct buf plain = BUF_MAX(URL_MAX);
	int r;

	if (!single_encode) {
		/* AWS folds empty segments before it signs: a path that has them would need the same */
		if (memmem(u->path, u->path_len, "//", 2))
			return -EINVAL;
		return url_encode(u->path, u->path_len, "/", out);
	}
	r = url_decode(u->path, u->path_len, &plain);
	return r < 0 ? r : url_encode(buf_str(&plain), plain.len, "/", out);
}

struct query_pair {
	struct buf name, value; /* encoded */
};

static void free_pairs(struct query_pair *q, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_free(&q[i].name);
		buf_free(&q[i].value);
	}
}

static int compare_pairs(const void *a, const void *b)
{
	const struct query_pair *x = a, *y = b;
	int c = strcmp(buf_str(&x->name), buf_str(&y->name));

	return c ? c : strcmp(buf_str(&x->value), buf_str(&y->value));
}

static int encode_again(const char *s, size_t len, struct buf *out)
{
	_cleanup_buf_ struct buf plain = BUF_MAX(URL_MAX);
	int r = url_decode(s, len, &plain);

	return r < 0 ? r : url_encode(buf_str(&plain), plain.len, "", out);
}

static int parse_pair(const char *s, size_t len, struct query_pair *q)
{
	const char *eq = memchr(s, '=', len);
	size_t name_len = eq ? (size_t)(eq - s) : len;
	int r = encode_again(s, name_len, &q->name);

	if (r < 0 || !eq)
		return r;
	return encode_again(eq + 1, len - name_len - 1, &q->value);
}

static int parse_query(const struct url *u, struct query_pair *q, size_t *n)
{
	const char *s = u->query, *end = u->query + u->query_len;

	while (s < end) {
		const char *amp = memchr(s, '&', (size_t)(end - s));
		const char *stop = amp ? amp : end;
		int r;

		if (stop > s) {
			if (*n == QUERY_MAX)
				return -EINVAL;
			r = parse_pair(s, (size_t)(stop - s), &q[(*n)++]);
			if (r < 0)
				return r;
		}
		s = stop + 1;
	}
	return 0;
}

static int add_query(const struct url *u, struct buf *out)
{
	struct query_pair q[QUERY_MAX] = {};
	size_t n = 0;
	int r;

	if (!u->query)
		return 0;
	r = parse_query(u, q, &n);
	if (r >= 0)
		qsort(q, n, sizeof(q[0]), compare_pairs);
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = buf_addf(out, "%s%s=%s", i ? "&" : "", buf_str(&q[i].name), buf_str(&q[i].value));
	free_pairs(q, QUERY_MAX);
	return r;
}

/* ---- the stages -------------------------------------------------------------------------------------------------- */

int sigv4_canonical_request(
	const struct request *req, const struct url *u, bool single_encode, struct buf *out, struct buf *ret_signed)
{
	char hash[SHA256_HEX_SIZE];
	int r = buf_addf(out, "%s\n", req->method);

	if (r >= 0)
		r = add_path(u, single_encode, out);
	if (r >= 0)
		r = buf_addc(out, '\n');
	if (r >= 0)
		r = add_query(u, out);
	if (r >= 0)
		r = buf_addc(out, '\n');
	if (r >= 0)
		r = add_headers(req, u, out, ret_signed);
	if (r < 0)
		return r;
	hex_encode(req->body_sha256, sizeof(req->body_sha256), hash);
	return buf_addf(out, "\n%s\n%s", buf_str(ret_signed), hash);
}

static int string_to_sign(
	const char *algorithm, const char *date, const char *scope, const struct buf *canonical, struct buf *out)
{
	char hash[SHA256_HEX_SIZE];

	sha256_hex_of(buf_str(canonical), canonical->len, hash);
	return buf_addf(out, "%s\n%s\n%s\n%s", algorithm, date, scope, hash);
}

static int sign_hmac(const void *ud, const struct sigv4_params *p, const char *date, const struct buf *to_sign,
	struct buf *out)
{
	const struct creds *c = ud;
	char start[4 + sizeof(c->secret_key)], signature[SHA256_HEX_SIZE];
	uint8_t key[2][SHA256_SIZE];
	int r;

	snprintf(start, sizeof(start), "AWS4%s", c->secret_key);
	r = hmac_sha256(start, strlen(start), date, 8, key[0]);
	wipe(start, sizeof(start));
	if (r >= 0)
		r = hmac_sha256(key[0], SHA256_SIZE, p->region, strlen(p->region), key[1]);
	if (r >= 0)
		r = hmac_sha256(key[1], SHA256_SIZE, p->service, strlen(p->service), key[0]);
	if (r >= 0)
		r = hmac_sha256(key[0], SHA256_SIZE, "aws4_request", 12, key[1]);
	if (r >= 0)
		r = hmac_sha256(key[1], SHA256_SIZE, buf_str(to_sign), to_sign->len, key[0]);
	if (r >= 0)
		hex_encode(key[0], SHA256_SIZE, signature);
	wipe(key, sizeof(key));
	return r < 0 ? r : buf_adds(out, signature);
}

/* ---- signing ----------------------------------------------------------------------------------------------------- */

static void drop_header(struct request *req, const char *name)
{
	for (size_t i = 0; i < req->n_headers;) {
		struct header *h = &req->headers[i];

		if (strcasecmp(h->name, name) != 0) {
			i++;
			continue;
		}
		wipe(h->value, strlen(h->value));
		free(h->name);
		free(h->value);
		req->n_headers--;
		memmove(h, h + 1, (req->n_headers - i) * sizeof(*h));
	}
}

void sigv4_drop_headers(struct request *req)
{
	for (size_t i = 0; i < ARRAY_SIZE(own_headers); i++)
		drop_header(req, own_headers[i]);
}

static int add_own_headers(const struct sigv4_params *p, const struct creds *c, const char *date, struct request *req)
{
	char hash[SHA256_HEX_SIZE];
	int r = request_add_header(req, "x-amz-date", date);

	if (r >= 0 && p->single_encode) {
		hex_encode(req->body_sha256, sizeof(req->body_sha256), hash);
		r = request_add_header(req, "x-amz-content-sha256", hash);
	}
	if (r >= 0 && c->token && *c->token)
		r = request_add_header(req, "x-amz-security-token", c->token);
	return r;
}

int sigv4_authorize_by(const struct sigv4_params *p, const struct sigv4_signer *by, const char *date,
	const struct url *u, struct request *req)
{
	_cleanup_(buf_wipe) struct buf canonical = BUF_MAX(CANONICAL_MAX); /* holds the session token */
	_cleanup_buf_ struct buf names = BUF_MAX(4096), to_sign = BUF_MAX(4096), value = BUF_MAX(8192);
	char scope[SCOPE_SIZE];
	int r;

	r = str_format(scope, sizeof(scope), "%.8s/%s/%s/aws4_request", date, p->region, p->service);
	if (r >= 0) /* in one block: growing would leave copies of the session token behind */
		r = buf_reserve(&canonical, CANONICAL_MAX, NULL);
	if (r >= 0)
		r = sigv4_canonical_request(req, u, p->single_encode, &canonical, &names);
	if (r >= 0)
		r = string_to_sign(by->algorithm, date, scope, &canonical, &to_sign);
	if (r >= 0)
		r = buf_addf(&value, "%s Credential=%s/%s, SignedHeaders=%s, Signature=", by->algorithm, by->identity, scope,
			buf_str(&names));
	if (r >= 0)
		r = by->sign(by->ud, p, date, &to_sign, &value);
	return r < 0 ? r : request_add_header(req, "authorization", buf_str(&value));
}

int sigv4_authorize(const struct sigv4_params *p, const struct creds *c, const char *date, const struct url *u,
	struct request *req)
{
	const struct sigv4_signer by = {"AWS4-HMAC-SHA256", c->access_key, sign_hmac, c};

	return sigv4_authorize_by(p, &by, date, u, req);
}

int sigv4_sign(const struct sigv4_params *p, const struct creds *c, struct request *req)
{
	char date[SIGV4_DATE_SIZE];
	struct url u;
	int r;

	if (!p->region || !*p->region || !p->service || !*p->service || !*c->access_key || !*c->secret_key ||
		!req->method || !req->url || url_split(req->url, &u, NULL, 0) < 0)
		return -EINVAL;
	r = sigv4_date(p->now, date);
	if (r < 0)
		return r;
	sigv4_drop_headers(req);
	r = add_own_headers(p, c, date, req);
	if (r >= 0)
		r = sigv4_authorize(p, c, date, &u, req);
	if (r < 0)
		sigv4_drop_headers(req);
	return r == -EMSGSIZE || r == -E2BIG ? -ENOBUFS : MIN(r, 0);
}

int sigv4_bearer(const struct creds *c, struct request *req)
{
	_cleanup_(buf_wipe) struct buf value = BUF_MAX((size_t)20 << 10);
	int r = buf_reserve(&value, strlen(c->bearer) + 8, NULL); /* in one block */

	sigv4_drop_headers(req);
	if (r >= 0)
		r = buf_addf(&value, "Bearer %s", c->bearer);
	if (r >= 0)
		r = request_add_header(req, "authorization", buf_str(&value));
	return r == -EMSGSIZE || r == -E2BIG ? -ENOBUFS : MIN(r, 0);
}
