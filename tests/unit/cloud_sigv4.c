#include <fcntl.h>

#include "base/fileio.h"
#include "base/json.h"
#include "cloud/body.h"
#include "cloud/sigv4_internal.h"
#include "tests/unit/request_make.h"
#include "tests/unit/test.h"

#define NOW INT64_C(1795219200) /* 20261121T000000Z */

static struct creds example(const char *token)
{
	struct creds c = {.access_key = "AKIDEXAMPLE", .secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};

	c.token = token ? strdup(token) : NULL;
	return c;
}

static void request_from(const cJSON *v, struct request *r)
{
	const cJSON *h;

	r->method = json_get_string(v, "method");
	r->url = strdup(json_get_string(v, "url"));
	cJSON_ArrayForEach (h, json_get_object(v, "headers"))
		CHECK(request_add_header(r, h->string, h->valuestring) == 0);
	CHECK(add_text(r, json_get_string(v, "body")) == 0);
	CHECK(body_hash(r) == 0);
}

static int canonical_of(const struct request *r, bool single, struct buf *out, struct buf *names)
{
	struct url u;

	CHECK(url_split(r->url, &u, NULL, 0) == 0);
	return sigv4_canonical_request(r, &u, single, out, names);
}

static void check_vector(const cJSON *v)
{
	const char *service = json_get_string(v, "service");
	struct sigv4_params p = {"ap-southeast-2", service, NOW, streq(service, "s3")};
	struct creds c = example(json_get_string(v, "token"));
	_cleanup_buf_ struct buf canonical = {}, names = {};
	struct request r = {};

	request_from(v, &r);
	CHECK(sigv4_sign(&p, &c, &r) == 0);
	CHECK_STR(request_header(&r, "Authorization"), json_get_string(v, "authorization"));
	CHECK(canonical_of(&r, p.single_encode, &canonical, &names) == 0);
	CHECK_STR(buf_str(&canonical), json_get_string(v, "canonical"));
	/* signing again gives the same and adds nothing */
	{
		size_t n = r.n_headers;

		CHECK(sigv4_sign(&p, &c, &r) == 0);
		CHECK_INT(r.n_headers, n);
		CHECK_STR(request_header(&r, "authorization"), json_get_string(v, "authorization"));
	}
	request_free(&r);
	creds_clear(&c);
}

TEST(golden_vectors)
{
	_cleanup_buf_ struct buf text = {};
	_cleanup_json_ cJSON *all = NULL;
	char path[256];
	const cJSON *v;
	int n = 0;

	CHECK(str_format(path, sizeof(path), "%ssigv4/golden.json", test_data()) > 0);
	CHECK(file_read(AT_FDCWD, path, 1 << 20, &text) == 0);
	CHECK(json_parse(buf_str(&text), text.len, &all, NULL) == 0);
	cJSON_ArrayForEach (v, all) {
		check_vector(v);
		n++;
	}
	CHECK_INT(n, 9);
}

static void canonical(const char *url, bool single, struct buf *out)
{
	_cleanup_buf_ struct buf names = {};
	struct request r = {.method = "GET", .url = (char *)url};

	buf_clear(out);
	CHECK(canonical_of(&r, single, out, &names) == 0);
}

TEST(path_is_encoded_again)
{
	_cleanup_buf_ struct buf b = {};

	canonical("https://h.example/model/a%3Ab%2Fc/invoke", false, &b);
	CHECK(starts_with(buf_str(&b), "GET\n/model/a%253Ab%252Fc/invoke\n\nhost:h.example\n\nhost\n"));
	/* S3: once, whatever it came as */
	canonical("https://h.example/a:b%20c", true, &b);
	CHECK(starts_with(buf_str(&b), "GET\n/a%3Ab%20c\n"));
	canonical("https://h.example", false, &b);
	CHECK(starts_with(buf_str(&b), "GET\n/\n\nhost:"));
}

TEST(query_is_sorted_by_encoded_name_then_value)
{
	_cleanup_buf_ struct buf b = {};

	canonical("https://h.example/?b=2&a=z&a=%2f&B=1&c&a-=1&x=a%20b", false, &b);
	CHECK(starts_with(buf_str(&b), "GET\n/\nB=1&a=%2F&a=z&a-=1&b=2&c=&x=a%20b\n"));
}

TEST(host_has_a_port_that_is_not_the_schemes)
{
	_cleanup_buf_ struct buf b = {};

	canonical("https://h.example:443/", false, &b);
	CHECK(strstr(buf_str(&b), "\nhost:h.example\n"));
	canonical("https://h.example:8443/", false, &b);
	CHECK(strstr(buf_str(&b), "\nhost:h.example:8443\n"));
	canonical("http://[::1]:443/", false, &b);
	CHECK(strstr(buf_str(&b), "\nhost:[::1]:443\n"));
}

