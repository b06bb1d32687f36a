/*
 * The courier with everything around it in the test's hand: its loop, what it sends, its clock; a step of SQLite, an opened or
 * read page file and an allocation that fail. Spool, ledger, configuration and extractors are real. Included by one file of a
 * program: what is defined here comes before what libdaemon, SQLite and the C library have of the same name.
 */
#pragma once

#include <dlfcn.h>
#include <sqlite3.h>
#include <sys/random.h>

#include "base/log.h"
#include "daemon/courier_internal.h"
#include "daemon/resolver.h"
#include "tests/unit/daemon_fixture.h"
#include "tests/unit/memory.h"

#define SENT_MAX 64
#define SAID_MAX 240

/* The courier only hands these on. */
struct sd_event_source {
	struct sd_event_source *next;
	int64_t due_ms; /* boottime; INT64_MAX: off */
	int64_t priority;
	sd_event_time_handler_t on_time;
	sd_event_handler_t on_turn;
	void *ud;
};

/* A request that is out: http_transfer and helper alike. */
struct http_transfer {
	struct http_transfer *next;
	const struct request *req;
	http_done_fn done;
	helper_frame_fn frame; /* the capture helper's */
	helper_done_fn end;
	void *ud;
	bool helper, socket; /* it went to a helper; by its socket */
};

static struct rig {
	struct fixture f;
	struct service s;
	struct sd_event_source *sources;
	struct http_transfer *out; /* the last one first */
	int sent, probes, renders;
	uint64_t random;
	/* the clock */
	int64_t tick_ms; /* each look at it takes so long */
	int64_t realtime_ms;
	/* what fails */
	bool no_timer, no_defer;
	int64_t early_ms; /* timers come so much before their time */
	int send_error;
	const char *sql;  /* statements with this text fail while it is set; NULL: none */
	int sql_code;
	int64_t sql_steps; /* until one step fails, whatever it is; 0: none does */
	int open_errno, read_errno; /* of page files */
	int64_t read_short;         /* until a read of one gives nothing; 0: none does */
	/* what was told */
	int events[EVENT_LIGHTS + 1];
	char reason[SAID_MAX], message[SAID_MAX]; /* the last that were */
	char logged[SAID_MAX]; /* the last line of the journal */
	int storage;
} rig;

/* ---- in place of daemon/loop.c and daemon/service.c -------------------------------------------------------------- */

static int source_get(sd_event_source **source)
{
	if (*source)
		return 0;
	*source = calloc(1, sizeof(**source));
	if (!*source)
		return -ENOMEM;
	(*source)->due_ms = INT64_MAX;
	(*source)->next = rig.sources;
	rig.sources = *source;
	return 0;
}

int loop_timer(sd_event *e, sd_event_source **source, int64_t ms, sd_event_time_handler_t fn, void *ud)
{
	if (rig.no_timer || source_get(source) < 0)
		return -ENOMEM;
	(*source)->on_time = fn;
	(*source)->ud = ud;
	(*source)->due_ms = rig.f.boot + (ms > rig.early_ms ? ms - rig.early_ms : MIN(ms, 1));
	return 0;
}

int loop_defer(sd_event *e, sd_event_source **source, int64_t priority, sd_event_handler_t fn, void *ud)
{
	if (rig.no_defer || source_get(source) < 0)
		return -ENOMEM;
	(*source)->on_turn = fn;
	(*source)->ud = ud;
	(*source)->priority = priority;
	(*source)->due_ms = rig.f.boot;
	return 0;
}

int loop_notify(const char *state)
{
	return 0;
}

struct http *loop_http(struct loop_http *l)
{
	return NULL;
}

sd_event_source *sd_event_source_disable_unref(sd_event_source *s)
{
	struct sd_event_source **p = &rig.sources;

	while (s && *p != s)
		p = &(*p)->next;
	if (s)
		*p = s->next;
	free(s);
	return NULL;
}

void service_event(struct service *s, const struct event *e)
{
	rig.events[e->kind]++;
	if (e->reason)
		text_cut(rig.reason, sizeof(rig.reason), e->reason);
	if (e->message)
		text_cut(rig.message, sizeof(rig.message), e->message);
	if (s->courier)
		courier_kick(s->courier);
}

void service_storage(struct service *s, int error)
{
	rig.storage = error;
}

