#include "base/crypto_key.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/fileio.h"
#include "tests/unit/test.h"

static char why[256];

static void load(const char *name, struct buf *out)
{
	char path[512];

	CHECK(str_format(path, sizeof(path), "%sx509/%s", test_data(), name) > 0);
	CHECK_INT(file_read(AT_FDCWD, path, 65536, out), 0);
}

static struct signing_key *load_key(const char *name)
{
	_cleanup_buf_ struct buf pem = {};
	struct signing_key *k = NULL;

	load(name, &pem);
	if (signing_key_parse(buf_str(&pem), pem.len, &k, why, sizeof(why)) < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", name, why);
	return k;
}

static void load_certificates(const char *name, struct certificates *c)
{
	_cleanup_buf_ struct buf pem = {};

	load(name, &pem);
	if (certificates_parse(buf_str(&pem), pem.len, c, why, sizeof(why)) < 0)
		test_fail(__FILE__, __LINE__, "%s: %s", name, why);
}

/* RFC 6979, A.2.5: with SHA-256, message "sample". */
TEST(ec_signatures_are_those_of_the_rfc)
{
	static const char *const files[] = {"ec.key", "ec-pkcs8.key"};
	static const char want[] = "3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
				   "022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";
	uint8_t hash[SHA256_SIZE], sig[KEY_SIGNATURE_MAX];
	char hex[2 * KEY_SIGNATURE_MAX + 1];
	size_t len;

	sha256_of("sample", 6, hash);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct signing_key *k = load_key(files[i]);

		CHECK(signing_key_kind(k) == KEY_EC_P256);
		CHECK_INT(signing_key_sign(k, hash, sig, &len), 0);
		hex_encode(sig, len, hex);
		CHECK_STR(hex, want);
		signing_key_free(k);
	}
}

TEST(rsa_signatures_are_those_of_openssl)
{
	static const char *const files[] = {"rsa.key", "rsa-pkcs1.key"};
	uint8_t hash[SHA256_SIZE], sig[KEY_SIGNATURE_MAX];
	_cleanup_buf_ struct buf want = {};
	size_t len;

	load("rsa.sig", &want);
	sha256_of("sample", 6, hash);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct signing_key *k = load_key(files[i]);

		CHECK(signing_key_kind(k) == KEY_RSA);
		CHECK_INT(signing_key_sign(k, hash, sig, &len), 0);
		CHECK(len == 256 && want.len == 256 && memcmp(sig, want.data, len) == 0);
		signing_key_free(k);
	}
	signing_key_free(NULL);
}

TEST(keys_that_are_refused_say_why)
{
	static const struct {
		const char *file, *say;
	} cases[] = {
		{"p384.key", "another curve"},
		{"rsa1024.key", "2048"},
		{"ec-password.key", "openssl pkey"},
		{"ed25519.key", "private key"},
		{"ec.pem", "holds no private key"},
		{"rsa.sig", "not a text file"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf pem = {};
		struct signing_key *k = NULL;

		load(cases[i].file, &pem);
		CHECK_INT(signing_key_parse(buf_str(&pem), pem.len, &k, why, sizeof(why)), -EBADMSG);
		if (k || !strstr(why, cases[i].say))
			test_fail(__FILE__, __LINE__, "%s: %s", cases[i].file, why);
	}
}

/* Cut at every length, and with every byte changed: an error or a key, and nothing else. */
TEST(damaged_keys_and_certificates)
{
	static const char *const files[] = {"ec.key", "chain.pem"};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_buf_ struct buf pem = {};

		load(files[i], &pem);
		for (size_t n = 0; n < pem.len; n++) {
			char *copy = strndup(pem.data, n);
			struct certificates c = {};
			struct signing_key *k = NULL;

			CHECK(copy);
			if (signing_key_parse(copy, n, &k, why, sizeof(why)) == 0)
				CHECK(n > pem.len - 3);
			(void)certificates_parse(copy, n, &c, why, sizeof(why)); /* the first alone may be whole */
			signing_key_free(k);
			certificates_clear(&c);
			free(copy);
		}
		for (size_t n = 0; n < pem.len; n++) {
			char was = pem.data[n];
			struct certificates c = {};
			struct signing_key *k = NULL;

			pem.data[n] = (char)(was == 'A' ? 'B' : 'A');
			(void)signing_key_parse(pem.data, pem.len, &k, why, sizeof(why));
			(void)certificates_parse(pem.data, pem.len, &c, why, sizeof(why));
			signing_key_free(k);
			certificates_clear(&c);
			pem.data[n] = was;
		}
	}
}

