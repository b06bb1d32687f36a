#include <fcntl.h>

#include "base/fileio.h"
#include "cloud/body.h"
#include "cloud/sigv4_internal.h"
#include "cloud/sigv4_x509.h"
#include "tests/unit/request_make.h"
#include "tests/unit/test.h"

#define NOW INT64_C(1795219200) /* 20261121T000000Z */

static const struct sigv4_params params = {"ap-southeast-2", "rolesanywhere", NOW, false};

static void load(const char *name, struct buf *out)
{
	char path[512];

	CHECK(str_format(path, sizeof(path), "%sx509/%s", test_data(), name) > 0);
	CHECK_INT(file_read(AT_FDCWD, path, 65536, out), 0);
}

static void load_pair(const char *cert, const char *key, struct certificates *c, struct signing_key **k)
{
	_cleanup_buf_ struct buf a = {}, b = {};
	char why[256];

	load(cert, &a);
	load(key, &b);
	CHECK_INT(certificates_parse(buf_str(&a), a.len, c, why, sizeof(why)), 0);
	CHECK_INT(signing_key_parse(buf_str(&b), b.len, k, why, sizeof(why)), 0);
}

static void make(struct request *r)
{
	*r = (struct request){.method = "POST", .url = strdup("https://rolesanywhere.ap-southeast-2.amazonaws.com/sessions")};
	CHECK(r->url && request_add_header(r, "Content-Type", "application/json") == 0);
	CHECK(add_text(r, "{}") == 0 && body_hash(r) == 0);
}

/* The signature is that of the string to sign, written here once more from the request as it is. */
static void check_signature(struct request *r, struct signing_key *k, const char *algorithm, const char *serial, const char *names)
{
	_cleanup_buf_ struct buf canonical = {}, signed_names = {}, want = {};
	uint8_t hash[SHA256_SIZE], sig[KEY_SIGNATURE_MAX];
	char hex[2 * KEY_SIGNATURE_MAX + 1], text_hash[SHA256_HEX_SIZE], to_sign[512];
	struct url u;
	size_t len;

	CHECK(url_split(r->url, &u, NULL, 0) == 0);
	CHECK_INT(sigv4_canonical_request(r, &u, false, &canonical, &signed_names), 0);
	sha256_hex_of(canonical.data, canonical.len, text_hash);
	CHECK(str_format(to_sign, sizeof(to_sign), "%s\n20261121T000000Z\n20261121/ap-southeast-2/rolesanywhere/aws4_request\n%s",
		      algorithm, text_hash) > 0);
	sha256_of(to_sign, strlen(to_sign), hash);
	CHECK_INT(signing_key_sign(k, hash, sig, &len), 0);
	hex_encode(sig, len, hex);
	CHECK(buf_addf(&want,
		      "%s Credential=%s/20261121/ap-southeast-2/rolesanywhere/aws4_request, SignedHeaders=%s, Signature=%s",
		      algorithm, serial, names, hex) == 0);
	CHECK_STR(request_header(r, "authorization"), buf_str(&want));
}

TEST(ec_with_a_chain)
{
	struct certificates c;
	struct signing_key *k;
	struct request r;
	size_t n;

	load_pair("chain.pem", "ec.key", &c, &k);
	make(&r);
	CHECK_INT(sigv4_sign_x509(&params, &c, k, &r), 0);
	n = r.n_headers;
	CHECK(starts_with(request_header(&r, "x-amz-x509"), "MII") && starts_with(request_header(&r, "x-amz-x509-chain"), "MII"));
	CHECK(!strchr(request_header(&r, "x-amz-x509-chain"), ','));
	CHECK_STR(request_header(&r, "x-amz-date"), "20261121T000000Z");
	/* authorization itself is not signed: it is taken off before the string is written again */
	check_signature(&r, k, "AWS4-X509-ECDSA-SHA256", "730344845988415097185401048072226831495695551401",
		"content-type;host;x-amz-date;x-amz-x509;x-amz-x509-chain");
	CHECK_INT(sigv4_sign_x509(&params, &c, k, &r), 0); /* again, and nothing is there twice */
	CHECK_INT(r.n_headers, n);
	request_free(&r);
	signing_key_free(k);
	certificates_clear(&c);
}

TEST(rsa_alone)
{
	struct certificates c;
	struct signing_key *k;
	struct request r;

	load_pair("rsa.pem", "rsa.key", &c, &k);
	make(&r);
	CHECK_INT(sigv4_sign_x509(&params, &c, k, &r), 0);
	CHECK(!request_header(&r, "x-amz-x509-chain"));
	check_signature(&r, k, "AWS4-X509-RSA-SHA256", "255", "content-type;host;x-amz-date;x-amz-x509");
	request_free(&r);
	signing_key_free(k);
	certificates_clear(&c);
}

TEST(what_cannot_be_signed_is_left_as_it_was)
{
	struct sigv4_params early = params;
	struct certificates c;
	struct signing_key *k;
	struct request r;

	load_pair("rsa.pem", "rsa.key", &c, &k);
	make(&r);
	early.now = -1;
	CHECK_INT(sigv4_sign_x509(&early, &c, k, &r), -EINVAL);
	CHECK(request_add_header(&r, "Host", "elsewhere.example") == 0);
	CHECK_INT(sigv4_sign_x509(&params, &c, k, &r), -EINVAL);
	CHECK(!request_header(&r, "authorization") && !request_header(&r, "x-amz-x509"));
	request_free(&r);
	signing_key_free(k);
	certificates_clear(&c);
}