static void rig_log(enum log_level level, const char *message_id, const struct log_field *fields, size_t n, const char *text)
{
	text_cut(rig.logged, sizeof(rig.logged), text);
}

/* ---- in place of cloud/http.c and daemon/helper.c ---------------------------------------------------------------- */

static int send_it(struct http_transfer t, struct http_transfer **ret)
{
	struct http_transfer *p;

	if (rig.send_error)
		return rig.send_error;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	*p = t;
	p->next = rig.out;
	rig.out = *ret = p;
	if (t.frame)
		rig.renders++;
	else if (t.req->method && streq(t.req->method, "GET"))
		rig.probes++;
	else
		rig.sent++;
	return 0;
}

int http_send(struct http *h, const struct request *req, http_done_fn done, void *ud, struct http_transfer **ret)
{
	return send_it((struct http_transfer){.req = req, .done = done, .ud = ud}, ret);
}

int helper_send(sd_event *e, const struct helper_options *o, const struct request *req, helper_reply_fn done, void *ud,
	struct helper **ret)
{
	CHECK(!o->program != !o->socket);
	return send_it((struct http_transfer){.req = req, .done = done, .ud = ud, .helper = true, .socket = o->socket},
		(struct http_transfer **)ret);
}

int helper_convert(sd_event *e, const struct helper_options *o, const struct request *req, helper_frame_fn frame,
	helper_done_fn done, void *ud, struct helper **ret)
{
	CHECK(!o->program != !o->socket);
	return send_it((struct http_transfer){.req = req, .frame = frame, .end = done, .ud = ud, .helper = true, .socket = o->socket},
		(struct http_transfer **)ret);
}

void http_cancel(struct http_transfer *t)
{
	struct http_transfer **p = &rig.out;

	while (t && *p != t)
		p = &(*p)->next;
	if (t)
		*p = t->next;
	free(t);
}

void helper_cancel(struct helper *h)
{
	http_cancel((struct http_transfer *)h);
}

/* Ends the request that went out last. */
static inline void rig_reply(const struct reply *r)
{
	struct http_transfer *t = rig.out;

	CHECK(t);
	rig.out = t->next;
	t->done(t->ud, r);
	free(t);
}

static inline void rig_reply_with(int status, const char *body)
{
	rig_reply(&(struct reply){.error = TRANSPORT_OK, .sent = true, .sent_all = true, .status = status, .body = body,
		.len = strlen(body)});
}

/* With one header, and an empty object. */
static inline void rig_reply_header(int status, const char *name, const char *value)
{
	char n[60], v[100];
	const struct header h = {n, v};

	str_copy(n, sizeof(n), name);
	str_copy(v, sizeof(v), value);
	rig_reply(&(struct reply){.error = TRANSPORT_OK, .sent = true, .sent_all = true, .status = status, .headers = &h, .n_headers = 1,
		.body = "{}", .len = 2});
}

static inline void rig_reply_error(enum transport_error error, bool sent)
{
	rig_reply(&(struct reply){.error = error, .sent = sent, .sent_all = sent, .detail = "as the test says"});
}

#define NOVA(stop, content)                                                                                                     \
	"{\"output\":{\"message\":{\"role\":\"assistant\",\"content\":[" content "]}},\"stopReason\":\"" stop                   \
	"\",\"usage\":{\"inputTokens\":1800,\"outputTokens\":220,\"totalTokens\":2020}}"
#define NOVA_HELLO NOVA("tool_use", "{\"toolUse\":{\"toolUseId\":\"1\",\"name\":\"answer\",\"input\":{\"word\":\"hello\"}}}")
#define CHAT_HELLO                                                                                                              \
	"{\"choices\":[{\"finish_reason\":\"stop\",\"message\":{\"role\":\"assistant\",\"content\":\"{\\\"word\\\":\\\"hello\\\"}\"}}]}"
#define DENIED     "{\"__type\":\"AccessDeniedException\",\"message\":\"no\"}"

/* The OCR helper's words. */
static inline void rig_reply_words(const char *boxes)
{
	char text[512];

	str_format(text, sizeof(text),
		"{\"type\":\"words\",\"width\":1000,\"height\":1400,\"bytes\":%zu}\n%s{\"type\":\"end\",\"ok\":true}\n", strlen(boxes),
		boxes);
	CHECK(rig.out && rig.out->helper);
	rig_reply_with(0, text);
}

