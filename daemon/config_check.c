/* What a table row alone cannot tell: which keys belong to which kind, routes, laboratory keys, residency. */
#include "daemon/config_internal.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/parse.h"

#define FOR(k) (1u << (k))
#define AWS    (FOR(KIND_BEDROCK) | FOR(KIND_SAGEMAKER))

/* Keys that not every kind has. */
static const struct {
	const char *key;
	unsigned int kinds;
} key_kinds[] = {
	{"Model", AWS | FOR(KIND_OPENAI)},
	{"Api", FOR(KIND_BEDROCK)},
	{"Guardrail", FOR(KIND_BEDROCK)},
	{"GuardrailVersion", FOR(KIND_BEDROCK)},
	{"GuardrailTrace", FOR(KIND_BEDROCK)},
	{"RequestMetadata", FOR(KIND_BEDROCK)},
	{"BacklogTier", FOR(KIND_BEDROCK)},
	{"Stream", FOR(KIND_BEDROCK)},
	{"PagesPerRequest", AWS | FOR(KIND_OPENAI)},
	{"Region", AWS},
	{"Endpoint", AWS},
	{"EndpointName", FOR(KIND_SAGEMAKER)},
	{"Form", FOR(KIND_SAGEMAKER)},
	{"InferenceComponent", FOR(KIND_SAGEMAKER)},
	{"TargetVariant", FOR(KIND_SAGEMAKER)},
	{"TargetModel", FOR(KIND_SAGEMAKER)},
	{"CustomAttributes", FOR(KIND_SAGEMAKER)},
	{"Bucket", FOR(KIND_SAGEMAKER)},
	{"BucketOwner", FOR(KIND_SAGEMAKER)},
	{"Prefix", FOR(KIND_SAGEMAKER)},
	{"PricePerRequest", FOR(KIND_SAGEMAKER)},
	{"ColdTimeout", FOR(KIND_SAGEMAKER)},
	{"StartPatience", FOR(KIND_SAGEMAKER)},
	{"URL", FOR(KIND_OPENAI)},
	{"Socket", FOR(KIND_OPENAI)},
	{"Interface", FOR(KIND_OPENAI)},
	{"HealthPath", FOR(KIND_OPENAI)},
	{"SchemaMode", FOR(KIND_SAGEMAKER) | FOR(KIND_OPENAI)},
	{"APIKeyCredential", FOR(KIND_OPENAI)},
	{"APIKeyFile", FOR(KIND_OPENAI)},
	{"MaxOutputTokens", AWS | FOR(KIND_OPENAI)},
	{"ConnectTimeout", AWS | FOR(KIND_OPENAI)},
	{"ConnectTo", AWS},
	{"CAFile", AWS | FOR(KIND_OPENAI)},
	{"Language", FOR(KIND_OCR)},
	{"MaxPixels", FOR(KIND_OCR)},
	{"Credentials", AWS},
};

const struct config_seen *config_seen_find(const struct config_reading *rd, const void *section, const char *key)
{
	if (!key) {
		for (size_t i = 0; i < rd->n_seen; i++)
			if (rd->seen[i].section == section)
				return &rd->seen[i];
		return NULL;
	}
	for (size_t i = rd->n_seen; i > 0; i--)
		if (rd->seen[i - 1].section == section && streq(rd->seen[i - 1].key->key, key))
			return &rd->seen[i - 1];
	return NULL;
}

bool config_is_sound(const struct config_reading *rd, const void *section, const char *name)
{
	for (size_t i = 0; i < rd->n_wrong; i++)
		if (rd->wrong[i].section == section && streq(rd->wrong[i].name, name))
			return false;
	return rd->n_wrong < ARRAY_SIZE(rd->wrong);
}

