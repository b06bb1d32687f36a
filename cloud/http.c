#include "cloud/http.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/text.h"
#include "cloud/body.h"
#include "cloud/http_head.h"
#include "cloud/http_peer.h"
#include "cloud/http_sink.h"
#include "cloud/http_tls.h"
#include "cloud/url.h"

/* A kept connection that the server closes just as a request goes out counts as sent and possibly billed: none is used again
 * that has been idle for nearly as long as the least patient server keeps one (llama-server: 5 s). */
#define IDLE_MAX_S    4
#define STALLED_MS    30000 /* sent data that the peer does not acknowledge for so long ends the connection */

struct http {
	CURLM *multi;
	struct http_loop loop;
	char *proxy, *user_agent;
	struct http_transfer *transfers;
	struct http_peers peers;
};

struct http_transfer {
	struct http *http;
	struct http_transfer *next, *prev;
	CURL *easy;
	const struct request *req; /* borrowed */
	struct body *body;
	uint64_t body_len, body_given; /* bytes; given to curl so far */
	struct curl_slist *headers, *connect_to;
	http_done_fn done;
	void *ud;
	struct http_sink sink;
	struct http_head head;
	bool https, body_failed, sent, linked, finishing;
	int unbound;         /* errno: it could not be bound to its interface */
	int64_t sent_ms;
	char error[CURL_ERROR_SIZE];
};

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ud, void *unused)
{
	struct http *h = ud;
	unsigned int events = 0;

	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		events |= HTTP_READ;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		events |= HTTP_WRITE;
	return h->loop.watch(h->loop.ud, fd, events) < 0 ? -1 : 0;
}

static int on_timer(CURLM *multi, long ms, void *ud)
{
	struct http *h = ud;

	return h->loop.timer(h->loop.ud, ms) < 0 ? -1 : 0;
}

int http_new(const struct http_loop *loop, const struct http_options *o, struct http **ret)
{
	struct http *h;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	h = calloc(1, sizeof(*h));
	if (!h)
		goto fail;
	h->loop = *loop;
	h->multi = curl_multi_init();
	h->proxy = o && o->proxy && *o->proxy ? strdup(o->proxy) : NULL;
	h->user_agent = strdup(o && o->user_agent ? o->user_agent : "pageferry/" PAGEFERRY_VERSION);
	if (!h->multi || !h->user_agent || (o && o->proxy && *o->proxy && !h->proxy))
		goto fail;
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, 8L);
	*ret = h;
	return 0;
fail:
	if (h) {
		curl_multi_cleanup(h->multi);
		free(h->proxy);
		free(h->user_agent);
		free(h);
	}
	curl_global_cleanup();
	return -ENOMEM;
}

/* ---- a transfer's memory ----------------------------------------------------------------------------------------- */

static void unlink_transfer(struct http_transfer *t)
{
	if (!t->linked)
		return;
	t->linked = false;
	if (t->prev)
		t->prev->next = t->next;
	else
		t->http->transfers = t->next;
	if (t->next)
		t->next->prev = t->prev;
	curl_multi_remove_handle(t->http->multi, t->easy);
}

/* The list holds the Authorization header. */
static void wipe_slist(struct curl_slist *l)
{
	for (struct curl_slist *i = l; i; i = i->next)
		wipe(i->data, strlen(i->data));
	curl_slist_free_all(l);
}

static void transfer_free(struct http_transfer *t)
{
	if (!t)
		return;
	unlink_transfer(t);
	curl_easy_cleanup(t->easy);
	wipe_slist(t->headers);
	curl_slist_free_all(t->connect_to);
	body_free(t->body);
	http_sink_clear(&t->sink);
	http_head_clear(&t->head);
	free(t);
}

void http_free(struct http *h)
{
	if (!h)
		return;
	for (struct http_transfer *t = h->transfers, *next; t; t = next) {
		next = t->next;
		transfer_free(t);
	}
	curl_multi_cleanup(h->multi);
	free(h->proxy);
	free(h->user_agent);
	free(h);
	curl_global_cleanup();
}

void http_cancel(struct http_transfer *t)
{
	if (t && !t->finishing) /* from inside its own done: finish() frees it */
		transfer_free(t);
}