/* What the capture helper was asked for last; 0 when it is not in the request. */
static inline int64_t rig_asked(const char *name)
{
	_cleanup_json_ cJSON *j = NULL;
	const struct request *q = rig.out->req;
	bool yes = false;
	int64_t v = 0;

	CHECK(rig.out && rig.out->frame && q->n_segments == 2 && q->segments[1].kind == SEGMENT_FILE);
	CHECK_INT(json_parse(q->segments[0].data, q->segments[0].len - 1, &j, NULL), 0);
	CHECK_STR(json_get_string(j, "verb"), "transcode");
	return json_get_i64(j, name, &v) == 0 ? v : json_get_bool(j, name, &yes) == 0 && yes;
}

/* The frames that it says, then how it ends. */
static inline void rig_rendered_with(const char *frames, size_t len, int error, const char *why)
{
	struct http_transfer *t = rig.out;
	struct frame_reader *reader;
	struct frame_piece piece;
	int64_t countdown = memory_hold();
	int part, r = 0;

	CHECK(t && t->frame);
	rig.out = t->next;
	CHECK_INT(frame_reader_new(&reader), 0);
	CHECK_INT(frame_reader_feed(reader, frames, len), 0);
	memory_fail_at(countdown);
	while (r >= 0 && (part = frame_reader_next(reader, &piece)) > FRAME_NONE)
		r = t->frame(t->ud, (enum frame_part)part, &piece);
	frame_reader_free(reader);
	t->end(t->ud, r < 0 ? r : error, r < 0 ? errno_text(r) : why);
	free(t);
}

/* A rendering of so many bytes. */
static inline void rig_rendered(uint32_t width, uint32_t height, size_t bytes)
{
	_cleanup_buf_ struct buf out = {}, data = {};
	int64_t countdown = memory_hold();
	char sum[SHA256_HEX_SIZE];

	for (size_t i = 0; i < bytes; i++)
		CHECK_INT(buf_addc(&data, (char)(i % 253)), 0);
	sha256_hex_of(buf_str(&data), data.len, sum);
	CHECK_INT(buf_addf(&out, "{\"type\":\"page\",\"index\":1,\"width\":%u,\"height\":%u,\"capture\":{\"sense\":{\"flatten\":{\"gain\":2}}}}\n",
			  width, height), 0);
	for (size_t at = 0; at < bytes; at += MIN(bytes - at, (size_t)65536)) {
		size_t n = MIN(bytes - at, (size_t)65536);

		CHECK_INT(buf_addf(&out, "{\"type\":\"data\",\"bytes\":%zu}\n", n), 0);
		CHECK_INT(buf_add(&out, data.data + at, n), 0);
	}
	CHECK_INT(buf_addf(&out, "{\"type\":\"page-end\",\"bytes_total\":%zu,\"sha256\":\"%s\"}\n{\"type\":\"end\",\"ok\":true}\n", bytes, sum), 0);
	memory_fail_at(countdown);
	rig_rendered_with(out.data, out.len, 0, NULL);
}

#define WORDS_HELLO                                                                                                             \
	"[{\"t\":\"Word:\",\"b\":[100,100,70,20],\"c\":95,\"l\":[1,1,1]},"                                                   \
	"{\"t\":\"hello\",\"b\":[182,100,60,20],\"c\":95,\"l\":[1,1,1]}]"

/* ---- what fails -------------------------------------------------------------------------------------------------- */

int sqlite3_step(sqlite3_stmt *st)
{
	static int (*real)(sqlite3_stmt *);
	const char *sql = sqlite3_sql(st);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "sqlite3_step");
	/* A rollback ends no less than SQLite has ended by itself. */
	if (sql && !starts_with(sql, "ROLLBACK")) {
		if (rig.sql && strstr(sql, rig.sql))
			return rig.sql_code;
		if (rig.sql_steps > 0 && --rig.sql_steps == 0)
			return SQLITE_IOERR;
	}
	return real(st);
}

/* The same numbers each time. */
ssize_t getrandom(void *out, size_t len, unsigned int flags)
{
	for (size_t i = 0; i < len; i++) {
		rig.random = rig.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407); /* Knuth's MMIX */
		((uint8_t *)out)[i] = (uint8_t)(rig.random >> 56);
	}
	return (ssize_t)len;
}

