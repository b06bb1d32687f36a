#include "base/crypto_key.h"

#include <mbedtls/bignum.h>
#include <mbedtls/pk.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#include <stdio.h>
#include <time.h>

#include "base/text.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX ((size_t)KEY_SIGNATURE_MAX * 8)
#define SERIAL_MAX   128 /* bytes; RFC 5280 allows 20, and there are authorities that give more */

struct signing_key {
	mbedtls_pk_context pk;
	enum key_kind kind;
};

static int rng(void *ud, unsigned char *out, size_t len)
{
	random_bytes(out, len);
	return 0;
}

static int complain(char *why, size_t size, const char *text)
{
	snprintf(why, size, "%s", text);
	return -EBADMSG;
}

/* ---- what 2.28 and 3.6 call differently -------------------------------------------------------------------------- */

static int parse_key(mbedtls_pk_context *pk, const char *pem, size_t len)
{
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
	return mbedtls_pk_parse_key(pk, (const unsigned char *)pem, len + 1, NULL, 0, rng, NULL);
#else
	return mbedtls_pk_parse_key(pk, (const unsigned char *)pem, len + 1, NULL, 0);
#endif
}

static int check_pair(const mbedtls_pk_context *public, const mbedtls_pk_context *private)
{
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
	return mbedtls_pk_check_pair(public, private, rng, NULL);
#else
	return mbedtls_pk_check_pair(public, private);
#endif
}

static int sign(mbedtls_pk_context *pk, const uint8_t hash[static SHA256_SIZE], uint8_t *out, size_t *ret_len)
{
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
	return mbedtls_pk_sign(pk, MBEDTLS_MD_SHA256, hash, SHA256_SIZE, out, KEY_SIGNATURE_MAX, ret_len, rng, NULL);
#else
	return mbedtls_pk_sign(pk, MBEDTLS_MD_SHA256, hash, SHA256_SIZE, out, ret_len, rng, NULL);
#endif
}