/* ---- what curl calls --------------------------------------------------------------------------------------------- */

static size_t on_read(char *out, size_t size, size_t n, void *ud)
{
	struct http_transfer *t = ud;
	ssize_t got = body_read(t->body, out, size * n);

	if (got < 0) {
		t->body_failed = true;
		return CURL_READFUNC_ABORT;
	}
	if (got > 0 && !t->sent) {
		t->sent = true;
		t->sent_ms = t->http->loop.now_ms(t->http->loop.ud);
	}
	t->body_given += (uint64_t)got;
	return (size_t)got;
}

/*
 * curl wants to send again on a fresh connection, because a kept one turned out dead. Once the whole body was out the
 * other side may have worked on it, and a second copy would be billed outside the ledger: then it is an error.
 */
static int on_seek(void *ud, curl_off_t offset, int origin)
{
	struct http_transfer *t = ud;

	if (offset != 0 || origin != SEEK_SET || (t->body_given && t->body_given >= t->body_len))
		return CURL_SEEKFUNC_FAIL;
	body_rewind(t->body);
	t->body_given = 0;
	return CURL_SEEKFUNC_OK;
}

static size_t on_write(char *data, size_t size, size_t n, void *ud)
{
	struct http_transfer *t = ud;
	long status = 0;

	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	return http_sink_write(&t->sink, (int)status, data, size * n) ? size * n : 0;
}

static size_t on_header(char *line, size_t size, size_t n, void *ud)
{
	struct http_transfer *t = ud;
	int r = http_head_line(&t->head, line, size * n);

	if (r == -EMSGSIZE)
		t->sink.too_large = true;
	return r < 0 ? 0 : size * n;
}

/* A link that died while the body was going up is noticed early; waiting for an answer is bounded by the timeout alone,
 * because a model sends nothing until it is done (so curl's low-speed limit cannot be used). */
static int on_sockopt(void *ud, curl_socket_t fd, curlsocktype purpose)
{
	struct http_transfer *t = ud;
	const char *interface = t->req->unix_socket ? NULL : t->req->interface;
	unsigned int ms = STALLED_MS;

	/* To the device itself, whatever the routes say, or not at all: curl would make do with the interface's address. */
	if (interface && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface)) < 0) {
		t->unbound = errno;
		return CURL_SOCKOPT_ERROR;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms)); /* not on a UNIX socket */
	return CURL_SOCKOPT_OK;
}

/* ---- setting up -------------------------------------------------------------------------------------------------- */

static int append(struct curl_slist **l, const char *line)
{
	struct curl_slist *n = curl_slist_append(*l, line);

	if (!n)
		return -ENOMEM;
	*l = n;
	return 0;
}

/* Exactly the request's headers: curl's own Accept, Content-Type and Expect are suppressed. */
static int set_headers(struct http_transfer *t)
{
	static const char *const own[] = {"Accept", "Content-Type", "Expect"};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < t->req->n_headers; i++) {
		_cleanup_(buf_wipe) struct buf line = BUF_MAX((size_t)32 << 10);
		const struct header *h = &t->req->headers[i];

		if (!http_head_ok(h))
			return -EINVAL;
		r = *h->value ? buf_addf(&line, "%s: %s", h->name, h->value) : buf_addf(&line, "%s;", h->name);
		if (r >= 0)
			r = append(&t->headers, buf_str(&line));
	}
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(own); i++) {
		char line[24];

		if (request_header(t->req, own[i]))
			continue;
		snprintf(line, sizeof(line), "%s:", own[i]);
		r = append(&t->headers, line);
	}
	return r;
}

#define SET(option, value)                                                                                             \
	do {                                                                                                           \
		if (curl_easy_setopt(t->easy, option, value) != CURLE_OK)                                              \
			return -EINVAL;                                                                                \
	} while (0)