/* No power fails here: what is written stays. */
int fsync(int fd)
{
	return 0;
}

int fdatasync(int fd)
{
	return 0;
}

/* Under the names that the linker sees. */
int rig_openat(int dirfd, const char *path, int flags, ...) __asm__("openat64");
ssize_t rig_pread(int fd, void *data, size_t len, off64_t at) __asm__("pread64");

int rig_openat(int dirfd, const char *path, int flags, ...)
{
	static int (*real)(int, const char *, int, ...);
	unsigned int mode = 0;
	va_list ap;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, unsigned int);
		va_end(ap);
	}
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "openat64");
	if (rig.open_errno && strstr(path, ".jpg")) {
		errno = rig.open_errno;
		return -1;
	}
	return real(dirfd, path, flags, mode);
}

ssize_t rig_pread(int fd, void *data, size_t len, off64_t at)
{
	static ssize_t (*real)(int, void *, size_t, off64_t);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pread64");
	if (rig.read_errno) {
		errno = rig.read_errno;
		return -1;
	}
	if (rig.read_short > 0 && --rig.read_short == 0)
		return 0;
	return real(fd, data, len, at);
}

/* ---- its life ---------------------------------------------------------------------------------------------------- */

static int64_t rig_boottime(void *ud)
{
	return rig.f.boot += rig.tick_ms;
}

static int64_t rig_realtime(void *ud)
{
	return rig.realtime_ms;
}

static bool rig_synchronised(void *ud)
{
	return true;
}

static const struct clock_ops rig_clock = {rig_boottime, rig_realtime, rig_synchronised};

#define RIG_KEYS     "[default]\naws_access_key_id=AKIDEXAMPLE\naws_secret_access_key=wJalrXUtnFEMI/K7MDENG\n"
#define RIG_SYDNEY   "[Credentials aws]\nSource=file\nFile=%s/keys\n[Backend sydney]\nKind=bedrock\nBackoff=1s\nBackoffMax=1min\n"
#define RIG_JETSON   "[Backend jetson]\nKind=openai\nURL=http://192.168.55.1:8080\nInterface=usb0\n"

/* By a bucket: HEAD (the resolver's), PUT, POST, GET, and a DELETE of what is put and of what is got. */
#define RIG_ASYNC                                                                                                               \
	"[Credentials aws]\nSource=file\nFile=%s/keys\n[Backend sydney]\nKind=sagemaker\nEndpointName=qwen\nForm=openai\n"     \
	"PricePerRequest=0.01\nBucket=pages-sydney\nBackoff=1s\nBackoffMax=1min\nTries=100\nFallbackAfter=10d\nTimeout=5min\n"
#define RIG_OUTPUT   "s3://pages-sydney/pageferry/out/1.out"

/* As the fixture's, and OCR finds the word. */
static const char rig_types[] =
	"[{\"name\":\"universal\",\"title\":\"Any\",\"version\":2,\"prompt\":\"p\",\"schema\":{\"type\":\"object\","
	"\"additionalProperties\":false,\"required\":[\"word\"],\"properties\":{\"word\":{\"type\":\"string\",\"maxLength\":50}}},"
	"\"fields\":[{\"name\":\"word\",\"title\":\"Word\",\"kind\":\"text\",\"required\":true,\"labels\":[\"Word\"]}]}]";

static inline void rig_config(const char *text)
{
	_cleanup_buf_ struct buf errors = {}, conf = {};
	char path[300];

	str_format(path, sizeof(path), "%s/conf", test_tmpdir());
	CHECK_INT(buf_addf(&conf, "[Spool]\nDirectory=%s\nFreeFloor=0\nInodeFloor=0\n", test_tmpdir()), 0);
	for (const char *p = text; *p; p++)
		CHECK_INT(p[0] == '%' && p[1] == 's' ? buf_adds(&conf, (p++, test_tmpdir())) : buf_addc(&conf, *p), 0);
	fixture_put("", "conf", buf_str(&conf), conf.len);
	if (config_read(path, false, &rig.s.config, &errors) < 0)
		test_fail(__FILE__, __LINE__, "%s", buf_str(&errors));
	if (!strstr(text, "StartSpread"))
		rig.s.config.start_spread_ms = 0; /* restarts are many here */
	unlink(path);
}