static mbedtls_ecp_group_id curve_of(const mbedtls_pk_context *pk)
{
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
	return mbedtls_ecp_keypair_get_group_id(mbedtls_pk_ec(*pk));
#else
	return mbedtls_pk_ec(*pk)->grp.id;
#endif
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

static int key_problem(int r, char *why, size_t size)
{
	switch (r) {
	case MBEDTLS_ERR_PK_ALLOC_FAILED:
	case MBEDTLS_ERR_MPI_ALLOC_FAILED:
		return -ENOMEM;
	case MBEDTLS_ERR_PK_PASSWORD_REQUIRED:
	case MBEDTLS_ERR_PK_PASSWORD_MISMATCH:
		return complain(why, size, "the private key has a password; remove it, as with: openssl pkey -in KEY -out NEW");
	case MBEDTLS_ERR_PK_KEY_INVALID_FORMAT:
		return complain(why, size, "holds no private key in PEM (a line -----BEGIN PRIVATE KEY-----)");
	default:
		return complain(why, size, "the private key cannot be read; it must be EC on P-256, or RSA, in PEM");
	}
}

static int judge_key(struct signing_key *k, char *why, size_t size)
{
	switch (mbedtls_pk_get_type(&k->pk)) {
	case MBEDTLS_PK_ECKEY:
		if (curve_of(&k->pk) != MBEDTLS_ECP_DP_SECP256R1)
			return complain(why, size, "the private key is on another curve than P-256");
		k->kind = KEY_EC_P256;
		return 0;
	case MBEDTLS_PK_RSA:
		if (mbedtls_pk_get_bitlen(&k->pk) < RSA_BITS_MIN || mbedtls_pk_get_bitlen(&k->pk) > RSA_BITS_MAX)
			return complain(why, size, "the private RSA key has not 2048 to 8192 bits");
		k->kind = KEY_RSA;
		return 0;
	default:
		return complain(why, size, "the private key is neither EC on P-256 nor RSA");
	}
}

int signing_key_parse(const char *pem, size_t len, struct signing_key **ret, char *why, size_t why_size)
{
	struct signing_key *k;
	int r;

	if (strnlen(pem, len) != len || pem[len] != '\0')
		return complain(why, why_size, "is not a text file");
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	mbedtls_pk_init(&k->pk);
	r = parse_key(&k->pk, pem, len);
	r = r ? key_problem(r, why, why_size) : judge_key(k, why, why_size);
	if (r < 0) {
		signing_key_free(k);
		return r;
	}
	*ret = k;
	return 0;
}

void signing_key_free(struct signing_key *k)
{
	if (!k)
		return;
	mbedtls_pk_free(&k->pk); /* wipes */
	free(k);
}

enum key_kind signing_key_kind(const struct signing_key *k)
{
	return k->kind;
}

int signing_key_sign(struct signing_key *k, const uint8_t hash[static SHA256_SIZE], uint8_t out[static KEY_SIGNATURE_MAX],
	size_t *ret_len)
{
	int r = sign(&k->pk, hash, out, ret_len);

	return r == MBEDTLS_ERR_MPI_ALLOC_FAILED || r == MBEDTLS_ERR_PK_ALLOC_FAILED ? -ENOMEM : r ? -EIO : 0;
}

/* ---- keys of our own, and the public half of them ----------------------------------------------------------------- */

static int errno_of(int r)
{
	return r == 0 ? 0 : r == MBEDTLS_ERR_MPI_ALLOC_FAILED || r == MBEDTLS_ERR_PK_ALLOC_FAILED ? -ENOMEM : -EIO;
}

int signing_key_generate(struct signing_key **ret)
{
	struct signing_key *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	k->kind = KEY_EC_P256;
	mbedtls_pk_init(&k->pk);
	r = mbedtls_pk_setup(&k->pk, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
	if (r == 0)
		r = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(k->pk), rng, NULL);
	if (r != 0) {
		signing_key_free(k);
		return errno_of(r);
	}
	*ret = k;
	return 0;
}

int signing_key_print(struct signing_key *k, struct buf *out)
{
	unsigned char text[512]; /* a key on P-256 takes 227 */
	int r = k->kind == KEY_EC_P256 ? errno_of(mbedtls_pk_write_key_pem(&k->pk, text, sizeof(text))) : -EINVAL;

	if (r >= 0)
		r = buf_adds(out, (const char *)text);
	wipe(text, sizeof(text));
	return r;
}

/* mbedTLS writes from the end of the buffer, which is full when it is a key on P-256. */
static int write_public(mbedtls_pk_context *pk, uint8_t out[static PUBLIC_KEY_SIZE])
{
	uint8_t der[PUBLIC_KEY_SIZE];
	int r = mbedtls_pk_write_pubkey_der(pk, der, sizeof(der));

	if (r != PUBLIC_KEY_SIZE)
		return r < 0 ? errno_of(r) : -EBADMSG;
	memcpy(out, der, sizeof(der));
	return 0;
}

int signing_key_public(struct signing_key *k, uint8_t out[static PUBLIC_KEY_SIZE])
{
	return k->kind == KEY_EC_P256 ? write_public(&k->pk, out) : -EINVAL;
}

/* `text`: PEM with its NUL counted, or DER. */
static int read_public(mbedtls_pk_context *pk, const void *text, size_t len)
{
	int r = mbedtls_pk_parse_public_key(pk, text, len);

	if (r != 0)
		return errno_of(r) == -ENOMEM ? -ENOMEM : -EBADMSG;
	return mbedtls_pk_get_type(pk) == MBEDTLS_PK_ECKEY && curve_of(pk) == MBEDTLS_ECP_DP_SECP256R1 ? 0 : -EBADMSG;
}

int public_key_parse(const char *pem, size_t len, uint8_t out[static PUBLIC_KEY_SIZE])
{
	mbedtls_pk_context pk;
	int r;

	if (strnlen(pem, len) != len || pem[len] != '\0')
		return -EBADMSG;
	mbedtls_pk_init(&pk);
	r = read_public(&pk, pem, len + 1);
	if (r >= 0)
		r = write_public(&pk, out);
	mbedtls_pk_free(&pk);
	return r;
}

int public_key_print(const uint8_t key[static PUBLIC_KEY_SIZE], struct buf *out)
{
	unsigned char text[256]; /* one on P-256 takes 178 */
	mbedtls_pk_context pk;
	int r;

	mbedtls_pk_init(&pk);
	r = read_public(&pk, key, PUBLIC_KEY_SIZE);
	if (r >= 0)
		r = errno_of(mbedtls_pk_write_pubkey_pem(&pk, text, sizeof(text)));
	mbedtls_pk_free(&pk);
	return r < 0 ? r : buf_adds(out, (const char *)text);
}

int public_key_verify(
	const uint8_t key[static PUBLIC_KEY_SIZE], const uint8_t hash[static SHA256_SIZE], const void *signature, size_t len)
{
	mbedtls_pk_context pk;
	int r;

	mbedtls_pk_init(&pk);
	r = read_public(&pk, key, PUBLIC_KEY_SIZE);
	if (r >= 0) {
		r = mbedtls_pk_verify(&pk, MBEDTLS_MD_SHA256, hash, SHA256_SIZE, signature, len);
		r = r == 0 ? 0 : errno_of(r) == -ENOMEM ? -ENOMEM : -EKEYREJECTED;
	}
	mbedtls_pk_free(&pk);
	return r;
}

/* ---- certificates ------------------------------------------------------------------------------------------------ */

static int64_t seconds_of(const mbedtls_x509_time *t)
{
	struct tm tm = {.tm_year = t->year - 1900, .tm_mon = t->mon - 1, .tm_mday = t->day, .tm_hour = t->hour,
		.tm_min = t->min, .tm_sec = t->sec};

	return (int64_t)timegm(&tm);
}

static int serial_of(const mbedtls_x509_crt *x, char **ret, char *why, size_t size)
{
	char digits[SERIAL_MAX * 3 + 4];
	mbedtls_mpi n;
	size_t len;
	int r;

	if (!x->serial.len || x->serial.len > SERIAL_MAX || x->serial.p[0] & 0x80)
		return complain(why, size, "the certificate's serial number is negative or longer than 128 bytes");
	mbedtls_mpi_init(&n);
	r = mbedtls_mpi_read_binary(&n, x->serial.p, x->serial.len);
	if (r == 0)
		r = mbedtls_mpi_write_string(&n, 10, digits, sizeof(digits), &len);
	mbedtls_mpi_free(&n);
	*ret = r ? NULL : strdup(digits);
	return *ret ? 0 : -ENOMEM;
}

static int add_certificate(struct certificates *c, const mbedtls_x509_crt *x, char *why, size_t size)
{
	struct certificate *one = &c->list[c->n];

	if (c->n == CERTIFICATES_MAX)
		return complain(why, size, "holds more than 6 certificates; leave out what is not between the device and the root");
	one->der = malloc(x->raw.len);
	if (!one->der)
		return -ENOMEM;
	memcpy(one->der, x->raw.p, x->raw.len);
	one->len = x->raw.len;
	one->not_before = seconds_of(&x->valid_from);
	one->not_after = seconds_of(&x->valid_to);
	c->n++;
	return 0;
}

static int collect(const mbedtls_x509_crt *first, struct certificates *c, char *why, size_t size)
{
	char name[160] = "";
	int r = serial_of(first, &c->serial, why, size);

	for (const mbedtls_x509_crt *x = first; r >= 0 && x; x = x->next)
		r = add_certificate(c, x, why, size);
	if (mbedtls_x509_dn_gets(name, sizeof(name), &first->subject) > 0)
		text_safe_copy(c->subject, sizeof(c->subject), name);
	return r;
}

int certificates_parse(const char *pem, size_t len, struct certificates *ret, char *why, size_t why_size)
{
	struct certificates c = {};
	mbedtls_x509_crt x;
	int r;

	if (strnlen(pem, len) != len || pem[len] != '\0')
		return complain(why, why_size, "is not a text file");
	if (!strstr(pem, "-----BEGIN CERTIFICATE-----"))
		return complain(why, why_size, "holds no certificate in PEM (a line -----BEGIN CERTIFICATE-----)");
	mbedtls_x509_crt_init(&x);
	r = mbedtls_x509_crt_parse(&x, (const unsigned char *)pem, len + 1); /* > 0: some could not be read */
	if (r == MBEDTLS_ERR_X509_ALLOC_FAILED)
		r = -ENOMEM;
	else if (r != 0)
		r = complain(why, why_size, "holds a certificate that cannot be read");
	else
		r = collect(&x, &c, why, why_size);
	mbedtls_x509_crt_free(&x);
	if (r < 0) {
		certificates_clear(&c);
		return r;
	}
	*ret = c;
	return 0;
}

void certificates_clear(struct certificates *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->list[i].der);
	free(c->serial);
	*c = (struct certificates){};
}

bool certificates_match(const struct certificates *c, struct signing_key *k)
{
	mbedtls_x509_crt x;
	bool match;

	mbedtls_x509_crt_init(&x);
	match = mbedtls_x509_crt_parse_der(&x, c->list[0].der, c->list[0].len) == 0 && check_pair(&x.pk, &k->pk) == 0;
	mbedtls_x509_crt_free(&x);
	return match;
}
