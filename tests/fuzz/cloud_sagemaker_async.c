/*
 * Any replies of S3 and SageMaker, one after the other (each but the first begins with a byte 0x1e), to a whole dialogue: what was called
 * is billed, nothing is asked for but below the bucket's prefix and of the endpoint, and it ends. And where a bucket is, by the first.
 */
#include "cloud/s3.h"
#include "cloud/sagemaker.h"
#include "tests/fuzz/cloud_reply.h"

#define S3      "https://pages-sydney.s3.ap-southeast-2.amazonaws.com/pageferry/"
#define RUNTIME "https://runtime.sagemaker.ap-southeast-2.amazonaws.com/endpoints/qwen/async-invocations"
#define LEFT_MS 120000

static const struct sagemaker_config config = {.endpoint_name = "qwen",
	.model = "qwen",
	.region = "ap-southeast-2",
	.bucket = {.name = "pages-sydney", .owner = "111122223333", .region = "ap-southeast-2"},
	.prefix = "pageferry/",
	.timeout_ms = LEFT_MS};
static const struct extractor x = {&sagemaker_async_extractor, "fuzz", &config};

static void check_url(const struct request *r, const char *start)
{
	size_t len = strlen(r->url);

	fuzz_must(starts_with(r->url, start) && !strstr(r->url, "/../") && !strstr(r->url, "/./"));
	fuzz_must(!(len > 3 && streq(r->url + len - 3, "/..")));
	for (const char *p = r->url; *p; p++)
		fuzz_must((unsigned char)*p > 0x20 && (unsigned char)*p < 0x7f);
}

static void check_next(const struct request *r)
{
	bool call = streq(r->method, "POST");

	fuzz_must(call || streq(r->method, "GET"));
	check_url(r, call ? RUNTIME : S3);
	fuzz_must(r->timeout_ms > 0 && r->max_reply > 0);
}

static void check_end(const struct verdict *v, bool called)
{
	fuzz_check(v);
	fuzz_must(!called || v->billed);
}

/* One reply. Is there to be another one? */
static bool take(struct dialogue *e, const struct job *j, const struct reply *r, bool *called)
{
	struct request next = {};
	struct verdict v = {};
	int64_t wait_ms = -1;
	int n;

	if (*called)
		e->left_ms -= 20000;
	n = x.ops->proceed(&x, e, j, r, &next, &wait_ms, &v);
	fuzz_must(n == 0 || n == 1);
	fuzz_must(wait_ms >= 0 && wait_ms <= 60000);
	if (n == 1) {
		*called |= streq(next.method, "GET");
		check_next(&next);
		fuzz_must(!v.answer && !*v.reason);
	} else {
		check_end(&v, *called);
	}
	request_free(&next);
	verdict_clear(&v);
	return n == 1;
}

static void tidy(struct dialogue *e)
{
	for (int i = 0; i <= DIALOGUE_OBJECTS; i++) {
		struct request r = {};
		int n = x.ops->tidy(&x, e, &r);

		fuzz_must(n == 0 || (n == 1 && i < DIALOGUE_OBJECTS));
		if (n == 1) {
			fuzz_must(streq(r.method, "DELETE"));
			check_url(&r, S3);
		}
		request_free(&r);
		if (n == 0)
			break;
	}
	dialogue_clear(e);
}

static void check_place(const struct reply *r)
{
	const char *said = reply_header(r, "x-amz-bucket-region");
	char why[400];
	enum s3_place place = s3_place_of(&config.bucket, r, why, sizeof(why));

	fuzz_must(place != S3_STAYS || (r->error == TRANSPORT_OK && r->status == 200 && said && streq(said, "ap-southeast-2")));
	for (const char *p = why; *p; p++)
		fuzz_must((unsigned char)*p >= 0x20 && *p != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dialogue e = {.left_ms = LEFT_MS};
	struct job j = {.page_id = "20261121T183617-4jd4qt", .n_images = 1, .nonce = 0xab, .types = fuzz_typeset()};
	bool called = false, more = true, first = true;
	const uint8_t *end = data + size;

	while (more) {
		const uint8_t *stop = data < end ? memchr(data, 0x1e, (size_t)(end - data)) : NULL;
		size_t len = (size_t)((stop ? stop : end) - data);
		struct fuzz_reply f;

		if (!fuzz_reply_read(&f, data, len))
			abort();
		f.reply.error = f.error;
		if (f.error != TRANSPORT_OK)
			str_copy(f.reply.detail, sizeof(f.reply.detail), "made up");
		if (first)
			check_place(&f.reply);
		more = take(&e, &j, &f.reply, &called);
		fuzz_reply_clear(&f);
		first = false;
		data += MIN(len + 1, (size_t)(end - data));
	}
	tidy(&e);
	return 0;
}