/* The parts that outlive a courier. Every page's route is the fixture's: sydney, then ocr. */
static inline void rig_open(const char *config)
{
	_cleanup_buf_ struct buf errors = {};

	rig = (struct rig){.realtime_ms = FIXTURE_NOW, .sql_code = SQLITE_IOERR};
	fixture_begin(&rig.f);
	log_set_sink(rig_log);
	log_set_level(LOG_LEVEL_DEBUG);
	typeset_free(rig.f.types);
	CHECK_INT(typeset_parse(rig_types, strlen(rig_types), &rig.f.types, rig.f.why, sizeof(rig.f.why)), 0);
	fixture_freeze(&rig.f);
	fixture_put("", "keys", RIG_KEYS, strlen(RIG_KEYS));
	rig_config(config);
	CHECK_INT(clock_new(&rig_clock, NULL, &rig.s.clock), 0);
	CHECK_INT(prices_read("configs/prices.conf", &rig.s.prices, &errors), 0);
	rig.s.spool = rig.f.spool;
	rig.s.types = rig.f.types;
	CHECK_INT(credentials_new(&rig.s, &rig.s.credentials), 0);
	CHECK_INT(resolver_new(&rig.s, &rig.s.resolver), 0);
}

/* After rig_open(): the first type wants its pages flattened. */
static inline void rig_flatten(void)
{
	_cleanup_buf_ struct buf text = {};

	CHECK_INT(buf_addf(&text, "[{\"image\":{\"flatten\":true,\"contrast\":false},%s", rig_types + 2), 0);
	typeset_free(rig.f.types);
	CHECK_INT(typeset_parse(buf_str(&text), text.len, &rig.f.types, rig.f.why, sizeof(rig.f.why)), 0);
	rig.s.types = rig.f.types;
	fixture_freeze(&rig.f);
}

static inline struct courier *rig_begin(const char *config)
{
	rig_open(config);
	CHECK_INT(courier_new(&rig.s, &rig.s.courier), 0);
	return rig.s.courier;
}

static inline void rig_stop(void)
{
	if (rig.s.courier)
		courier_stop(rig.s.courier);
	courier_free(take_ptr(rig.s.courier));
}

static inline void rig_end(void)
{
	rig.sql = NULL;
	rig.sql_steps = 0;
	rig_stop();
	resolver_free(take_ptr(rig.s.resolver));
	credentials_free(take_ptr(rig.s.credentials));
	CHECK(!rig.sources && !rig.out);
	prices_free(rig.s.prices);
	clock_free(rig.s.clock);
	fixture_end(&rig.f);
}

/* Runs the loop until nothing is due at this moment. */
static inline void rig_turn(void)
{
	for (int i = 0; i < 1000; i++) {
		struct sd_event_source *best = NULL;

		for (struct sd_event_source *s = rig.sources; s; s = s->next)
			if (s->due_ms <= rig.f.boot && (!best || s->priority < best->priority))
				best = s;
		if (!best)
			return;
		best->due_ms = INT64_MAX;
		if (best->on_time)
			best->on_time(best, 0, best->ud);
		else
			best->on_turn(best, best->ud);
	}
	test_fail(__FILE__, __LINE__, "the loop spins");
}

static inline void rig_wait(int64_t ms)
{
	rig.f.boot += ms;
	rig.realtime_ms += ms;
	rig_turn();
}

/* A page is accepted, and the courier looks at it. Its seq. */
static inline int64_t rig_page(void)
{
	struct page_row p;

	fixture_page(&rig.f, &p);
	return p.seq;
}

static inline struct page_row rig_row(int64_t seq)
{
	struct page_row p;

	CHECK_INT(spool_page_get(rig.f.spool, seq, &p), 0);
	return p;
}

static inline struct backend *rig_backend(const char *name)
{
	struct backend *b = backend_find(rig.s.courier, name);

	CHECK(b);
	return b;
}

static inline struct backend_config *rig_backend_config(const char *name)
{
	for (size_t i = 0; i < rig.s.config.n_backends; i++)
		if (streq(rig.s.config.backends[i].name, name))
			return &rig.s.config.backends[i];
	test_fail(__FILE__, __LINE__, "no backend %s", name);
}