TEST(certificates_tell_serial_dates_and_chain)
{
	struct certificates c;

	load_certificates("chain.pem", &c);
	CHECK_INT(c.n, 2);
	CHECK_STR(c.serial, "730344845988415097185401048072226831495695551401"); /* 0x7fed...cba9 */
	CHECK_STR(c.subject, "CN=scanner-1");
	CHECK_INT(c.list[0].not_before, 1767323045); /* 2026-01-02T03:04:05Z */
	CHECK_INT(c.list[0].not_after, INT64_C(2429913599)); /* 2046-12-31T23:59:59Z */
	CHECK(c.list[0].der[0] == 0x30 && c.list[1].der[0] == 0x30);
	certificates_clear(&c);
	CHECK(c.n == 0 && !c.serial);
	load_certificates("rsa.pem", &c);
	CHECK_STR(c.serial, "255");
	CHECK_INT(c.n, 1);
	certificates_clear(&c);
}

TEST(a_key_belongs_to_its_certificate_alone)
{
	struct signing_key *ec = load_key("ec.key"), *rsa = load_key("rsa.key");
	struct certificates c;

	load_certificates("chain.pem", &c);
	CHECK(certificates_match(&c, ec) && !certificates_match(&c, rsa));
	certificates_clear(&c);
	load_certificates("rsa.pem", &c);
	CHECK(!certificates_match(&c, ec) && certificates_match(&c, rsa));
	certificates_clear(&c);
	load_certificates("root.pem", &c);
	CHECK(!certificates_match(&c, ec) && !certificates_match(&c, rsa));
	certificates_clear(&c);
	signing_key_free(ec);
	signing_key_free(rsa);
}

TEST(certificate_files_that_are_refused)
{
	static const struct {
		const char *file, *say;
	} cases[] = {
		{"ec.key", "holds no certificate"},
		{"seven.pem", "more than 6"},
		{"rsa.sig", "not a text file"},
	};
	static const char broken[] = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n";
	struct certificates c = {};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf pem = {};

		load(cases[i].file, &pem);
		CHECK_INT(certificates_parse(buf_str(&pem), pem.len, &c, why, sizeof(why)), -EBADMSG);
		if (!strstr(why, cases[i].say))
			test_fail(__FILE__, __LINE__, "%s: %s", cases[i].file, why);
	}
	CHECK_INT(certificates_parse(broken, strlen(broken), &c, why, sizeof(why)), -EBADMSG);
	CHECK(strstr(why, "cannot be read"));
}

/* ---- keys of our own ---------------------------------------------------------------------------------------------- */

