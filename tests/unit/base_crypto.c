#include "tests/unit/test.h"

#include "base/crypto.h"

static const char *hex(const void *p, size_t len)
{
	static char out[256];

	hex_encode(p, len, out);
	return out;
}

/* FIPS 180-4 examples. */
TEST(sha256_known)
{
	char out[SHA256_HEX_SIZE];

	sha256_hex_of(NULL, 0, out);
	CHECK_STR(out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	sha256_hex_of("abc", 3, out);
	CHECK_STR(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256_hex_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, out);
	CHECK_STR(out, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(sha256_in_pieces_and_again)
{
	static char million[1000000];
	uint8_t out[SHA256_SIZE], second[SHA256_SIZE];
	struct sha256 *h;

	memset(million, 'a', sizeof(million));
	CHECK_INT(sha256_new(&h), 0);
	for (size_t i = 0; i < sizeof(million); i += 1000)
		sha256_update(h, million + i, 1000);
	sha256_update(h, NULL, 0);
	sha256_final(h, out);
	CHECK_STR(hex(out, sizeof(out)), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	sha256_update(h, "abc", 3); /* fresh after final */
	sha256_final(h, out);
	sha256_of("abc", 3, second);
	CHECK(memcmp(out, second, sizeof(out)) == 0);
	sha256_free(h);
	sha256_free(NULL);
}

/* RFC 4231, test cases 1, 2 and 6 (a key longer than a block). */
TEST(hmac_known)
{
	uint8_t key[131], out[SHA256_SIZE];

	memset(key, 0x0b, 20);
	CHECK_INT(hmac_sha256(key, 20, "Hi There", 8, out), 0);
	CHECK_STR(hex(out, sizeof(out)), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	CHECK_INT(hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, out), 0);
	CHECK_STR(hex(out, sizeof(out)), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	CHECK_INT(hmac_sha256(key, sizeof(key), "Test Using Larger Than Block-Size Key - Hash Key First", 54, out), 0);
	CHECK_STR(hex(out, sizeof(out)), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	CHECK_INT(hmac_sha256(NULL, 0, NULL, 0, out), 0);
	CHECK_STR(hex(out, sizeof(out)), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST(hex_both_ways)
{
	uint8_t out[3] = {9, 9, 9};

	CHECK_INT(hex_decode("00fFa0", out, 3), 0);
	CHECK(out[0] == 0 && out[1] == 0xff && out[2] == 0xa0);
	CHECK_STR(hex(out, 3), "00ffa0");
	CHECK_INT(hex_decode("00ff0", out, 3), -EINVAL);
	CHECK_INT(hex_decode("00ff000", out, 3), -EINVAL);
	CHECK_INT(hex_decode("00fg00", out, 3), -EINVAL);
	CHECK_INT(hex_decode("", out, 3), -EINVAL);
	CHECK_INT(hex_decode("", out, 0), 0);
	CHECK(out[2] == 0xa0);
}

/* RFC 4648, section 10. */
TEST(base64_known)
{
	static const char *const pairs[][2] = {
		{"", ""},
		{"f", "Zg=="},
		{"fo", "Zm8="},
		{"foo", "Zm9v"},
		{"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"},
		{"\xff\xef\xbe", "/+++"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		_cleanup_buf_ struct buf back = {};
		char out[16] = "";
		size_t len = strlen(pairs[i][0]), n = base64_encode(pairs[i][0], len, out);

		CHECK_INT(n, strlen(pairs[i][1]));
		CHECK_INT(n, BASE64_SIZE(len));
		CHECK(memcmp(out, pairs[i][1], n) == 0);
		CHECK_INT(base64_decode(out, n, &back), 0);
		CHECK_STR(buf_str(&back), pairs[i][0]);
	}
}

TEST(base64_round_trip)
{
	for (size_t len = 0; len < 200; len++) {
		_cleanup_buf_ struct buf back = {};
		uint8_t in[200];
		char out[BASE64_SIZE(200)];

		random_bytes(in, sizeof(in));
		CHECK_INT(base64_decode(out, base64_encode(in, len, out), &back), 0);
		CHECK(back.len == len && (len == 0 || memcmp(back.data, in, len) == 0));
	}
}

TEST(base64_refuses)
{
	_cleanup_buf_ struct buf b = {};

	CHECK_INT(buf_adds(&b, "kept"), 0);
	for (const char *const *s = (const char *const[]){"Zg", "Zg=", "Zg==Zg==", "Z===", "====", "Zm9v\n",
		     "Zm 9", "Zm9-", "Zh==", "Zm9=", "=Zm9", "Z=m9", "Zm9vZm9=Zm9v", NULL};
		*s; s++) {
		CHECK_INT(base64_decode(*s, strlen(*s), &b), -EINVAL);
		CHECK_STR(buf_str(&b), "kept");
	}
	CHECK_INT(base64_decode("Zm9\0", 4, &b), -EINVAL);
}

TEST(random_is_not_constant)
{
	uint8_t a[32] = {}, b[32] = {};

	random_bytes(a, sizeof(a));
	random_bytes(b, sizeof(b));
	CHECK(memcmp(a, b, sizeof(a)) != 0);
	wipe(a, sizeof(a));
	for (size_t i = 0; i < sizeof(a); i++)
		CHECK(a[i] == 0);
	wipe(NULL, 0);
}