void config_problem(struct config_reading *rd, const void *section, const char *title, const char *key, const char *fmt, ...)
{
	const struct config_seen *s = config_seen_find(rd, section, key);
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap); /* cut at the array's end: a message, not a value */
	va_end(ap);
	if (!s && key)
		s = config_seen_find(rd, section, NULL);
	if (s)
		buf_addf(rd->errors, "%s:%u: [%s]%s%s%s: %s\n", s->file, s->line, title, key ? " " : "", key ? key : "",
			key ? "=" : "", text);
	else
		buf_addf(rd->errors, "%s: [%s]%s%s%s: %s\n", rd->file, title, key ? " " : "", key ? key : "", key ? "=" : "",
			text);
	rd->n_problems++;
}

static void check_route(struct config_reading *rd)
{
	const struct config *c = rd->config;

	for (size_t i = 0; i < c->n_route; i++)
		if (!config_backend(c, c->route[i]))
			config_problem(rd, c, "Route", "Backends", "there is no [Backend %s]", c->route[i]);
}

/* A page goes with its results: its file cannot stay behind. */
static void check_keep(struct config_reading *rd)
{
	const struct config *c = rd->config;
	const char *key = config_seen_find(rd, c, "KeepPages") || !config_seen_find(rd, c, "KeepResults") ? "KeepPages" : "KeepResults";

	if (c->keep_results_ms > 0 && (c->keep_pages_ms == 0 || c->keep_pages_ms > c->keep_results_ms))
		config_problem(rd, c, "Spool", key, "a page's file would be kept for longer than its results (KeepPages= is 30d and "
			"KeepResults= 365d by default)");
}

static void check_keys_of_kind(struct config_reading *rd, const struct backend_config *b, const char *title)
{
	for (size_t i = 0; i < ARRAY_SIZE(key_kinds); i++)
		if (!(key_kinds[i].kinds & FOR(b->kind)) && config_seen_find(rd, b, key_kinds[i].key))
			config_problem(rd, b, title, key_kinds[i].key, "a backend of kind %s has no such key",
				backend_kind_name((enum backend_kind)b->kind));
}

static void check_lab(struct config_reading *rd, const struct backend_config *b, const char *title)
{
	if (rd->config->lab || !(FOR(b->kind) & AWS))
		return;
	if (b->connect_to[0])
		config_problem(rd, b, title, "ConnectTo", "only with Lab=yes in [Service]");
	if (b->ca_file[0])
		config_problem(rd, b, title, "CAFile", "only with Lab=yes in [Service]");
}

static void check_residency(struct config_reading *rd, const struct backend_config *b, const char *title)
{
	const char *key = FOR(b->kind) & AWS ? "Endpoint" : b->openai.unix_socket[0] ? "Socket" : "URL";
	_cleanup_buf_ struct buf url = {0};
	struct guard_question q;
	struct guard_policy p;
	char why[320] = "";

	config_guard_policy(rd->config, &p);
	if (config_guard_question(b, &q, &url) < 0) {
		config_problem(rd, b, title, key, "too long");
		return;
	}
	if (guard_check(&p, &q, why, sizeof(why)) != GUARD_DENY && b->sagemaker.bucket.name[0]) {
		/* the page's own way leads there */
		key = "Bucket";
		buf_clear(&url);
		if (config_guard_page(b, &q, &url) < 0) {
			config_problem(rd, b, title, key, "too long");
			return;
		}
	}
	switch (guard_check(&p, &q, why, sizeof(why))) {
	case GUARD_ALLOW:
	case GUARD_NEEDS_RESOLVE: /* the service asks AWS, and sends nothing before */
		if (b->kind == KIND_BEDROCK && !bedrock_api_fits(&b->bedrock))
			config_problem(rd, b, title, "Api", "%s is not asked in this form; leave it out, or take converse", b->bedrock.model);
		return;
	case GUARD_DENY:
		break;
	}
	/* Not set: the model's or the region's own endpoint was denied, and the sentence says which. */
	config_problem(rd, b, title, config_seen_find(rd, b, key) ? key : NULL, "%s", why);
}

