/* The table of the configuration: every key with its default and its help, and the parsers of this program's own. */
#include "daemon/config_internal.h"

#include "base/parse.h"

/* Regions= and Backends= fill more than one field: their rows have the whole struct as target. */
static int parse_regions(const char *v, void *target, const void *unused, char *allowed, size_t n)
{
	struct config *c = target;
	const char *state = v;
	char word[33];
	bool sydney = false, melbourne = false;
	int r;

	str_format(allowed, n, "sydney, or sydney melbourne");
	while ((r = parse_word(&state, word, sizeof(word))) > 0) {
		if (streq(word, "sydney"))
			sydney = true;
		else if (streq(word, "melbourne"))
			melbourne = true;
		else
			return -EINVAL;
	}
	if (r < 0 || !sydney)
		return -EINVAL;
	c->melbourne = melbourne;
	return 0;
}

static int parse_route(const char *v, void *target, const void *unused, char *allowed, size_t n)
{
	struct config *c = target;
	char route[ROUTE_MAX][BACKEND_NAME_SIZE] = {{0}}, word[BACKEND_NAME_SIZE];
	const char *state = v;
	size_t count = 0;
	int r;

	str_format(allowed, n, "1 to %d different names of backends, the authoritative one first", ROUTE_MAX);
	while ((r = parse_word(&state, word, sizeof(word))) > 0) {
		if (count == ROUTE_MAX || parse_name(word) < 0)
			return -EINVAL;
		for (size_t i = 0; i < count; i++)
			if (streq(route[i], word))
				return -EINVAL;
		memcpy(route[count++], word, sizeof(word));
	}
	if (r < 0 || count == 0)
		return -EINVAL;
	memcpy(c->route, route, sizeof(route));
	c->n_route = count;
	return 0;
}

static int parse_type_name(const char *v, void *target, const void *string, char *allowed, size_t n)
{
	str_format(allowed, n, "auto or the name of a document type");
	return parse_name(v) < 0 ? -EINVAL : ini_parse_text(v, target, string, allowed, n);
}

static int parse_section_name(const char *v, void *target, const void *string, char *allowed, size_t n)
{
	str_format(allowed, n, "the name of a section");
	return parse_name(v) < 0 ? -EINVAL : ini_parse_text(v, target, string, allowed, n);
}

/* STS, AssumeRole: RoleSessionName. */
static int parse_session_name(const char *v, void *target, const void *string, char *allowed, size_t n)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_=,.@-";

	str_format(allowed, n, "2 to 64 of A-Z, a-z, 0-9 and _=,.@-");
	return strlen(v) < 2 || v[strspn(v, letters)] ? -EINVAL : ini_parse_text(v, target, string, allowed, n);
}

/* The path part of a URL: it is put behind the base as it is. */
static int parse_url_path(const char *v, void *target, const void *string, char *allowed, size_t n)
{
	str_format(allowed, n, "a path like /health");
	return v[0] != '/' ? -EINVAL : ini_parse_text(v, target, string, allowed, n);
}

/* A time, or forever, which is 0. */
static int parse_keep(const char *v, void *target, const void *range, char *allowed, size_t n)
{
	char time[160];
	int r;

	if (streq(v, "forever")) {
		*(int64_t *)target = 0;
		return 0;
	}
	r = ini_parse_duration_ms(v, target, range, time, sizeof(time));
	str_format(allowed, n, "forever, or %s", time);
	return r;
}

#define BUDGET_MAX ((int64_t)1000000 * 1000000000000)

static int parse_budget(const char *v, void *target, const void *arg, char *allowed, size_t n)
{
	int64_t pusd;

	str_format(allowed, n, "USD, 0.01 to 1000000, or none");
	if (streq(v, "none")) {
		*(int64_t *)target = 0;
		return 0;
	}
	if (parse_decimal(v, 12, &pusd) < 0 || pusd < BUDGET_MAX / 100000000 || pusd > BUDGET_MAX)
		return -EINVAL;
	*(int64_t *)target = pusd;
	return 0;
}