static int set_method(struct http_transfer *t)
{
	if (streq(t->req->method, "GET") && !t->body_len) {
		SET(CURLOPT_HTTPGET, 1L);
		return 0;
	}
	if (streq(t->req->method, "HEAD") && !t->body_len) {
		SET(CURLOPT_NOBODY, 1L);
		return 0;
	}
	SET(CURLOPT_POST, 1L);
	if (!streq(t->req->method, "POST"))
		SET(CURLOPT_CUSTOMREQUEST, t->req->method);
	SET(CURLOPT_POSTFIELDS, NULL);
	SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->body_len);
	SET(CURLOPT_READFUNCTION, on_read);
	SET(CURLOPT_READDATA, t);
	SET(CURLOPT_SEEKFUNCTION, on_seek);
	SET(CURLOPT_SEEKDATA, t);
	return 0;
}

/* A proxy, when one is configured, is for named hosts by https only: nothing local, nothing in the clear, no lab. */
static int set_route(struct http_transfer *t, const struct url *u)
{
	const struct request *req = t->req;
	bool proxied = t->http->proxy && t->https && u->kind == URL_HOST_NAME && req->region && !req->connect_to &&
		       !req->unix_socket;

	SET(CURLOPT_PROXY, proxied ? t->http->proxy : ""); /* "": not even the environment's */
	SET(CURLOPT_NOPROXY, proxied ? "" : "*");
	if (req->unix_socket)
		SET(CURLOPT_UNIX_SOCKET_PATH, req->unix_socket);
	if (req->interface) { /* on_sockopt() binds; a connection that was kept may be of another link */
		SET(CURLOPT_FRESH_CONNECT, 1L);
		SET(CURLOPT_FORBID_REUSE, 1L);
	}
	if (req->connect_to) {
		char line[300];

		if (str_format(line, sizeof(line), "::%s", req->connect_to) < 0)
			return -EINVAL;
		if (append(&t->connect_to, line) < 0)
			return -ENOMEM;
		SET(CURLOPT_CONNECT_TO, t->connect_to);
	}
	return 0;
}

static int set_options(struct http_transfer *t)
{
	const struct request *req = t->req;

	SET(CURLOPT_PRIVATE, t);
	SET(CURLOPT_URL, req->url);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_PATH_AS_IS, 1L);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_MAXAGE_CONN, (long)IDLE_MAX_S);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_TIMEOUT_MS, (long)CLAMP(req->timeout_ms ? req->timeout_ms : 120000, 1, 3600000));
	SET(CURLOPT_CONNECTTIMEOUT_MS,
		(long)CLAMP(req->connect_timeout_ms ? req->connect_timeout_ms : 10000, 1, 600000));
	SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)t->sink.max);
	SET(CURLOPT_USERAGENT, t->http->user_agent);
	SET(CURLOPT_HTTPHEADER, t->headers);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, t);
	SET(CURLOPT_WRITEFUNCTION, on_write);
	SET(CURLOPT_WRITEDATA, t);
	SET(CURLOPT_SOCKOPTFUNCTION, on_sockopt);
	SET(CURLOPT_SOCKOPTDATA, t);
	SET(CURLOPT_ERRORBUFFER, t->error);
	return 0;
}

static int set_up(struct http_transfer *t)
{
	struct url u;
	int r;

	if (!t->req->url || !t->req->method || url_split(t->req->url, &u, NULL, 0) < 0)
		return -EINVAL;
	t->https = u.https;
	t->body_len = request_body_length(t->req);
	r = http_sink_init(&t->sink, t->req);
	if (r >= 0)
		r = body_new(t->req, &t->body);
	if (r >= 0)
		r = set_headers(t);
	if (r >= 0)
		r = set_options(t);
	if (r >= 0)
		r = set_method(t);
	if (r >= 0)
		r = set_route(t, &u);
	return r < 0 ? r : http_tls_set(t->easy, t->req);
}

int http_send(struct http *h, const struct request *req, http_done_fn done, void *ud, struct http_transfer **ret)
{
	struct http_transfer *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->http = h;
	t->req = req;
	t->done = done;
	t->ud = ud;
	t->sent_ms = h->loop.now_ms(h->loop.ud);
	t->easy = curl_easy_init();
	r = t->easy ? set_up(t) : -ENOMEM;
	if (r < 0) {
		transfer_free(t);
		return r;
	}
	t->next = h->transfers;
	if (t->next)
		t->next->prev = t;
	t->linked = true;
	h->transfers = t;
	/* this only arms the timer: everything else happens from http_timer() and http_socket_ready() */
	if (curl_multi_add_handle(h->multi, t->easy) != CURLM_OK) {
		transfer_free(t);
		return -ENOMEM;
	}
	if (ret)
		*ret = t;
	return 0;
}

