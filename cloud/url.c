#include "cloud/url.h"

#include <arpa/inet.h>
#include <stdio.h>

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static unsigned int hex_value(char c)
{
	if (is_digit(c))
		return (unsigned int)(c - '0');
	return (unsigned int)((c | 0x20) - 'a' + 10);
}

static int fail(char *why, size_t size, const char *text)
{
	if (why && size)
		snprintf(why, size, "%s", text);
	return -EINVAL;
}

/* Four decimal numbers without leading zeros, nothing else. */
static bool parse_ipv4(const char *s, uint8_t out[4])
{
	for (int i = 0; i < 4; i++) {
		unsigned int v = 0, digits = 0;

		while (is_digit(*s) && digits < 4) {
			v = v * 10 + (unsigned int)(*s++ - '0');
			digits++;
		}
		if (!digits || v > 255 || (digits > 1 && s[-(int)digits] == '0'))
			return false;
		if (*s != (i < 3 ? '.' : '\0'))
			return false;
		out[i] = (uint8_t)v;
		s++;
	}
	return true;
}

/* Would some parser read the host as a number? The WHATWG rule: its last label is all digits or starts with 0x. */
static bool looks_numeric(const char *host)
{
	const char *last = strrchr(host, '.');

	last = last ? last + 1 : host;
	if (last[0] == '0' && last[1] == 'x')
		return true;
	return strspn(last, "0123456789") == strlen(last);
}

static bool name_ok(const char *host)
{
	size_t label = 0;
	char before = '.';

	for (const char *p = host;; p++) {
		if (*p == '.' || !*p) {
			if (!label || label > 63 || before == '-')
				return false;
			if (!*p)
				return true;
			label = 0;
		} else {
			if (!is_lower(*p) && !is_digit(*p) && (*p != '-' || !label))
				return false;
			label++;
		}
		before = *p;
	}
}

static int parse_host(struct url *u, const char *s, size_t len, char *why, size_t why_size)
{
	bool brackets = len >= 2 && s[0] == '[' && s[len - 1] == ']';

	if (brackets) {
		s++;
		len -= 2;
	}
	if (!len || len >= sizeof(u->host))
		return fail(why, why_size, "the host is empty or too long");
	memcpy(u->host, s, len);
	u->host[len] = '\0';
	if (brackets) {
		u->kind = URL_HOST_IPV6;
		if (strspn(u->host, "0123456789abcdef:.") != len || inet_pton(AF_INET6, u->host, u->address) != 1)
			return fail(why, why_size, "not an IPv6 address in lower case without zone");
		return 0;
	}
	if (looks_numeric(u->host)) {
		u->kind = URL_HOST_IPV4;
		if (!parse_ipv4(u->host, u->address))
			return fail(why, why_size, "not an IPv4 address of four plain decimal numbers");
		return 0;
	}
	u->kind = URL_HOST_NAME;
	if (!name_ok(u->host))
		return fail(why, why_size, "not a host name of a-z 0-9 - and single dots");
	return 0;
}

static int parse_port(struct url *u, const char *s, size_t len)
{
	unsigned int v = 0;

	if (!len || len > 5 || s[0] == '0')
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (!is_digit(s[i]))
			return -EINVAL;
		v = v * 10 + (unsigned int)(s[i] - '0');
	}
	if (v > 65535)
		return -EINVAL;
	u->port = (uint16_t)v;
	u->port_given = true;
	return 0;
}

/* host[:port] */
static int parse_authority(struct url *u, const char *s, size_t len, char *why, size_t why_size)
{
	size_t host_len = len;

	if (memchr(s, '@', len))
		return fail(why, why_size, "user information ('@') is not allowed");
	if (memchr(s, '%', len))
		return fail(why, why_size, "percent-encoding is not allowed in the host");
	if (len && s[0] == '[') {
		const char *close = memchr(s, ']', len);

		if (!close)
			return fail(why, why_size, "'[' without ']' in the host");
		host_len = (size_t)(close - s) + 1;
	} else {
		const char *colon = memchr(s, ':', len);

		if (colon)
			host_len = (size_t)(colon - s);
	}
	if (host_len < len) {
		if (s[host_len] != ':' || parse_port(u, s + host_len + 1, len - host_len - 1) < 0)
			return fail(why, why_size, "the port is not a plain number from 1 to 65535");
	}
	return parse_host(u, s, host_len, why, why_size);
}

/* Is the segment "." or "..", also with dots written as %2e? */
static bool dot_segment(const char *s, size_t len)
{
	size_t dots = 0, i = 0;

	while (i < len) {
		if (s[i] == '.')
			i++;
		else if (len - i >= 3 && s[i] == '%' && s[i + 1] == '2' && (s[i + 2] | 0x20) == 'e')
			i += 3;
		else
			return false;
		dots++;
	}
	return dots == 1 || dots == 2;
}