TEST(a_new_key_signs_and_comes_back_from_its_text)
{
	uint8_t hash[SHA256_SIZE], sig[KEY_SIGNATURE_MAX], again[KEY_SIGNATURE_MAX], public[PUBLIC_KEY_SIZE], other[PUBLIC_KEY_SIZE];
	_cleanup_(buf_wipe) struct buf pem = {};
	struct signing_key *k = NULL, *second = NULL;
	size_t len, len_again;

	CHECK_INT(signing_key_generate(&k), 0);
	CHECK_INT(signing_key_print(k, &pem), 0);
	CHECK(starts_with(buf_str(&pem), "-----BEGIN EC PRIVATE KEY-----\n"));
	CHECK_INT(signing_key_parse(buf_str(&pem), pem.len, &second, why, sizeof(why)), 0);
	sha256_of("head", 4, hash);
	CHECK_INT(signing_key_sign(k, hash, sig, &len), 0);
	CHECK_INT(signing_key_sign(second, hash, again, &len_again), 0);
	CHECK(len == len_again && memcmp(sig, again, len) == 0);
	CHECK_INT(signing_key_public(second, public), 0);
	CHECK_INT(public_key_verify(public, hash, sig, len), 0);
	signing_key_free(second);
	/* Another new one is another one. */
	CHECK_INT(signing_key_generate(&second), 0);
	CHECK_INT(signing_key_public(second, other), 0);
	CHECK(memcmp(public, other, sizeof(other)) != 0);
	CHECK_INT(public_key_verify(other, hash, sig, len), -EKEYREJECTED);
	signing_key_free(second);
	signing_key_free(k);
}

TEST(a_changed_hash_signature_or_key_is_refused)
{
	uint8_t hash[SHA256_SIZE], sig[KEY_SIGNATURE_MAX], public[PUBLIC_KEY_SIZE];
	struct signing_key *k = load_key("ec.key");
	size_t len;

	sha256_of("sample", 6, hash);
	CHECK_INT(signing_key_sign(k, hash, sig, &len), 0);
	CHECK_INT(signing_key_public(k, public), 0);
	signing_key_free(k);
	CHECK_INT(public_key_verify(public, hash, sig, len), 0);
	for (size_t i = 0; i < len; i++) {
		sig[i] ^= 1;
		CHECK_INT(public_key_verify(public, hash, sig, len), -EKEYREJECTED);
		sig[i] ^= 1;
	}
	CHECK_INT(public_key_verify(public, hash, sig, len - 1), -EKEYREJECTED);
	CHECK_INT(public_key_verify(public, hash, sig, len + 1), -EKEYREJECTED);
	for (size_t i = 0; i < sizeof(hash); i++) {
		hash[i] ^= 0x80;
		CHECK_INT(public_key_verify(public, hash, sig, len), -EKEYREJECTED);
		hash[i] ^= 0x80;
	}
	for (size_t i = 0; i < sizeof(public); i++) {
		public[i] ^= 4;
		CHECK(public_key_verify(public, hash, sig, len) < 0);
		public[i] ^= 4;
	}
}

TEST(public_keys_are_one_text_and_of_one_curve)
{
	static const char *const others[] = {"rsa.key", "p384.key", "ec.pem", "root.pem"};
	uint8_t public[PUBLIC_KEY_SIZE], back[PUBLIC_KEY_SIZE];
	_cleanup_buf_ struct buf text = {};
	struct signing_key *k = load_key("ec.key");
	char digest[SHA256_HEX_SIZE];

	CHECK_INT(signing_key_public(k, public), 0);
	signing_key_free(k);
	/* openssl pkey -in ec.key -pubout -outform DER | sha256sum */
	sha256_hex_of(public, sizeof(public), digest);
	CHECK_STR(digest, "5a7a78cca4a0f420d9bc62bb669c3c2759e39f723d3ae10dcbe0f0815a07ecd4");
	CHECK_INT(public_key_print(public, &text), 0);
	CHECK(starts_with(buf_str(&text), "-----BEGIN PUBLIC KEY-----\n"));
	CHECK_INT(public_key_parse(buf_str(&text), text.len, back), 0);
	CHECK(memcmp(public, back, sizeof(back)) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		_cleanup_buf_ struct buf other = {};

		load(others[i], &other);
		CHECK_INT(public_key_parse(buf_str(&other), other.len, back), -EBADMSG);
	}
	k = load_key("rsa.key");
	CHECK_INT(signing_key_public(k, back), -EINVAL);
	buf_clear(&text);
	CHECK_INT(signing_key_print(k, &text), -EINVAL);
	signing_key_free(k);
}