/* ---- the end of a transfer --------------------------------------------------------------------------------------- */

static bool reached(const struct http_transfer *t, CURLINFO stage)
{
	curl_off_t us = 0;

	curl_easy_getinfo(t->easy, stage, &us);
	return us > 0;
}

/* TCP and TLS are done and the request can go out. */
static bool connected(const struct http_transfer *t)
{
	return reached(t, CURLINFO_PRETRANSFER_TIME_T);
}

/* Who refuses a client's certificate may do so by hanging up, in the handshake or (TLS 1.3) just behind it. */
static enum transport_error judge_broken(const struct http_transfer *t)
{
	if (connected(t) || reached(t, CURLINFO_APPCONNECT_TIME_T))
		return TRANSPORT_BROKEN;
	return t->req->client_cert && reached(t, CURLINFO_CONNECT_TIME_T) ? TRANSPORT_TLS : TRANSPORT_CONNECT;
}

static enum transport_error judge(const struct http_transfer *t, CURLcode code, long status)
{
	static const struct {
		CURLcode code;
		enum transport_error error;
	} table[] = {
		{CURLE_COULDNT_RESOLVE_HOST, TRANSPORT_RESOLVE},
		{CURLE_COULDNT_RESOLVE_PROXY, TRANSPORT_RESOLVE},
		{CURLE_COULDNT_CONNECT, TRANSPORT_CONNECT},
		{CURLE_INTERFACE_FAILED, TRANSPORT_CONNECT},
		{CURLE_PROXY, TRANSPORT_CONNECT},
		{CURLE_SSL_CONNECT_ERROR, TRANSPORT_TLS},
		{CURLE_PEER_FAILED_VERIFICATION, TRANSPORT_TLS},
		{CURLE_SSL_CERTPROBLEM, TRANSPORT_TLS},
		{CURLE_SSL_CIPHER, TRANSPORT_TLS},
		{CURLE_SSL_CACERT_BADFILE, TRANSPORT_TLS},
		{CURLE_SSL_ISSUER_ERROR, TRANSPORT_TLS},
		{CURLE_SSL_INVALIDCERTSTATUS, TRANSPORT_TLS},
		{CURLE_SEND_FAIL_REWIND, TRANSPORT_BROKEN}, /* on_seek() */
		{CURLE_FILESIZE_EXCEEDED, TRANSPORT_TOO_LARGE},
		{CURLE_OUT_OF_MEMORY, TRANSPORT_LOCAL},
		{CURLE_READ_ERROR, TRANSPORT_LOCAL},
		{CURLE_ABORTED_BY_CALLBACK, TRANSPORT_LOCAL},
	};

	if (t->body_failed)
		return TRANSPORT_LOCAL;
	if (t->unbound)
		return TRANSPORT_CONNECT;
	if (t->sink.too_large)
		return TRANSPORT_TOO_LARGE;
	if (code == CURLE_OK || t->sink.enough)
		return status >= 300 && status <= 399 ? TRANSPORT_REDIRECT : status ? TRANSPORT_OK : TRANSPORT_BROKEN;
	if (code == CURLE_OPERATION_TIMEDOUT)
		return connected(t) ? TRANSPORT_TIMEOUT : TRANSPORT_CONNECT;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (code == table[i].code)
			return table[i].error;
	}
	return judge_broken(t);
}

static int connection_name(const struct http_transfer *t, char *out, size_t size)
{
	char *local = NULL, *remote = NULL;
	long local_port = 0, remote_port = 0;

	curl_easy_getinfo(t->easy, CURLINFO_LOCAL_IP, &local);
	curl_easy_getinfo(t->easy, CURLINFO_LOCAL_PORT, &local_port);
	curl_easy_getinfo(t->easy, CURLINFO_PRIMARY_IP, &remote);
	curl_easy_getinfo(t->easy, CURLINFO_PRIMARY_PORT, &remote_port);
	if (!local || !remote || !*remote)
		return -ENOENT;
	return str_format(out, size, "%s %ld %s %ld", local, local_port, remote, remote_port);
}

