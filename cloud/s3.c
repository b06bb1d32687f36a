#include "cloud/s3.h"

#include "base/text.h"
#include "cloud/sigv4.h"
#include "cloud/url.h"

#define KEY_MAX 1024 /* bytes: S3's own limit */

bool s3_name_ok(const char *name)
{
	size_t len = strlen(name);

	if (len < 3 || len > 63 || name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")])
		return false;
	return name[0] != '-' && name[len - 1] != '-';
}

/* Parts between slashes that somebody on the way may take for something else: "", but at the end, "." and "..". */
static bool has_odd_part(const char *key)
{
	for (const char *p = key;; p++) {
		size_t n = strcspn(p, "/");

		if ((!n && *p) || (n && n < 3 && strspn(p, ".") >= n))
			return true;
		p += n;
		if (!*p)
			return false;
	}
}

bool s3_prefix_ok(const char *prefix)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/!-_.*'()";
	size_t len = strlen(prefix);

	return len && prefix[len - 1] == '/' && !prefix[strspn(prefix, letters)] && !has_odd_part(prefix);
}

int s3_url(const struct s3_bucket *b, const char *key, struct buf *out)
{
	int r = buf_addf(out, "https://%s.s3.%s.amazonaws.com/", b->name, b->region);

	return r < 0 ? r : url_encode(key, strlen(key), "/", out);
}

bool s3_is_url(const struct s3_bucket *b, const char *url)
{
	_cleanup_buf_ struct buf start = BUF_MAX(URL_MAX);

	return b->name[0] && s3_url(b, "", &start) >= 0 && starts_with(url, buf_str(&start));
}

const char *s3_key_of(const struct s3_bucket *b, const char *prefix, const char *uri)
{
	char start[80];

	if (!uri || str_format(start, sizeof(start), "s3://%s/", b->name) < 0 || !starts_with(uri, start))
		return NULL;
	uri += strlen(start);
	if (!starts_with(uri, prefix) || !uri[strlen(prefix)] || strlen(uri) > KEY_MAX)
		return NULL;
	return has_odd_part(uri) ? NULL : uri;
}

int s3_add_owner(const struct s3_bucket *b, struct request *req)
{
	return b->owner[0] ? request_add_header(req, "x-amz-expected-bucket-owner", b->owner) : 0;
}

int s3_request(const struct s3_bucket *b, const char *method, const char *key, struct request *ret)
{
	_cleanup_buf_ struct buf url = BUF_MAX(URL_MAX);
	struct request r = {.method = method, .region = b->region};
	int e = s3_url(b, key, &url);

	if (e >= 0)
		e = s3_add_owner(b, &r);
	r.url = e >= 0 ? buf_take(&url) : NULL;
	if (e >= 0 && !r.url)
		e = -ENOMEM;
	if (e < 0)
		request_free(&r);
	else
		*ret = r;
	return MIN(e, 0);
}

int s3_sign(const struct s3_bucket *b, const struct creds *c, int64_t now, struct request *req)
{
	struct sigv4_params p = {.region = b->region, .service = "s3", .now = now, .single_encode = true};
	int r = c ? sigv4_sign(&p, c, req) : -EACCES;

	return r == -EINVAL || r == -ENOBUFS ? -EACCES : r;
}

enum s3_place s3_place_of(const struct s3_bucket *b, const struct reply *r, char *why, size_t why_size)
{
	const char *said = r->status ? reply_header(r, "x-amz-bucket-region") : NULL;
	char region[32];

	text_safe_copy(region, sizeof(region), said ? said : "");
	if (said && !streq(said, b->region)) {
		str_format(why, why_size, "the bucket %s is in %s, not in %s: pages are put into a bucket in %s only; set Bucket=", b->name, region,
			b->region, b->region);
		return S3_ELSEWHERE;
	}
	if (r->error == TRANSPORT_REDIRECT || (r->error == TRANSPORT_OK && r->status == 200 && !said)) {
		str_format(why, why_size, "S3 does not say that the bucket %s is in %s", b->name, b->region);
		return S3_ELSEWHERE;
	}
	if (r->error != TRANSPORT_OK)
		str_format(why, why_size, "S3 cannot be asked where the bucket %s is: %.150s", b->name, r->detail);
	else if (r->status == 403)
		str_format(why, why_size, "S3 refuses these credentials the bucket %s (403): allow s3:ListBucket on it "
			"(configs/iam/sagemaker-async.json), and compare BucketOwner=", b->name);
	else if (r->status == 404)
		str_format(why, why_size, "S3 knows no bucket %s (404): compare Bucket= with the S3 console", b->name);
	else if (r->status != 200)
		str_format(why, why_size, "S3 answers %d to where the bucket %s is; it is asked again", r->status, b->name);
	if (r->error != TRANSPORT_OK || r->status != 200)
		return S3_UNKNOWN;
	str_format(why, why_size, "S3 says that the bucket %s is in %s", b->name, b->region);
	return S3_STAYS;
}
