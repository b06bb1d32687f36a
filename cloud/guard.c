#include "cloud/guard.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"
#include "cloud/guard_internal.h"
#include "cloud/url.h"

void guard_say(const struct guard_why *w, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (w->size)
		text_safe_copy(w->text, w->size, text);
}

bool guard_region_allowed(const struct guard_policy *p, const char *region)
{
	return streq(region, "ap-southeast-2") || (!p->sydney_only && streq(region, "ap-southeast-4"));
}

/* ---- hosts of AWS ------------------------------------------------------------------------------------------------ */

static bool host_is(const char *host, const char *service, const char *region, const char *suffix)
{
	char want[128];

	return str_format(want, sizeof(want), "%s.%s.%s", service, region, suffix) > 0 && streq(host, want);
}

/* "vpce-" and one label, then the service's own name inside the region. */
static bool host_is_vpce(const char *host, const char *region)
{
	const char *dot = strchr(host, '.');

	return starts_with(host, "vpce-") && dot && dot - host > 5 &&
	       host_is(dot + 1, "bedrock-runtime", region, "vpce.amazonaws.com");
}

static bool bedrock_host(const char *host, const char *region)
{
	return host_is(host, "bedrock-runtime", region, "amazonaws.com") ||
	       host_is(host, "bedrock-runtime", region, "api.aws") || host_is_vpce(host, region);
}

/* ---- the URL of a model call ------------------------------------------------------------------------------------- */

/* With Lab=yes the bytes end on this machine: in the URL itself, or by ConnectTo=. */
static bool lab_ends_here(const struct guard_policy *p, const struct guard_question *q, const struct url *u)
{
	struct url to;

	if (!p->lab)
		return false;
	if (q->connect_to)
		return url_split_literal(q->connect_to, &to) == 0 && url_is_loopback(&to);
	return url_is_loopback(u);
}

static enum guard_answer check_bedrock_url(
	const struct guard_policy *p, const struct guard_question *q, const struct url *u, const struct guard_why *w)
{
	bool here = lab_ends_here(p, q, u);

	if (q->connect_to && !here) {
		guard_say(w,
			p->lab ? "ConnectTo= %s is not a loopback address with a port, as 127.0.0.1:8443"
			       : "ConnectTo= %s needs Lab=yes; without it the connection goes where the URL says",
			q->connect_to);
		return GUARD_DENY;
	}
	if (here)
		return GUARD_ALLOW;
	if (!u->https || u->port != 443) {
		guard_say(w, "AWS is only spoken to by https on port 443; use https://bedrock-runtime.%s.amazonaws.com",
			q->region);
		return GUARD_DENY;
	}
	if (!bedrock_host(u->host, q->region)) {
		guard_say(w, "host %s is not Bedrock in %s; use bedrock-runtime.%s.amazonaws.com", u->host, q->region,
			q->region);
		return GUARD_DENY;
	}
	return GUARD_ALLOW;
}

/* The model that the URL really names: /model/LABEL/ACTION, decoded once. It must be the model that was checked. */
static bool path_names_model(const struct url *u, const char *model)
{
	static const char *const actions[] = {
		"/invoke", "/converse", "/invoke-with-response-stream", "/converse-stream", "/count-tokens"};
	_cleanup_buf_ struct buf label = BUF_MAX(4096);
	const char *start, *slash;
	size_t rest;

	if (u->path_len <= 7 || memcmp(u->path, "/model/", 7) != 0 || u->query)
		return false;
	start = u->path + 7;
	slash = memchr(start, '/', u->path_len - 7);
	if (!slash || url_decode(start, (size_t)(slash - start), &label) < 0 || !streq(buf_str(&label), model))
		return false;
	rest = u->path_len - (size_t)(slash - u->path);
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		if (rest == strlen(actions[i]) && memcmp(slash, actions[i], rest) == 0)
			return true;
	}
	return false;
}

static enum guard_answer check_bedrock(
	const struct guard_policy *p, const struct guard_question *q, const struct guard_why *w)
{
	char problem[128];
	enum guard_answer a;
	struct url u;

	if (q->unix_socket || !q->url || !q->model || !q->region) {
		guard_say(w, "a Bedrock request needs a URL, a model and a region, and no socket");
		return GUARD_DENY;
	}
	if (!guard_region_allowed(p, q->region)) {
		guard_say(w, "region %s is not allowed; use ap-southeast-2 (Sydney)", q->region);
		return GUARD_DENY;
	}
	if (url_split(q->url, &u, problem, sizeof(problem)) < 0) {
		guard_say(w, "the URL is refused: %s", problem);
		return GUARD_DENY;
	}
	a = check_bedrock_url(p, q, &u, w);
	if (a != GUARD_ALLOW)
		return a;
	if (!path_names_model(&u, q->model)) {
		guard_say(w, "the URL does not call the model %s that was asked about", q->model);
		return GUARD_DENY;
	}
	a = guard_check_model(p, q->region, q->model, w);
	if (a == GUARD_ALLOW && p->lab && lab_ends_here(p, q, &u))
		guard_say(w, "lab: loopback stands in for AWS, nothing leaves this machine");
	return a;
}

