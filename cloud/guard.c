#include "cloud/guard.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"
#include "cloud/guard_internal.h"

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

bool guard_lab_ends_here(const struct guard_policy *p, const struct guard_question *q, const struct url *u)
{
	struct url to;

	if (!p->lab)
		return false;
	if (q->connect_to)
		return url_split_literal(q->connect_to, &to) == 0 && url_is_loopback(&to);
	return url_is_loopback(u);
}

bool guard_detour(
	const struct guard_policy *p, const struct guard_question *q, const struct url *u, const struct guard_why *w)
{
	if (!q->connect_to || guard_lab_ends_here(p, q, u))
		return false;
	guard_say(w,
		p->lab ? "ConnectTo= %s is not a loopback address with a port, as 127.0.0.1:8443"
		       : "ConnectTo= %s needs Lab=yes; without it the connection goes where the URL says",
		q->connect_to);
	return true;
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

/* fe80::/10 is an address of every link. */
static bool needs_link(const struct url *u)
{
	return u->kind == URL_HOST_IPV6 && u->address[0] == 0xfe;
}

static enum guard_answer check_address(const struct guard_question *q, const struct url *u, const struct guard_why *w)
{
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		if (!in_range(&ranges[i], u))
			continue;
		if (!ranges[i].allow)
			break;
		/* A route or a tunnel may lead it anywhere. */
		if (!url_is_loopback(u) && !(q->interface && *q->interface) && !(q->pinned && u->https && !needs_link(u))) {
			guard_say(w, "%s is %s, and a route could lead it anywhere: Interface= must say on which link it is, as Interface=usb0%s", u->host,
				ranges[i].what, needs_link(u) ? "" : "; or https with CAFile= prove the server");
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

/* ---- what hands out credentials by plain http on this machine ---------------------------------------------------- */

/* The addresses that the services document, and no other: a name, or another address, may be anybody. */
static const struct {
	enum guard_sink sink;
	const char *host, *what;
} metadata_hosts[] = {
	{GUARD_IMDS, "169.254.169.254", "the instance metadata service"},
	{GUARD_IMDS, "fd00:ec2::254", "the instance metadata service"},
	{GUARD_CONTAINER, "169.254.170.2", "the container credential endpoint"},
	{GUARD_CONTAINER, "169.254.170.23", "the container credential endpoint"},
	{GUARD_CONTAINER, "fd00:ec2::23", "the container credential endpoint"},
};

static bool imds_path(const struct url *u)
{
	static const char *const paths[] = {"/latest/api/token", "/latest/meta-data/iam/security-credentials/"};

	return !u->query && ((u->path_len == strlen(paths[0]) && memcmp(u->path, paths[0], u->path_len) == 0) ||
				    (u->path_len >= strlen(paths[1]) && memcmp(u->path, paths[1], strlen(paths[1])) == 0));
}

static enum guard_answer check_metadata_host(const struct guard_question *q, const struct url *u, const struct guard_why *w)
{
	if (q->sink == GUARD_CONTAINER && url_is_loopback(u)) {
		guard_say(w, "local: %s is this machine", u->host);
		return GUARD_ALLOW;
	}
	for (size_t i = 0; i < ARRAY_SIZE(metadata_hosts); i++) {
		if (q->sink != metadata_hosts[i].sink || !streq(u->host, metadata_hosts[i].host) || u->https || u->port != 80)
			continue;
		guard_say(w, "local: %s is %s", u->host, metadata_hosts[i].what);
		return GUARD_ALLOW;
	}
	guard_say(w, q->sink == GUARD_IMDS
			     ? "%s is not the instance metadata service; it is http://169.254.169.254 or http://[fd00:ec2::254]"
			     : "%s is not a container credential endpoint; use a loopback address as http://127.0.0.1:PORT, "
			       "http://169.254.170.2, http://169.254.170.23 or http://[fd00:ec2::23]",
		u->host);
	return GUARD_DENY;
}

static enum guard_answer check_metadata(
	const struct guard_policy *p, const struct guard_question *q, const struct guard_why *w)
{
	char problem[128];
	struct url u;

	if (q->unix_socket || url_split(q->url, &u, problem, sizeof(problem)) < 0) {
		guard_say(w, "the URL is refused: %s", q->unix_socket ? "a socket is no metadata service" : problem);
		return GUARD_DENY;
	}
	if (q->sink == GUARD_IMDS && !imds_path(&u)) {
		guard_say(w, "of the instance metadata service only the token and the role's credentials are asked for");
		return GUARD_DENY;
	}
	if (guard_detour(p, q, &u, w))
		return GUARD_DENY;
	if (guard_lab_ends_here(p, q, &u)) {
		guard_say(w, GUARD_LAB_SENTENCE);
		return GUARD_ALLOW;
	}
	return check_metadata_host(q, &u, w);
}

enum guard_answer guard_check(const struct guard_policy *p, const struct guard_question *q, char *why, size_t why_size)
{
	const struct guard_why w = {why, why_size};

	guard_say(&w, "denied");
	switch (q->sink) {
	case GUARD_BEDROCK:
	case GUARD_BEDROCK_CONTROL:
	case GUARD_SAGEMAKER:
	case GUARD_S3:
	case GUARD_STS:
	case GUARD_IOT_CREDENTIALS:
	case GUARD_ROLES_ANYWHERE:
	case GUARD_SSO:
	case GUARD_SSO_OIDC:
		return guard_check_aws(p, q, &w);
	case GUARD_IMDS:
	case GUARD_CONTAINER:
		return check_metadata(p, q, &w);
	case GUARD_LOCAL:
		return check_local(q, &w);
	case GUARD_WEBHOOK:
		guard_say(&w, "no network delivery is known to this version; results are files and the control socket");
		return GUARD_DENY;
	}
	return GUARD_DENY;
}