/* The certificate of this transfer's connection: shown now, or remembered from when the connection was made. */
static void peer_certificate(struct http_transfer *t, char out[static SHA256_HEX_SIZE])
{
	struct curl_certinfo *info = NULL;
	char connection[160];

	out[0] = '\0';
	if (!t->https || connection_name(t, connection, sizeof(connection)) < 0)
		return;
	curl_easy_getinfo(t->easy, CURLINFO_CERTINFO, &info);
	for (struct curl_slist *l = info && info->num_of_certs > 0 ? info->certinfo[0] : NULL; l; l = l->next) {
		if (!starts_with(l->data, "Cert:"))
			continue;
		http_peers_learn(&t->http->peers, connection, l->data, out);
		return;
	}
	http_peers_recall(&t->http->peers, connection, out);
}

/* Who was spoken to, whatever the name was taken to mean; a proxy's, if there is one. */
static void peer_address(const struct http_transfer *t, char *out, size_t size)
{
	char *remote = NULL;

	curl_easy_getinfo(t->easy, CURLINFO_PRIMARY_IP, &remote);
	str_copy(out, size, remote ? remote : "");
}

static void describe(const struct http_transfer *t, CURLcode code, long status, struct reply *r)
{
	char text[CURL_ERROR_SIZE + 64];

	if (r->error == TRANSPORT_TOO_LARGE)
		snprintf(text, sizeof(text), "the reply is larger than %llu bytes", (unsigned long long)t->sink.max);
	else if (t->unbound)
		snprintf(text, sizeof(text), "cannot be bound to the interface %s: %s", t->req->interface, errno_text(-t->unbound));
	else if (t->body_failed)
		snprintf(text, sizeof(text), "the page file cannot be read, or became shorter");
	else if (r->error == TRANSPORT_REDIRECT)
		snprintf(text, sizeof(text), "redirect (status %ld) is not followed", status);
	else if (r->error == TRANSPORT_OK)
		text[0] = '\0';
	else /* "getpeername() failed" is what curl came upon, not why */
		snprintf(text, sizeof(text), "%s", *t->error && !starts_with(t->error, "getpeername") ? t->error : curl_easy_strerror(code));
	text_safe_copy(r->detail, sizeof(r->detail), text);
}

/* The transfer left the multi handle already; done may start others. */
static void finish(struct http_transfer *t, CURLcode code)
{
	struct reply r = {.done_ms = t->http->loop.now_ms(t->http->loop.ud), .sent_ms = t->sent_ms};
	long status = 0;

	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	r.error = judge(t, code, status);
	r.sent = t->sent;
	r.sent_all = t->sent && t->body_given >= t->body_len;
	r.status = (int)status;
	r.headers = t->head.fields;
	r.n_headers = t->head.n;
	r.body = buf_str(&t->sink.body);
	r.len = t->sink.body.len;
	r.stream = t->sink.streamed ? t->sink.stream : NULL;
	describe(t, code, status, &r);
	peer_certificate(t, r.peer_sha256);
	peer_address(t, r.address, sizeof(r.address));
	if (t->https && (code == CURLE_OK || t->sink.enough)) /* VERIFYPEER and VERIFYHOST held */
		r.date_ms = http_head_date(&r);
	t->finishing = true;
	t->done(t->ud, &r);
	transfer_free(t);
}

/* Only from here, outside curl's callbacks, are transfers taken apart. */
static void reap(struct http *h)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(h->multi, &left))) {
		struct http_transfer *t = NULL;
		CURLcode code = m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		unlink_transfer(t); /* the message is gone after this */
		finish(t, code);
	}
	for (struct http_transfer *t = h->transfers; t; t = t->next)
		http_sink_tell(&t->sink);
}

void http_socket_ready(struct http *h, int fd, unsigned int events)
{
	int flags = 0, running;

	if (events & HTTP_READ)
		flags |= CURL_CSELECT_IN;
	if (events & HTTP_WRITE)
		flags |= CURL_CSELECT_OUT;
	curl_multi_socket_action(h->multi, fd, flags, &running);
	reap(h);
}

void http_timer(struct http *h)
{
	int running;

	curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	reap(h);
}