/* ---- local sinks ------------------------------------------------------------------------------------------------- */

struct range {
	enum url_host_kind kind;
	uint8_t bits;
	uint8_t prefix[16];
	bool allow;
	const char *what;
};

/* First match wins; what matches nothing is denied. Sources: RFC 1918, 3927, 1122, 4193, 4291; the metadata services of
 * AWS hand out credentials and are never a model. */
static const struct range ranges[] = {
	{URL_HOST_IPV4, 32, {169, 254, 169, 254}, false, "a metadata service"},
	{URL_HOST_IPV4, 24, {169, 254, 170}, false, "a metadata service"},
	{URL_HOST_IPV4, 8, {10}, true, "private"},
	{URL_HOST_IPV4, 12, {172, 16}, true, "private"},
	{URL_HOST_IPV4, 16, {192, 168}, true, "private"},
	{URL_HOST_IPV4, 16, {169, 254}, true, "link-local"},
	{URL_HOST_IPV4, 8, {127}, true, "loopback"},
	{URL_HOST_IPV6, 32, {0xfd, 0x00, 0x0e, 0xc2}, false, "a metadata service"},
	{URL_HOST_IPV6, 128, {[15] = 1}, true, "loopback"},
	{URL_HOST_IPV6, 7, {0xfc}, true, "private (unique local)"},
	{URL_HOST_IPV6, 10, {0xfe, 0x80}, true, "link-local"},
};

static bool in_range(const struct range *r, const struct url *u)
{
	unsigned int whole = r->bits / 8, rest = r->bits % 8;
	uint8_t mask = (uint8_t)(0xff00 >> rest);

	if (r->kind != u->kind || memcmp(r->prefix, u->address, whole) != 0)
		return false;
	return !rest || ((r->prefix[whole] ^ u->address[whole]) & mask) == 0;
}

static enum guard_answer check_address(const struct guard_question *q, const struct url *u, const struct guard_why *w)
{
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		if (!in_range(&ranges[i], u))
			continue;
		if (!ranges[i].allow)
			break;
		if (u->kind == URL_HOST_IPV6 && streq(ranges[i].what, "link-local") &&
			!(q->interface && *q->interface)) {
			guard_say(w, "%s is link-local: Interface= must say on which link", u->host);
			return GUARD_DENY;
		}
		guard_say(w, "local: %s is a %s address", u->host, ranges[i].what);
		return GUARD_ALLOW;
	}
	guard_say(w, "%s is not a private, link-local or loopback address; use one such as 192.168.55.1, or a socket",
		u->host);
	return GUARD_DENY;
}

static enum guard_answer check_socket(const char *path, const struct guard_why *w)
{
	if (path[0] != '/' || strlen(path) >= 108 || strstr(path, "/../")) {
		guard_say(w, "the socket %s is not an absolute path of at most 107 bytes", path);
		return GUARD_DENY;
	}
	guard_say(w, "local: the socket %s is on this machine", path);
	return GUARD_ALLOW;
}

static enum guard_answer check_local(const struct guard_question *q, const struct guard_why *w)
{
	char problem[128];
	struct url u;

	if (q->connect_to || q->region) {
		guard_say(w, "a local backend has neither ConnectTo= nor a region");
		return GUARD_DENY;
	}
	if (q->unix_socket)
		return check_socket(q->unix_socket, w);
	if (url_split(q->url, &u, problem, sizeof(problem)) < 0) {
		guard_say(w, "the URL is refused: %s", problem);
		return GUARD_DENY;
	}
	if (u.kind == URL_HOST_NAME) {
		guard_say(w,
			"%s is a name, and names can point anywhere; write the address, as http://192.168.55.1:8080",
			u.host);
		return GUARD_DENY;
	}
	return check_address(q, &u, w);
}

enum guard_answer guard_check(const struct guard_policy *p, const struct guard_question *q, char *why, size_t why_size)
{
	const struct guard_why w = {why, why_size};

	guard_say(&w, "denied");
	switch (q->sink) {
	case GUARD_BEDROCK:
		return check_bedrock(p, q, &w);
	case GUARD_LOCAL:
		return check_local(q, &w);
	case GUARD_CREDENTIALS:
		guard_say(&w,
			"no credential service is known to this version; use a systemd credential or a file");
		return GUARD_DENY;
	case GUARD_WEBHOOK:
		guard_say(&w, "no network delivery is known to this version; results are files and the control socket");
		return GUARD_DENY;
	}
	return GUARD_DENY;
}