/* USD with up to 12 decimals, in picodollars. */
static int parse_usd(const char *v, void *target, const void *unused, char *allowed, size_t n)
{
	int64_t pusd;

	str_format(allowed, n, "USD, 0 to 1000, 0 for an endpoint that is paid by the hour");
	if (parse_decimal(v, 12, &pusd) < 0 || pusd < 0 || pusd > INT64_C(1000) * 1000000000000)
		return -EINVAL;
	*(int64_t *)target = pusd;
	return 0;
}

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* SageMaker's rule for names of endpoints, variants and components. */
static int parse_endpoint_name(const char *v, void *target, const void *string, char *allowed, size_t n)
{
	size_t len = strlen(v);

	str_format(allowed, n, "1 to 63 letters, digits and -, which is not at an end");
	for (size_t i = 0; i < len; i++)
		if (!is_alnum(v[i]) && (v[i] != '-' || i == 0 || i == len - 1))
			return -EINVAL;
	return len == 0 || len > 63 ? -EINVAL : ini_parse_text(v, target, string, allowed, n);
}

static int parse_bucket(const char *v, void *target, const void *string, char *allowed, size_t n)
{
	str_format(allowed, n, "name of a bucket: 3 to 63 of a-z, 0-9 and -, which is not at an end");
	return s3_name_ok(v) ? ini_parse_text(v, target, string, allowed, n) : -EINVAL;
}

static int parse_account(const char *v, void *target, const void *string, char *allowed, size_t n)
{
	str_format(allowed, n, "12 digits");
	return strlen(v) == 12 && strspn(v, "0123456789") == 12 ? ini_parse_text(v, target, string, allowed, n) : -EINVAL;
}

static int parse_prefix(const char *v, void *target, const void *string, char *allowed, size_t n)
{
	str_format(allowed, n, "letters, digits and /!-_.*'(), with / at its end and no empty parts");
	return s3_prefix_ok(v) ? ini_parse_text(v, target, string, allowed, n) : -EINVAL;
}

/* It goes into a header. */
static int parse_printable(const char *v, void *target, const void *string, char *allowed, size_t n)
{
	for (const char *p = v; *p; p++)
		if (*p < 0x20 || *p > 0x7e) {
			str_format(allowed, n, "printable ASCII");
			return -EINVAL;
		}
	return ini_parse_text(v, target, string, allowed, n);
}

/* A folder inside the watched one: its name, no path. */
static int parse_folder_name(const char *v, void *target, const void *string, char *allowed, size_t n)
{
	str_format(allowed, n, "the name of a folder, without a slash");
	return !v[0] || strchr(v, '/') || streq(v, ".") || streq(v, "..") ? -EINVAL : ini_parse_text(v, target, string, allowed, n);
}

static int parse_letters(const char *v, const char *more, void *target, const void *string, char *allowed, size_t n)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
	const char *p = v;

	str_format(allowed, n, "1 to 128 of A-Z, a-z, 0-9 and _-%s", more);
	while (*p && (strchr(letters, *p) || strchr(more, *p)))
		p++;
	return *p || p == v ? -EINVAL : ini_parse_text(v, target, string, allowed, n);
}

/* IoT, CreateRoleAlias: roleAlias. */
static int parse_role_alias(const char *v, void *target, const void *string, char *allowed, size_t n)
{
	return parse_letters(v, "=,@", target, string, allowed, n);
}

/* IoT, CreateThing: thingName. */
static int parse_thing_name(const char *v, void *target, const void *string, char *allowed, size_t n)
{
	return parse_letters(v, ":", target, string, allowed, n);
}

static const char *const over_names[] = {"wait", "next", NULL}; /* enum over_budget */
static const char *const kind_names[] = {"bedrock", "sagemaker", "openai", "ocr", NULL};
static const char *const form_names[] = {"plain", "openai", NULL}; /* as enum sagemaker_form */
static const char *const then_names[] = {"move", "leave", NULL};
static const char *const blank_names[] = {"send", "hold", "ignore", NULL};
static const char *const lane_names[] = {"now", "backlog", NULL};
static const char *const rotate_names[] = {"exif", "90", "180", "270", "0", NULL}; /* quarters, modulo 4 */
static const char *const api_names[] = {"auto", "nova", "claude", "converse", NULL}; /* as enum bedrock_api */
static const char *const tier_names[] = {"default", "flex", NULL}; /* as enum bedrock_tier */
static const char *const schema_names[] = {"json_schema", "json_object", "none", NULL};