TEST(headers_are_trimmed_collapsed_sorted_and_some_never_signed)
{
	_cleanup_buf_ struct buf b = {}, names = {};
	struct request r = {.method = "POST", .url = strdup("https://h.example/")};

	CHECK(request_add_header(&r, "X-Zed", "  a   b  c ") == 0);
	CHECK(request_add_header(&r, "Accept", "application/json") == 0);
	CHECK(request_add_header(&r, "User-Agent", "x") == 0);
	CHECK(request_add_header(&r, "Proxy-Foo", "x") == 0);
	CHECK(request_add_header(&r, "Expect", "x") == 0);
	CHECK(canonical_of(&r, false, &b, &names) == 0);
	CHECK_STR(buf_str(&names), "accept;host;x-zed");
	CHECK(strstr(buf_str(&b), "\naccept:application/json\nhost:h.example\nx-zed:a b c\n\naccept;host;x-zed\n"));
	request_free(&r);
}

static int sign_with(const char *url, const char *name, const char *value)
{
	struct sigv4_params p = {"ap-southeast-2", "bedrock", NOW, false};
	struct creds c = example("TOK");
	struct request r = {.method = "POST", .url = strdup(url)};
	int e;

	if (name)
		CHECK(request_add_header(&r, name, value) == 0);
	e = sigv4_sign(&p, &c, &r);
	if (e < 0)
		CHECK(!request_header(&r, "x-amz-security-token")); /* a failure leaves no secret behind */
	request_free(&r);
	creds_clear(&c);
	return e;
}

TEST(what_cannot_be_signed_is_refused)
{
	CHECK_INT(sign_with("https://h.example/", NULL, NULL), 0);
	CHECK_INT(sign_with("https://h.example/a//b", NULL, NULL), -EINVAL);
	CHECK_INT(sign_with("https://h.example/a/../b", NULL, NULL), -EINVAL);
	CHECK_INT(sign_with("https://user@h.example/", NULL, NULL), -EINVAL);
	CHECK_INT(sign_with("https://h.example/", "Host", "other.example"), -EINVAL);
	CHECK_INT(sign_with("https://h.example/", "x", "tab\there"), -EINVAL);
}

TEST(a_header_given_twice_is_refused)
{
	struct sigv4_params p = {"ap-southeast-2", "bedrock", NOW, false};
	struct creds c = example(NULL);
	struct request r = {.method = "POST", .url = strdup("https://h.example/")};

	CHECK(request_add_header(&r, "x-a", "1") == 0);
	CHECK(request_add_header(&r, "X-A", "2") == 0);
	CHECK_INT(sigv4_sign(&p, &c, &r), -EINVAL);
	request_free(&r);
}

TEST(too_many_headers_is_enobufs)
{
	struct sigv4_params p = {"ap-southeast-2", "bedrock", NOW, false};
	struct creds c = example(NULL);
	struct request r = {.method = "POST", .url = strdup("https://h.example/")};
	char name[8];

	for (int i = 0; i < REQUEST_HEADERS_MAX - 1; i++) {
		CHECK(str_format(name, sizeof(name), "x-%d", i) > 0);
		CHECK(request_add_header(&r, name, "1") == 0);
	}
	CHECK_INT(sigv4_sign(&p, &c, &r), -ENOBUFS);
	CHECK_INT(r.n_headers, REQUEST_HEADERS_MAX - 1);
	request_free(&r);
}

TEST(no_key_no_signature)
{
	struct sigv4_params p = {"ap-southeast-2", "bedrock", NOW, false};
	struct creds c = {};
	struct request r = {.method = "POST", .url = strdup("https://h.example/")};

	CHECK_INT(sigv4_sign(&p, &c, &r), -EINVAL);
	request_free(&r);
}

TEST(dates)
{
	char d[SIGV4_DATE_SIZE];

	CHECK(sigv4_date(NOW, d) == 0);
	CHECK_STR(d, "20261121T000000Z");
	CHECK(sigv4_date(INT64_C(4102444800), d) == 0); /* after 2038 */
	CHECK_STR(d, "21000101T000000Z");
	CHECK_INT(sigv4_date(-1, d), -EINVAL);
	CHECK_INT(sigv4_date(INT64_MAX, d), -EINVAL);
}

TEST(labels)
{
	_cleanup_buf_ struct buf b = {};

	CHECK(sigv4_encode_label("a:b/c~\xc3\xa9%", &b) == 0);
	CHECK_STR(buf_str(&b), "a%3Ab%2Fc~%C3%A9%25");
}

TEST(an_api_key_takes_the_place_of_a_signature)
{
	struct sigv4_params p = {"ap-southeast-2", "bedrock", NOW, false};
	struct creds keys = example("TOK"), c = {.bearer = strdup("ABSKexample")};
	struct request r = {.method = "POST", .url = strdup("https://bedrock-runtime.ap-southeast-2.amazonaws.com/model/x/invoke")};

	CHECK(body_hash(&r) == 0);
	CHECK_INT(sigv4_sign(&p, &keys, &r), 0);
	for (int i = 0; i < 2; i++) { /* again, and nothing is there twice */
		CHECK_INT(sigv4_bearer(&c, &r), 0);
		CHECK_INT(r.n_headers, 1);
		CHECK_STR(request_header(&r, "authorization"), "Bearer ABSKexample");
	}
	CHECK_INT(sigv4_sign(&p, &c, &r), -EINVAL); /* a service that wants a signature gets none of it */
	request_free(&r);
	creds_clear(&keys);
	creds_clear(&c);
}