static void set_default(char *field, size_t size, const char *value)
{
	if (!field[0])
		str_copy(field, size, value);
}

static int64_t or_default(int64_t value, int64_t value_if_unset)
{
	return value ? value : value_if_unset;
}

/* What both services of AWS have. */
static void complete_aws(struct config_reading *rd, struct backend_config *b, const char *title, const char *service)
{
	set_default(b->region, sizeof(b->region), "ap-southeast-2");
	if (!config_credentials(rd->config, b->credentials))
		config_problem(rd, b, title, "Credentials", "there is no [Credentials %s]", b->credentials);
	if (!b->endpoint[0] &&
		str_format(b->endpoint, sizeof(b->endpoint), "https://%s.%s.amazonaws.com", service, b->region) < 0)
		config_problem(rd, b, title, "Region", "too long");
}

static bool guardrail_id_ok(const struct bedrock_config *x)
{
	static const char small[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	const char *id = x->guardrail;
	char arn[64];

	/* what it reads is read in the region of the request, and in no other */
	if (str_format(arn, sizeof(arn), "arn:aws:bedrock:%s:", x->region) < 0)
		return false;
	if (starts_with(id, arn)) {
		id += strlen(arn);
		if (strspn(id, "0123456789") != 12 || !starts_with(id + 12, ":guardrail/"))
			return false;
		id += strlen("123456789012:guardrail/");
	}
	return *id && !id[strspn(id, small)];
}

static void check_guardrail(struct config_reading *rd, const struct backend_config *b, const char *title)
{
	const struct bedrock_config *x = &b->bedrock;
	int64_t n;

	if (!x->guardrail[0] != !x->guardrail_version[0]) {
		config_problem(rd, b, title, x->guardrail[0] ? "Guardrail" : "GuardrailVersion", "Guardrail= and GuardrailVersion= belong together");
		return;
	}
	if (x->guardrail_trace && !x->guardrail[0])
		config_problem(rd, b, title, "GuardrailTrace", "there is no Guardrail=");
	if (!bedrock_metadata_ok(x->metadata))
		config_problem(rd, b, title, "RequestMetadata", "at most 16 KEY=VALUE with blanks between, each key once, of letters, digits and :_@$#=/+,-.");
	if (!x->guardrail[0])
		return;
	if (!guardrail_id_ok(x))
		config_problem(rd, b, title, "Guardrail", "not the id of a guardrail (small letters and digits), or its ARN in %s", x->region);
	if (!streq(x->guardrail_version, "DRAFT") && parse_i64(x->guardrail_version, 1, 99999999, &n) < 0)
		config_problem(rd, b, title, "GuardrailVersion", "expected a number from 1 on, or DRAFT");
}

static void complete_bedrock(struct config_reading *rd, struct backend_config *b, const char *title)
{
	struct bedrock_config *x = &b->bedrock;

	set_default(b->model, sizeof(b->model), "amazon.nova-pro-v1:0");
	complete_aws(rd, b, title, "bedrock-runtime");
	str_copy(x->region, sizeof(x->region), b->region);
	check_guardrail(rd, b, title);
	str_copy(x->model, sizeof(x->model), b->model);
	str_copy(x->endpoint, sizeof(x->endpoint), b->endpoint);
	str_copy(x->connect_to, sizeof(x->connect_to), b->connect_to);
	str_copy(x->ca_file, sizeof(x->ca_file), b->ca_file);
	x->max_output_tokens = b->max_output_tokens = or_default(b->max_output_tokens, 4096);
	x->timeout_ms = b->timeout_ms = or_default(b->timeout_ms, 120000);
	x->connect_timeout_ms = b->connect_timeout_ms = or_default(b->connect_timeout_ms, 10000);
}

/* The service model of InvokeEndpointAsync has no members for these. */
static const char *const not_async[] = {"InferenceComponent", "TargetVariant", "TargetModel"};

static void check_bucket(struct config_reading *rd, struct backend_config *b, const char *title)
{
	static const char *const of_bucket[] = {"BucketOwner", "Prefix"};
	struct sagemaker_config *x = &b->sagemaker;

	for (size_t i = 0; !x->bucket.name[0] && i < ARRAY_SIZE(of_bucket); i++)
		if (config_seen_find(rd, b, of_bucket[i]))
			config_problem(rd, b, title, of_bucket[i], "only with Bucket=");
	for (size_t i = 0; x->bucket.name[0] && i < ARRAY_SIZE(not_async); i++)
		if (config_seen_find(rd, b, not_async[i]))
			config_problem(rd, b, title, not_async[i], "an endpoint that is called asynchronously (Bucket=) takes none");
	str_copy(x->bucket.region, sizeof(x->bucket.region), b->region);
}

static void complete_sagemaker(struct config_reading *rd, struct backend_config *b, const char *title)
{
	struct sagemaker_config *x = &b->sagemaker;

	if (!x->endpoint_name[0])
		config_problem(rd, b, title, NULL, "EndpointName= is missing");
	if (x->form == SAGEMAKER_PLAIN && config_seen_find(rd, b, "SchemaMode"))
		config_problem(rd, b, title, "SchemaMode", "only with Form=openai");
	x->openai = (struct openai_config){.schema_mode = b->openai.schema_mode, .standard = true};
	if (str_copy(x->openai.model, sizeof(x->openai.model), b->model) < 0)
		config_problem(rd, b, title, "Model", "longer than %zu characters", sizeof(x->openai.model) - 1);
	set_default(b->model, sizeof(b->model), x->endpoint_name);
	complete_aws(rd, b, title, "runtime.sagemaker");
	check_bucket(rd, b, title);
	str_copy(x->model, sizeof(x->model), b->model);
	str_copy(x->region, sizeof(x->region), b->region);
	str_copy(x->endpoint, sizeof(x->endpoint), b->endpoint);
	str_copy(x->connect_to, sizeof(x->connect_to), b->connect_to);
	str_copy(x->ca_file, sizeof(x->ca_file), b->ca_file);
	x->max_output_tokens = b->max_output_tokens = or_default(b->max_output_tokens, 4096);
	x->timeout_ms = b->timeout_ms = or_default(b->timeout_ms, x->bucket.name[0] ? 900000 : 70000);
	x->connect_timeout_ms = b->connect_timeout_ms = or_default(b->connect_timeout_ms, 10000);
}

static void complete_openai(struct config_reading *rd, struct backend_config *b, const char *title)
{
	struct openai_config *x = &b->openai;

	if (!x->base_url[0] && !x->unix_socket[0])
		config_problem(rd, b, title, NULL, "URL= or Socket= is missing");
	set_default(x->base_url, sizeof(x->base_url), "http://localhost");
	set_default(x->health_path, sizeof(x->health_path), "/health");
	if (str_copy(x->model, sizeof(x->model), b->model) < 0)
		config_problem(rd, b, title, "Model", "longer than %zu characters", sizeof(x->model) - 1);
	str_copy(x->ca_file, sizeof(x->ca_file), b->ca_file);
	if (b->api_key_credential[0] && b->api_key_file[0])
		config_problem(rd, b, title, "APIKeyFile", "APIKeyCredential= is set too: only one of them");
	x->max_output_tokens = b->max_output_tokens = or_default(b->max_output_tokens, 4096);
	x->timeout_ms = b->timeout_ms = or_default(b->timeout_ms, 300000);
	x->connect_timeout_ms = b->connect_timeout_ms = or_default(b->connect_timeout_ms, 10000);
}

static void complete_ocr(struct backend_config *b)
{
	set_default(b->ocr.language, sizeof(b->ocr.language), "eng");
	b->ocr.max_pixels = or_default(b->ocr.max_pixels, 40000000);
	b->ocr.timeout_ms = b->timeout_ms = or_default(b->timeout_ms, 120000);
}

static void check_backend(struct config_reading *rd, struct backend_config *b)
{
	char title[BACKEND_NAME_SIZE + 16];
	size_t before = rd->n_problems;

	str_format(title, sizeof(title), "Backend %s", b->name);
	if (!config_is_sound(rd, b, title))
		return;
	if (b->kind < 0) {
		config_problem(rd, b, title, NULL, "Kind= is missing; expected bedrock, sagemaker, openai or ocr");
		return;
	}
	check_keys_of_kind(rd, b, title);
	if (b->backoff_max_ms < b->backoff_ms)
		config_problem(rd, b, title, "BackoffMax", "less than Backoff=");
	if (b->kind == KIND_BEDROCK)
		complete_bedrock(rd, b, title);
	else if (b->kind == KIND_SAGEMAKER)
		complete_sagemaker(rd, b, title);
	else if (b->kind == KIND_OPENAI)
		complete_openai(rd, b, title);
	else
		complete_ocr(b);
	if (!config_is_sound(rd, rd->config, "Service") || !config_is_sound(rd, rd->config, "Residency"))
		return; /* what is allowed is not known */
	check_lab(rd, b, title);
	if (b->kind != KIND_OCR && rd->n_problems == before)
		check_residency(rd, b, title);
}

/* ---- watched folders ----------------------------------------------------------------------------------- */

/* One path as everybody writes it: single slashes, none at the end. -EINVAL: "." or ".." in it. */
static int plain_path(const char *path, char out[static PATH_SIZE])
{
	size_t n = 0;

	while (*path) {
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (len == 0)
			break;
		if ((len == 1 && path[0] == '.') || (len == 2 && path[0] == '.' && path[1] == '.'))
			return -EINVAL;
		if (n + 1 + len >= PATH_SIZE)
			return -ENAMETOOLONG;
		out[n++] = '/';
		memcpy(out + n, path, len);
		n += len;
		path += len;
	}
	out[n] = '\0';
	return 0;
}

/* Is `path` the folder, or in it? */
static bool is_within(const char *path, const char *folder)
{
	char a[PATH_SIZE], b[PATH_SIZE];
	size_t n;

	if (plain_path(path, a) < 0 || plain_path(folder, b) < 0)
		return false;
	n = strlen(b);
	return strncmp(a, b, n) == 0 && (a[n] == '/' || a[n] == '\0');
}

static bool is_same(const char *a, const char *b)
{
	return is_within(a, b) && is_within(b, a);
}

/* Its files would be taken as soon as they were moved. */
static bool is_moved_to(const struct watch_config *w, const char *folder)
{
	char path[PATH_SIZE + 80];

	if (w->then != THEN_MOVE)
		return false;
	str_format(path, sizeof(path), "%s/%s", w->folder, w->done);
	if (is_same(path, folder))
		return true;
	str_format(path, sizeof(path), "%s/%s", w->folder, w->rejected);
	return is_same(path, folder);
}

static void check_others(struct config_reading *rd, const struct watch_config *w, const char *title)
{
	const struct config *c = rd->config;

	for (size_t i = 0; i < c->n_watches; i++) {
		const struct watch_config *o = &c->watches[i];

		if (o < w && is_same(o->folder, w->folder))
			config_problem(rd, w, title, "Folder", "[Watch %s] has the same", o->name);
		if (o != w && is_moved_to(o, w->folder))
			config_problem(rd, w, title, "Folder", "[Watch %s] moves its files there", o->name);
	}
}

static void check_watch(struct config_reading *rd, const struct watch_config *w)
{
	char title[sizeof(w->name) + 16], plain[PATH_SIZE];

	str_format(title, sizeof(title), "Watch %s", w->name);
	if (!config_is_sound(rd, w, title))
		return;
	if (!w->folder[0]) {
		config_problem(rd, w, title, NULL, "Folder= is missing");
		return;
	}
	if (plain_path(w->folder, plain) < 0)
		config_problem(rd, w, title, "Folder", "a path without . and .. in it is needed");
	else if (is_within(w->folder, rd->config->directory))
		config_problem(rd, w, title, "Folder", "it is in the spool's directory %s", rd->config->directory);
	check_others(rd, w, title);
	if (w->then == THEN_LEAVE) {
		for (const char *const *key = (const char *const[]){"Done", "Rejected", NULL}; *key; key++)
			if (config_seen_find(rd, w, *key))
				config_problem(rd, w, title, *key, "Then=leave moves no files");
	} else if (streq(w->done, w->rejected)) {
		config_problem(rd, w, title, "Rejected", "the same as Done=");
	}
}

int config_check(struct config_reading *rd)
{
	if (config_is_sound(rd, rd->config, "Route"))
		check_route(rd);
	if (config_is_sound(rd, rd->config, "Spool"))
		check_keep(rd);
	for (size_t i = 0; i < rd->config->n_backends; i++)
		check_backend(rd, &rd->config->backends[i]);
	config_check_credentials(rd);
	for (size_t i = 0; i < rd->config->n_watches; i++)
		check_watch(rd, &rd->config->watches[i]);
	return rd->n_problems > 0 ? -EINVAL : 0;
}

static const char *or_null(const char *s)
{
	return s[0] ? s : NULL;
}

int config_guard_question(const struct backend_config *b, struct guard_question *ret, struct buf *url)
{
	int r = b->kind == KIND_BEDROCK	    ? bedrock_url(&b->bedrock, url)
		: b->kind == KIND_SAGEMAKER ? sagemaker_url(&b->sagemaker, url)
					    : 0;

	if (r < 0)
		return r;
	if (b->kind == KIND_BEDROCK)
		*ret = (struct guard_question){
			.sink = GUARD_BEDROCK,
			.url = buf_str(url),
			.connect_to = or_null(b->bedrock.connect_to),
			.model = b->bedrock.model,
			.guardrail = or_null(b->bedrock.guardrail),
			.region = b->bedrock.region,
		};
	else if (b->kind == KIND_SAGEMAKER)
		*ret = (struct guard_question){
			.sink = GUARD_SAGEMAKER,
			.url = buf_str(url),
			.connect_to = or_null(b->connect_to),
			.model = b->sagemaker.endpoint_name,
			.region = b->region,
		};
	else
		*ret = (struct guard_question){
			.sink = GUARD_LOCAL,
			.url = b->openai.unix_socket[0] ? NULL : b->openai.base_url,
			.unix_socket = or_null(b->openai.unix_socket),
			.model = or_null(b->openai.model),
			.interface = or_null(b->openai.interface),
			.pinned = b->openai.ca_file[0],
		};
	return 0;
}

int config_guard_bucket(const struct backend_config *b, struct guard_question *ret, struct buf *url)
{
	int r = b->kind == KIND_SAGEMAKER && b->sagemaker.bucket.name[0] ? s3_url(&b->sagemaker.bucket, "", url) : -ENOENT;

	if (r >= 0)
		*ret = (struct guard_question){
			.sink = GUARD_S3,
			.url = buf_str(url),
			.connect_to = or_null(b->connect_to),
			.model = b->sagemaker.bucket.name,
			.region = b->region,
		};
	return r;
}

int config_guard_page(const struct backend_config *b, struct guard_question *ret, struct buf *url)
{
	int r = config_guard_bucket(b, ret, url);

	if (r == -ENOENT)
		return config_guard_question(b, ret, url);
	ret->page = r >= 0;
	return r;
}

void config_guard_policy(const struct config *c, struct guard_policy *ret)
{
	*ret = (struct guard_policy){.sydney_only = !c->melbourne, .lab = c->lab};
}