#define RANGE(l, h)   (&(const struct ini_range){(l), (h)})
#define CHOICE(list)  (&(const struct ini_enum){list})
#define SIZE_OF(s, f) (&(const struct ini_string){sizeof(((struct s *)0)->f)})
#define SECONDS(n)    (INT64_C(1000) * (n))
#define TEXT(s, f)    ini_parse_text, offsetof(struct s, f), SIZE_OF(s, f)
#define FILEPATH(s, f) ini_parse_path, offsetof(struct s, f), SIZE_OF(s, f)
#define NUMBER(s, f, l, h) ini_parse_int64, offsetof(struct s, f), RANGE(l, h)
#define BYTES(s, f)   ini_parse_bytes, offsetof(struct s, f), RANGE(0, INT64_C(1) << 50)
#define TIME(s, f, l, h) ini_parse_duration_ms, offsetof(struct s, f), RANGE(l, h)
#define KEEP(s, f)    parse_keep, offsetof(struct s, f), RANGE(SECONDS(3600), SECONDS(86400) * 36500)
#define YESNO(s, f)   ini_parse_boolean, offsetof(struct s, f), NULL

#define BACKEND CONFIG_BACKEND_SECTION
#define WATCH   CONFIG_WATCH_SECTION
#define CREDENTIALS CONFIG_CREDENTIALS_SECTION