static bool segments_ok(const char *path, size_t len)
{
	size_t start = 1;

	for (size_t i = 1; i <= len; i++) {
		if (i < len && path[i] != '/')
			continue;
		if (dot_segment(path + start, i - start))
			return false;
		start = i + 1;
	}
	return true;
}

/* Printable ASCII that may stand in a URL as it is; every '%' begins a %XX that is not %00. */
static bool characters_ok(const char *text)
{
	for (const char *p = text; *p; p++) {
		if (*p <= 0x20 || *p >= 0x7f || strchr("\"<>\\^`{|}#", *p))
			return false;
		if (*p == '%' && (!is_hex(p[1]) || !is_hex(p[2]) || (p[1] == '0' && p[2] == '0')))
			return false;
	}
	return true;
}

static void split_tail(struct url *u, const char *tail)
{
	const char *q = strchr(tail, '?');

	u->path = tail;
	u->path_len = q ? (size_t)(q - tail) : strlen(tail);
	if (!u->path_len) {
		u->path = "/";
		u->path_len = 1;
	}
	if (q) {
		u->query = q + 1;
		u->query_len = strlen(q + 1);
	}
}

int url_split(const char *text, struct url *ret, char *why, size_t why_size)
{
	struct url u = {};
	const char *p;
	size_t len;
	int r;

	if (!text || strlen(text) > URL_MAX)
		return fail(why, why_size, "there is no URL, or it is too long");
	if (!characters_ok(text))
		return fail(why, why_size, "it has a character that does not belong in a URL");
	if (starts_with(text, "https://"))
		u.https = true;
	else if (!starts_with(text, "http://"))
		return fail(why, why_size, "it does not start with https:// or http:// in lower case");
	p = text + (u.https ? 8 : 7);
	u.port = u.https ? 443 : 80;
	len = strcspn(p, "/?");
	r = parse_authority(&u, p, len, why, why_size);
	if (r < 0)
		return r;
	split_tail(&u, p + len);
	if (strpbrk(u.path, "[]"))
		return fail(why, why_size, "brackets belong around an IPv6 address only");
	if (!segments_ok(u.path, u.path_len))
		return fail(why, why_size, "the path has '.' or '..' segments");
	*ret = u;
	return 0;
}

int url_split_literal(const char *text, struct url *ret)
{
	struct url u = {};
	int r;

	if (!text || !characters_ok(text) || strpbrk(text, "/?"))
		return -EINVAL;
	r = parse_authority(&u, text, strlen(text), NULL, 0);
	if (r < 0)
		return r;
	if (!u.port_given || u.kind == URL_HOST_NAME)
		return -EINVAL;
	*ret = u;
	return 0;
}

int url_host_header(const struct url *u, char *out, size_t size)
{
	const char *open = u->kind == URL_HOST_IPV6 ? "[" : "", *close = u->kind == URL_HOST_IPV6 ? "]" : "";

	if (u->port == (u->https ? 443 : 80))
		return str_format(out, size, "%s%s%s", open, u->host, close);
	return str_format(out, size, "%s%s%s:%u", open, u->host, close, (unsigned int)u->port);
}

bool url_is_loopback(const struct url *u)
{
	static const uint8_t one[16] = {[15] = 1};

	if (u->kind == URL_HOST_IPV4)
		return u->address[0] == 127;
	return u->kind == URL_HOST_IPV6 && memcmp(u->address, one, sizeof(one)) == 0;
}

int url_decode(const char *s, size_t len, struct buf *out)
{
	for (size_t i = 0; i < len; i++) {
		char c = s[i];
		int r;

		if (c == '%') {
			if (len - i < 3 || !is_hex(s[i + 1]) || !is_hex(s[i + 2]))
				return -EINVAL;
			c = (char)(hex_value(s[i + 1]) << 4 | hex_value(s[i + 2]));
			i += 2;
		}
		if (!c)
			return -EINVAL;
		r = buf_addc(out, c);
		if (r < 0)
			return r;
	}
	return 0;
}

/* RFC 3986, 2.3 */
static bool unreserved(unsigned char c)
{
	return is_lower((char)(c | 0x20)) ? c < 0x80
					  : is_digit((char)c) || c == '-' || c == '.' || c == '_' || c == '~';
}

int url_encode(const char *s, size_t len, const char *keep, struct buf *out)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		char esc[3] = {'%', hex[c >> 4], hex[c & 15]};
		int r;

		if (unreserved(c) || (c && strchr(keep, c)))
			r = buf_add(out, &c, 1);
		else
			r = buf_add(out, esc, sizeof(esc));
		if (r < 0)
			return r;
	}
	return 0;
}
