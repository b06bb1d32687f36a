#include "cloud/url.h"
#include "tests/unit/test.h"

TEST(plain_forms)
{
	struct url u;
	char host[300];

	CHECK(url_split("https://bedrock-runtime.ap-southeast-2.amazonaws.com/model/a%3A0/invoke", &u, NULL, 0) == 0);
	CHECK(u.https && u.kind == URL_HOST_NAME && u.port == 443 && !u.port_given && !u.query);
	CHECK_STR(u.host, "bedrock-runtime.ap-southeast-2.amazonaws.com");
	CHECK_INT(u.path_len, strlen("/model/a%3A0/invoke"));
	CHECK(url_split("http://192.168.55.1:8080?x=1", &u, NULL, 0) == 0);
	CHECK(!u.https && u.kind == URL_HOST_IPV4 && u.port == 8080 && u.port_given && u.address[0] == 192 &&
		u.address[3] == 1);
	CHECK(u.path_len == 1 && u.path[0] == '/' && u.query_len == 3);
	CHECK(url_host_header(&u, host, sizeof(host)) > 0);
	CHECK_STR(host, "192.168.55.1:8080");
	CHECK(url_split("http://[fe80::1]:80/", &u, NULL, 0) == 0);
	CHECK(u.kind == URL_HOST_IPV6 && u.address[0] == 0xfe && u.address[15] == 1);
	CHECK(url_host_header(&u, host, sizeof(host)) > 0);
	CHECK_STR(host, "[fe80::1]");
}

TEST(hostile_forms_are_refused)
{
	static const char *const bad[] = {
		"",
		"https:",
		"https://",
		"https:///x",
		"HTTPS://a.example/",
		"ftp://a.example/",
		"//a.example/",
		"a.example",
		"https://A.example/",
		"https://a.example./",
		"https://.a.example/",
		"https://a..example/",
		"https://-a.example/",
		"https://a-.example/",
		"https://a_b.example/",
		"https://user@a.example/",
		"https://user:pw@a.example/",
		"https://a.example@evil.example/",
		"https://a.example\\@evil.example/",
		"https://a.example\\.evil.example/",
		"https://a%2eexample/",
		"https://a.example%00.evil.example/",
		"https://a.example#.evil.example/",
		"https://a.example:/",
		"https://a.example:0/",
		"https://a.example:0443/",
		"https://a.example:65536/",
		"https://a.example:443x/",
		"https://a.example:4 43/",
		"https://a.example:-1/",
		"https://a.example:443:443/",
		"http://0x7f.1/",
		"http://0x7f000001/",
		"http://2130706433/",
		"http://127.1/",
		"http://127.0.0.01/",
		"http://127.0.0.1./",
		"http://0177.0.0.1/",
		"http://1.2.3.4.5/",
		"http://1.2.3/",
		"http://256.1.1.1/",
		"http://a.0x10/",
		"http://10/",
		"http://[::1/",
		"http://::1/",
		"http://[::1]x/",
		"http://[fe80::1%25eth0]/",
		"http://[fe80::1%eth0]/",
		"http://[::G]/",
		"http://[]/",
		"http://[1.2.3.4]/",
		"http://[FE80::1]/",
		"https://a.example/ b",
		"https://a.example/\tb",
		"https://a.example/\r\nHost: b",
		"https://a.example/\x7f",
		"https://\xc3\xa9.example/",
		"https://a.example/%",
		"https://a.example/%4",
		"https://a.example/%zz",
		"https://a.example/%00",
		"https://a.example/a/../b",
		"https://a.example/a/..",
		"https://a.example/./b",
		"https://a.example/a/%2e%2e/b",
		"https://a.example/a/.%2E/b",
		"https://a.example/a#b",
		"https://a.example/a|b",
		"https://a.example/\"",
	};
	char why[128];
	struct url u;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		why[0] = '\0';
		if (url_split(bad[i], &u, why, sizeof(why)) != -EINVAL || !*why)
			test_fail(__FILE__, __LINE__, "taken: %s", bad[i]);
	}
	CHECK_INT(url_split(NULL, &u, why, sizeof(why)), -EINVAL);
}

TEST(a_long_host_or_url_is_refused)
{
	char text[URL_MAX + 64];
	struct url u;

	memset(text, 'a', sizeof(text));
	memcpy(text, "https://", 8);
	text[8 + 300] = '\0';
	CHECK_INT(url_split(text, &u, NULL, 0), -EINVAL);
	memset(text, 'a', sizeof(text));
	memcpy(text, "https://a.example/", 18);
	text[sizeof(text) - 1] = '\0';
	CHECK_INT(url_split(text, &u, NULL, 0), -EINVAL);
}

TEST(literals_with_port)
{
	struct url u;

	CHECK(url_split_literal("127.0.0.1:8443", &u) == 0 && url_is_loopback(&u) && u.port == 8443);
	CHECK(url_split_literal("[::1]:8443", &u) == 0 && url_is_loopback(&u));
	CHECK(url_split_literal("8.8.8.8:443", &u) == 0 && !url_is_loopback(&u));
	CHECK_INT(url_split_literal("127.0.0.1", &u), -EINVAL);
	CHECK_INT(url_split_literal("localhost:80", &u), -EINVAL);
	CHECK_INT(url_split_literal("127.0.0.1:80/x", &u), -EINVAL);
	CHECK_INT(url_split_literal("a@127.0.0.1:80", &u), -EINVAL);
	CHECK_INT(url_split_literal("", &u), -EINVAL);
}

TEST(decode_and_encode)
{
	_cleanup_buf_ struct buf b = {};

	CHECK(url_decode("a%3Ab%2fc", 9, &b) == 0);
	CHECK_STR(buf_str(&b), "a:b/c");
	buf_clear(&b);
	CHECK(url_encode("a:b/c d", 7, "/", &b) == 0);
	CHECK_STR(buf_str(&b), "a%3Ab/c%20d");
	CHECK_INT(url_decode("%0", 2, &b), -EINVAL);
	CHECK_INT(url_decode("%00", 3, &b), -EINVAL);
}

TEST(brackets_stand_around_an_address_only)
{
	struct url u;

	CHECK_INT(url_split("http://[::1]/a", &u, NULL, 0), 0);
	CHECK_INT(url_split("http://[::1]/a[", &u, NULL, 0), -EINVAL);
	CHECK_INT(url_split("https://a.example/?a[]=1", &u, NULL, 0), -EINVAL);
}