const struct ini_key config_keys[] = {
	{"Service", "ControlSocket", FILEPATH(config, control_socket), "/run/pageferry/control",
		"Path of the control socket."},
	{"Service", "GroupLook", TEXT(config, group_look), "pageferry",
		"Members may connect, look at the state, read fields and submit pages."},
	{"Service", "GroupManage", TEXT(config, group_manage), "pageferry-admin",
		"Members who are in GroupLook= too (else they cannot connect) may do everything that root may."},
	{"Service", "Documents", FILEPATH(config, documents), PAGEFERRY_DATADIR "/documents",
		"Folder of the document types as installed."},
	{"Service", "DocumentsLocal", FILEPATH(config, documents_local), "/etc/pageferry/documents",
		"Folder of your own document types; a type of the same name wins."},
	{"Service", "Prices", FILEPATH(config, prices), PAGEFERRY_DATADIR "/prices.conf",
		"Prices of models; a model without one is not sent to."},
	{"Service", "Helpers", FILEPATH(config, helpers), PAGEFERRY_LIBEXECDIR,
		"Folder of pageferry-capture and pageferry-ocr, when the service starts them itself."},
	{"Service", "SocketHelpers", YESNO(config, socket_helpers), "no",
		"Reach the helpers by their systemd sockets in /run/pageferry instead of starting them."},
	{"Service", "Lab", YESNO(config, lab), "no",
		"Allow ConnectTo=, CAFile= and loopback in place of AWS; status and every receipt say so."},
	{"Service", "StopTimeout", TIME(config, stop_timeout_ms, 0, SECONDS(600)), "20s",
		"How long requests in flight may go on at stop; 0 to 10min."},
	{"Service", "Proxy", TEXT(config, proxy), NULL,
		"URL of an HTTP proxy; none by default, and the environment's is ignored."},

	{"Capture", "Source", TEXT(config, source), "v4l2:auto",
		"Where a scan takes pages from: v4l2:auto, v4l2:/dev/videoN or replay:FOLDER."},
	{"Capture", "Controls", TEXT(config, controls), NULL,
		"Controls of the camera as v4l2-ctl names them: NAME=VALUE NAME=VALUE."},
	{"Capture", "Auto", YESNO(config, automatic), "no",
		"Watch the source: a page that is laid down and rests is taken, once."},
	{"Capture", "KeepWarm", TIME(config, keep_warm_ms, 0, SECONDS(600)), "0",
		"The camera stays on for so long after a scan, so that the next one is quicker; up to 10min, 0: not."},
	{"Capture", "MaxSide", NUMBER(config, max_side, 256, 8192), "2048",
		"Longest side of a page in pixels, 256 to 8192; smaller pages are never enlarged."},
	{"Capture", "MaxPixels", NUMBER(config, max_pixels, 1000000, 4000000000), "120000000",
		"Pictures of more pixels are rejected, by their header; 1000000 to 4000000000."},
	{"Capture", "Quality", NUMBER(config, quality, 30, 100), "85", "JPEG quality, 30 to 100."},
	{"Capture", "Rotate", ini_parse_choice, offsetof(struct config, rotate), CHOICE(rotate_names), "exif",
		"Degrees clockwise by which pages of Source= are turned, on top of their EXIF orientation: exif (0), 90, 180, 270."},
	{"Capture", "Square", YESNO(config, square), "yes",
		"Crop to a page's edges and take perspective and skew out, where that is certain."},
	{"Capture", "HelperTimeout", TIME(config, helper_timeout_ms, SECONDS(1), SECONDS(3600)), "60s",
		"A scan that takes longer is ended, 1s to 1h; pages that came are kept."},
	{"Capture", "DocumentTimeout", TIME(config, document_timeout_ms, SECONDS(60), SECONDS(604800)), "15min",
		"A document that is open and gets no page for so long is ended, 1min to 7d."},
	{"Capture", "Type", parse_type_name, offsetof(struct config, type), SIZE_OF(config, type), "auto",
		"Document type of pages that name none."},
	{"Capture", "GlassGate", YESNO(config, glass_gate), "yes",
		"Look whether each page is blurred, washed out by light, cut off or not there, and say so at once."},
	{"Capture", "BlankPages", ini_parse_choice, offsetof(struct config, blank_pages), CHOICE(blank_names), "send",
		"A page with nothing on it: send (like any other, marked as blank), hold (for a person), or ignore (not looked for)."},
	{"Capture", "PageHash", YESNO(config, page_hash), "yes",
		"Note a perceptual hash of each page, by which pages that look alike are found."},
	{"Capture", "Thumbnails", YESNO(config, thumbnails), "yes", "Keep a picture of at most 256 pixels of each page."},
	{"Capture", "KeepOriginal", YESNO(config, keep_original), "no",
		"Keep what came from the source at its own size, too, as long as the page's file."},

	{"Spool", "Directory", FILEPATH(config, directory), "/var/lib/pageferry",
		"Folder of pages, database and results."},
	{"Spool", "Cap", BYTES(config, cap_bytes), "0",
		"Page files take this much at most (suffix K, M, G); 0: no cap."},
	{"Spool", "FreeFloor", BYTES(config, floor_bytes), "256M",
		"Free space that is left alone (suffix K, M, G): below it nothing is scanned."},
	{"Spool", "InodeFloor", NUMBER(config, floor_inodes, 0, INT64_C(1) << 40), "1000",
		"Free inodes that are left alone."},
	{"Spool", "KeepPages", KEEP(config, keep_pages_ms), "30d",
		"How long a page's file is kept when its results are delivered, 1h to 36500d, or forever."},
	{"Spool", "KeepResults", KEEP(config, keep_results_ms), "365d",
		"How long the results and the page's row are kept then; not less than KeepPages=."},

	{"Route", "Backends", parse_route, 0, NULL, "ocr",
		"Names of backends: the authoritative one first, then the fallbacks in order."},
	{"Route", "StartSpread", TIME(config, start_spread_ms, 0, SECONDS(600)), "30s",
		"After a start, pages from before it begin to go out at a random moment within this time; 0 to 10min."},

	{"Budget", "Day", parse_budget, offsetof(struct config, budget.day_pusd), NULL, "none",
		"What backends may cost in a day (UTC): USD, or none."},
	{"Budget", "Month", parse_budget, offsetof(struct config, budget.month_pusd), NULL, "none",
		"What they may cost in a month (UTC): USD, or none."},
	{"Budget", "Over", ini_parse_choice, offsetof(struct config, over_budget), CHOICE(over_names), "wait",
		"At the limit pages wait, or go down their route: wait or next."},

	{"Receipts", "Directory", FILEPATH(config, receipts.directory), NULL,
		"Folder of the daily files of receipts; it must be there. By default receipts/ in the spool's folder."},
	{"Receipts", "KeepFiles", parse_keep, offsetof(struct config, receipts.keep_files_ms), RANGE(SECONDS(86400), SECONDS(86400) * 36500), "forever",
		"How long a daily file is kept, 1d to 36500d, or forever; the receipts in the database are kept in any case."},
	{"Receipts", "SignEvery", NUMBER(config, receipts.sign_every, 1, 100000), "100",
		"The chain is signed when so many receipts are not, 1 to 100000,"},
	{"Receipts", "SignAfter", TIME(config, receipts.sign_after_ms, SECONDS(60), SECONDS(86400)), "1h",
		"or when the last signature is so old, 1min to 1d."},
	{"Receipts", "Key", FILEPATH(config, receipts.key), NULL,
		"Private key that signs (EC on P-256, PEM); by default receipts.key in the spool's folder, which is made."},
	{"Receipts", "KeyCredential", TEXT(config, receipts.key_credential), NULL, "The same as a systemd credential."},
	{"Receipts", "NextKey", FILEPATH(config, receipts.next_key), NULL, "Private key that takes its place: both sign that."},
	{"Receipts", "NextKeyCredential", TEXT(config, receipts.next_key_credential), NULL, "The same as a systemd credential."},

	{"Residency", "Regions", parse_regions, 0, NULL, "sydney", "Where pages may go: sydney, or sydney melbourne."},

	{BACKEND, "Kind", ini_parse_choice, offsetof(struct backend_config, kind), CHOICE(kind_names), NULL,
		"bedrock, sagemaker, openai or ocr; must be given, but for [Backend ocr]."},
	{BACKEND, "Model", TEXT(backend_config, model), NULL,
		"Model id. bedrock: amazon.nova-pro-v1:0 by default; sagemaker: of prices and receipts; openai: the server's own."},
	{BACKEND, "Api",
		ini_parse_choice, offsetof(struct backend_config, bedrock.api), CHOICE(api_names), "auto",
		"bedrock: the form in which the model is asked: auto (by its id), nova, claude or converse."},
	{BACKEND, "Guardrail",
		ini_parse_text, offsetof(struct backend_config, bedrock.guardrail), SIZE_OF(backend_config, bedrock.guardrail), NULL,
		"bedrock: id or ARN of a guardrail that each question and answer passes."},
	{BACKEND, "GuardrailVersion",
		ini_parse_text, offsetof(struct backend_config, bedrock.guardrail_version),
		SIZE_OF(backend_config, bedrock.guardrail_version), NULL, "bedrock: its version, a number or DRAFT; needed with Guardrail=."},
	{BACKEND, "GuardrailTrace", YESNO(backend_config, bedrock.guardrail_trace), "no",
		"bedrock: the reply tells what of the guardrail acted, and so does the attempt's message."},
	{BACKEND, "RequestMetadata", TEXT(backend_config, bedrock.metadata), NULL,
		"bedrock: KEY=VALUE ... for the account's invocation log; %page and %type are the page's."},
	{BACKEND, "BacklogTier",
		ini_parse_choice, offsetof(struct backend_config, bedrock.backlog_tier), CHOICE(tier_names), "default",
		"bedrock: service tier of pages of the backlog: default, or flex, which is slower and cheaper where a model has it."},
	{BACKEND, "Stream", YESNO(backend_config, bedrock.stream), "no",
		"bedrock: the answer comes as it is made; what arrives is told, and what is hopeless is ended."},
	{BACKEND, "Region", TEXT(backend_config, region), NULL, "bedrock, sagemaker: ap-southeast-2 by default."},
	{BACKEND, "Endpoint", TEXT(backend_config, endpoint), NULL,
		"bedrock, sagemaker: URL of the service; by default the region's own."},
	{BACKEND, "EndpointName",
		parse_endpoint_name, offsetof(struct backend_config, sagemaker.endpoint_name),
		SIZE_OF(backend_config, sagemaker.endpoint_name), NULL,
		"sagemaker: name of the endpoint; must be given."},
	{BACKEND, "Form",
		ini_parse_choice, offsetof(struct backend_config, sagemaker.form), CHOICE(form_names), "plain",
		"sagemaker: plain (image, prompt, max_new_tokens to generated_text) or openai (chat completions, as vLLM)."},
	{BACKEND, "InferenceComponent",
		parse_endpoint_name, offsetof(struct backend_config, sagemaker.component),
		SIZE_OF(backend_config, sagemaker.component), NULL,
		"sagemaker: the component that is called, where an endpoint has several."},
	{BACKEND, "TargetVariant",
		parse_endpoint_name, offsetof(struct backend_config, sagemaker.variant),
		SIZE_OF(backend_config, sagemaker.variant), NULL,
		"sagemaker: the production variant that is called."},
	{BACKEND, "TargetModel",
		parse_printable, offsetof(struct backend_config, sagemaker.target_model),
		SIZE_OF(backend_config, sagemaker.target_model), NULL,
		"sagemaker: the model of a multi-model endpoint."},
	{BACKEND, "CustomAttributes",
		parse_printable, offsetof(struct backend_config, sagemaker.attributes),
		SIZE_OF(backend_config, sagemaker.attributes), NULL,
		"sagemaker: sent to the container as they are, at most 1024 bytes."},
	{BACKEND, "Bucket",
		parse_bucket, offsetof(struct backend_config, sagemaker.bucket.name), SIZE_OF(backend_config, sagemaker.bucket.name), NULL,
		"sagemaker: the endpoint is called asynchronously, by this S3 bucket in its region."},
	{BACKEND, "BucketOwner",
		parse_account, offsetof(struct backend_config, sagemaker.bucket.owner), SIZE_OF(backend_config, sagemaker.bucket.owner), NULL,
		"sagemaker, with Bucket=: number of the account that must own it; it is not asked for by default."},
	{BACKEND, "Prefix",
		parse_prefix, offsetof(struct backend_config, sagemaker.prefix), SIZE_OF(backend_config, sagemaker.prefix), "pageferry/",
		"sagemaker, with Bucket=: what the keys of all objects begin with, / at its end."},
	{BACKEND, "PricePerRequest", parse_usd, offsetof(struct backend_config, price_per_request_pusd), NULL, NULL,
		"sagemaker: USD a request, 0 for an endpoint paid by the hour; without it prices.conf must have the model."},
	{BACKEND, "ColdTimeout",
		ini_parse_duration_ms, offsetof(struct backend_config, sagemaker.cold_timeout_ms),
		RANGE(SECONDS(1), SECONDS(3600)), "15min",
		"sagemaker: as Timeout=, when it has not answered for five minutes; 1s to 1h."},
	{BACKEND, "StartPatience", TIME(backend_config, start_patience_ms, 0, SECONDS(86400)), "15min",
		"sagemaker: a model that is still starting after so long counts as down; 0 to 1d."},
	{BACKEND, "URL",
		ini_parse_text, offsetof(struct backend_config, openai.base_url),
		SIZE_OF(backend_config, openai.base_url), NULL,
		"openai: URL up to but without /v1, a private, link-local or loopback address."},
	{BACKEND, "Socket",
		ini_parse_path, offsetof(struct backend_config, openai.unix_socket),
		SIZE_OF(backend_config, openai.unix_socket), NULL,
		"openai: connect to this UNIX socket."},
	{BACKEND, "Interface",
		ini_parse_text, offsetof(struct backend_config, openai.interface),
		SIZE_OF(backend_config, openai.interface), NULL,
		"openai: bind to this network interface (usb0)."},
	{BACKEND, "HealthPath",
		parse_url_path, offsetof(struct backend_config, openai.health_path),
		SIZE_OF(backend_config, openai.health_path), NULL,
		"openai: path that answers 200 when the server is ready; /health by default."},
	{BACKEND, "SchemaMode",
		ini_parse_choice, offsetof(struct backend_config, openai.schema_mode),
		CHOICE(schema_names), "json_schema",
		"openai, and sagemaker of that form: how the answer's form is asked for: json_schema, json_object or none."},
	{BACKEND, "APIKeyCredential", TEXT(backend_config, api_key_credential), NULL,
		"openai: name of the systemd credential that holds the API key."},
	{BACKEND, "APIKeyFile", FILEPATH(backend_config, api_key_file), NULL, "openai: file that holds the API key."},
	{BACKEND, "MaxOutputTokens", NUMBER(backend_config, max_output_tokens, 64, 65536), NULL,
		"bedrock, sagemaker, openai: cap of the answer, 64 to 65536; 4096 by default."},
	{BACKEND, "Timeout", TIME(backend_config, timeout_ms, SECONDS(1), SECONDS(3600)), NULL,
		"One page, 1s to 1h; by default 2min for bedrock and ocr, 70s for sagemaker (15min with Bucket=), 5min for openai."},
	{BACKEND, "ConnectTimeout", TIME(backend_config, connect_timeout_ms, 100, SECONDS(120)), NULL,
		"bedrock, sagemaker, openai: 100ms to 2min; 10s by default."},
	{BACKEND, "ConnectTo", TEXT(backend_config, connect_to), NULL,
		"bedrock and sagemaker, only with Lab=yes: HOST:PORT to connect to instead of the URL's."},
	{BACKEND, "CAFile", FILEPATH(backend_config, ca_file), NULL,
		"More trusted certificates: openai, and bedrock and sagemaker only with Lab=yes."},
	{BACKEND, "Language",
		ini_parse_text, offsetof(struct backend_config, ocr.language),
		SIZE_OF(backend_config, ocr.language), NULL,
		"ocr: Tesseract's language; eng by default."},
	{BACKEND, "MaxPixels",
		ini_parse_int64, offsetof(struct backend_config, ocr.max_pixels), RANGE(10000, 100000000), NULL,
		"ocr: larger pages are not read; 40000000 by default."},
	{BACKEND, "Concurrency", NUMBER(backend_config, concurrency, 1, CONCURRENCY_MAX), "1",
		"Requests in flight, 1 to 8."},
	{BACKEND, "PagesPerRequest", NUMBER(backend_config, pages_per_request, 0, JOB_IMAGES_MAX), "0",
		"bedrock, sagemaker, openai: pages of a document in one request, 1 to 20; 0: bedrock 20, others 1."},
	{BACKEND, "RequestsPerMinute", NUMBER(backend_config, requests_per_minute, 0, 100000), "0",
		"Not more requests in any 60 s; 0: no limit."},
	{BACKEND, "TokensPerMinute", NUMBER(backend_config, tokens_per_minute, 0, INT64_C(1) << 40), "0",
		"bedrock: not more tokens in any 60 s, by the upper bound until a request is answered; 0: no limit."},
	{BACKEND, "Tries", NUMBER(backend_config, tries, 1, 100), "5",
		"Attempts at a page before the next backend of the route is asked, 1 to 100."},
	{BACKEND, "Backoff", TIME(backend_config, backoff_ms, 10, SECONDS(3600)), "2s",
		"Wait after the first failure; it doubles, with jitter. 10ms to 1h."},
	{BACKEND, "BackoffMax", TIME(backend_config, backoff_max_ms, 10, SECONDS(86400)), "15min",
		"Longest wait, 10ms to 1d."},
	{BACKEND, "FallbackAfter", TIME(backend_config, fallback_after_ms, 0, SECONDS(86400) * 365), "30s",
		"When it has been down for this long, pages go to the next of the route."},
	{BACKEND, "Credentials", parse_section_name, offsetof(struct backend_config, credentials),
		SIZE_OF(backend_config, credentials), "aws",
		"bedrock, sagemaker: which [Credentials NAME] it uses; several backends may share one."},

	{CREDENTIALS, "Source", ini_parse_choice, offsetof(struct creds_config, kind), CHOICE(creds_kind_names), NULL,
		"Where they come from; must be given, but for [Credentials aws], which is systemd-credential."},
	{CREDENTIALS, "Credential", TEXT(creds_config, credential), NULL,
		"systemd-credential, api-key: name of the systemd credential; of the first that of the section by default."},
	{CREDENTIALS, "File", FILEPATH(creds_config, file), NULL,
		"file: keys as the AWS command line writes them, or JSON; profile: the shared credentials file; "
		"api-key: the key alone, mode 0600."},
	{CREDENTIALS, "ConfigFile", FILEPATH(creds_config, config_file), NULL, "profile: the shared config file."},
	{CREDENTIALS, "Profile", TEXT(creds_config, profile), NULL,
		"systemd-credential, file, profile: section of the file; default by default."},
	{CREDENTIALS, "Command", TEXT(creds_config, command), NULL,
		"process: program with its arguments, which prints keys as JSON of Version 1; no shell."},
	{CREDENTIALS, "RoleArn", TEXT(creds_config, role_arn), NULL,
		"assume-role, web-identity, roles-anywhere: ARN of the role."},
	{CREDENTIALS, "SourceCredentials", parse_section_name, offsetof(struct creds_config, source_credentials),
		SIZE_OF(creds_config, source_credentials), NULL, "assume-role: [Credentials NAME] that may assume the role."},
	{CREDENTIALS, "ExternalId", TEXT(creds_config, external_id), NULL, "assume-role: external id that the role asks for."},
	{CREDENTIALS, "SessionName", parse_session_name, offsetof(struct creds_config, session_name),
		SIZE_OF(creds_config, session_name), NULL,
		"assume-role, web-identity, roles-anywhere: name of the session; pageferry by default."},
	{CREDENTIALS, "Duration", TIME(creds_config, duration_ms, SECONDS(900), SECONDS(43200)), NULL,
		"assume-role, web-identity, roles-anywhere: how long they are asked to last, 15min to 12h; 1h by default."},
	{CREDENTIALS, "TokenFile", FILEPATH(creds_config, token_file), NULL,
		"web-identity, container: file with the token, read each time."},
	{CREDENTIALS, "Certificate", TEXT(creds_config, certificate), NULL,
		"iot, roles-anywhere: file with the device's certificate and those up to the root, PEM; or name of a systemd credential."},
	{CREDENTIALS, "Key", TEXT(creds_config, key), NULL,
		"iot, roles-anywhere: file with its private key, EC P-256 or RSA, PEM, mode 0600; or name of a systemd credential."},
	{CREDENTIALS, "RoleAlias", parse_role_alias, offsetof(struct creds_config, role_alias),
		SIZE_OF(creds_config, role_alias), NULL, "iot: name of the role alias."},
	{CREDENTIALS, "ThingName", parse_thing_name, offsetof(struct creds_config, thing_name),
		SIZE_OF(creds_config, thing_name), NULL, "iot: name of the thing that the certificate is attached to."},
	{CREDENTIALS, "TrustAnchorArn", TEXT(creds_config, trust_anchor_arn), NULL, "roles-anywhere: ARN of the trust anchor."},
	{CREDENTIALS, "ProfileArn", TEXT(creds_config, profile_arn), NULL, "roles-anywhere: ARN of the profile."},
	{CREDENTIALS, "Version1", YESNO(creds_config, version_1), "no",
		"imds: ask without a token where the service gives none."},
	{CREDENTIALS, "Region", TEXT(creds_config, region), NULL,
		"assume-role, web-identity, iot, roles-anywhere, api-key: ap-southeast-2 by default."},
	{CREDENTIALS, "Endpoint", TEXT(creds_config, endpoint), NULL,
		"URL. assume-role, web-identity, roles-anywhere: by default the region's own; imds: by IPv4; container: of the environment; iot: must be given."},
	{CREDENTIALS, "Timeout", TIME(creds_config, timeout_ms, 100, SECONDS(300)), "10s",
		"One request or run of the program, 100ms to 5min."},
	{CREDENTIALS, "ConnectTo", TEXT(creds_config, connect_to), NULL,
		"Only with Lab=yes: HOST:PORT to connect to instead of the URL's."},
	{CREDENTIALS, "CAFile", FILEPATH(creds_config, ca_file), NULL, "Only with Lab=yes: more trusted certificates."},

	{WATCH, "Folder", FILEPATH(watch_config, folder), NULL,
		"Image files that come into this folder are taken; must be given."},
	{WATCH, "Then", ini_parse_choice, offsetof(struct watch_config, then), CHOICE(then_names), "move",
		"What becomes of a file that was taken: move (into Done=) or leave (it stays and is not taken again)."},
	{WATCH, "Done", parse_folder_name, offsetof(struct watch_config, done), SIZE_OF(watch_config, done), "done",
		"Folder inside the watched one, for files that were taken."},
	{WATCH, "Rejected", parse_folder_name, offsetof(struct watch_config, rejected), SIZE_OF(watch_config, rejected),
		"rejected", "Folder inside the watched one, for files that gave no page, each with NAME.reason beside it."},
	{WATCH, "Type", parse_type_name, offsetof(struct watch_config, type), SIZE_OF(watch_config, type), NULL,
		"Document type of its pages; that of [Capture] by default."},
	{WATCH, "Lane", ini_parse_choice, offsetof(struct watch_config, lane), CHOICE(lane_names), "backlog",
		"now or backlog: whether its pages wait behind those that people wait for."},
	{WATCH, "Settle", TIME(watch_config, settle_ms, 10, SECONDS(3600)), "2s",
		"For so long a file's size and time must not change before it is taken, 10ms to 1h."},
};
const size_t config_keys_count = ARRAY_SIZE(config_keys);

const char *backend_kind_name(enum backend_kind k)
{
	return kind_names[k];
}
