/*
 * A strict URL splitter, shared by the residency guard and the signer: what is not plainly
 * scheme://host[:port][/path][?query] is refused, so that nobody downstream can read a URL in another way.
 * Source: RFC 3986; the forms that the WHATWG URL standard reads as addresses ("0x7f.1", "2130706433") are refused.
 */
#pragma once

#include "base/buf.h"

enum url_host_kind { URL_HOST_NAME, URL_HOST_IPV4, URL_HOST_IPV6 };

struct url {
	bool https;     /* else http */
	char host[254]; /* as written: lower case; IPv6 without brackets */
	enum url_host_kind kind;
	uint8_t address[16]; /* network order; 4 bytes for IPv4 */
	uint16_t port;       /* the scheme's when none is given */
	bool port_given;
	const char *path; /* borrowed from the text; "/" when the URL has none */
	size_t path_len;
	const char *query; /* borrowed, after the '?'; NULL without one */
	size_t query_len;
};

#define URL_MAX 8192

/* 0, or -EINVAL with a sentence in `why` (may be NULL). Upper case in scheme or host, user info, fragments,
 * backslashes, blanks, control and non-ASCII characters, bad %XX, dot segments ("/../", also as %2e), a trailing dot, an empty or
 * zero-padded port, percent-encoding in the host and IPv6 zones are all errors. */
int url_split(const char *text, struct url *ret, char *why, size_t why_size);
/* The Host header as libcurl sends it: the port only when it is not the scheme's, IPv6 in brackets. */
int url_host_header(const struct url *u, char *out, size_t size);
/* "HOST:PORT" with a literal host ("127.0.0.1:8443", "[::1]:8443"): fills host, kind, address, port. 0 or -EINVAL. */
int url_split_literal(const char *text, struct url *ret);
bool url_is_loopback(const struct url *u);
/* Decodes %XX; -EINVAL when a byte is 0. Appends to out. */
int url_decode(const char *s, size_t len, struct buf *out);
/* Appends s with every byte but A-Z a-z 0-9 - . _ ~ (RFC 3986, 2.3) and those in `keep` as %XX, upper case. */
int url_encode(const char *s, size_t len, const char *keep, struct buf *out);
