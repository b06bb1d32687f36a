/* The backends with their weather, behind cloud/http.h and daemon/helper.h. A request first arrives, which may be billed, and
 * is answered later; a life that is killed in between never hears of it. */
#include "tests/sim/sim.h"

#include <stdio.h>

#define TOKENS_IN  1800
#define TOKENS_OUT 220

struct http_transfer {
	struct http_transfer *next;
	helper_frame_fn frame; /* the capture helper's: neither a request nor a probe */
	helper_done_fn end;
	int64_t due_t;
	bool arrived;
	int backend;
	enum weather weather;
	const struct request *req;
	struct attempt *attempt; /* NULL: a probe */
	struct backend *probed;
	http_done_fn done;
	void *ud;
};

static struct http_transfer *transfers;

static const char *const names[WEATHERS] = {"fine", "no connection", "silent", "sick", "throttle", "denied", "cut", "garbage", "slow"};

const char *weather_name(enum weather w)
{
	return names[w];
}

/* No page is answered in it. */
bool weather_is_bad(enum weather w)
{
	return w == NO_CONNECTION || w == SILENT || w == SICK || w == THROTTLE || w == DENIED || w == CUT;
}

static int index_of(const struct backend *b)
{
	static const char *const backends[SIM_BACKENDS] = {"sydney", "jetson", "ocr"};

	for (int i = 0; i < SIM_BACKENDS; i++)
		if (streq(backends[i], b->config->name))
			return i;
	sim_fail("a request to %s, which nobody knows", b->config->name);
}

static enum trait trait_of_page(const struct page_row *p)
{
	return p->name[0] >= '0' && p->name[0] < '0' + TRAITS ? (enum trait)(p->name[0] - '0') : PLAIN;
}

/* Of the page that is out, or of the first that is special of several. */
static enum trait trait_of(const struct attempt *a)
{
	enum trait t = trait_of_page(a->by_page && a->part > 0 ? &a->more[a->part - 1] : &a->row);

	for (size_t i = 0; !a->by_page && t == PLAIN && i < a->n_more; i++)
		t = trait_of_page(&a->more[i]);
	return t;
}

/* ---- the way there ---------------------------------------------------------------------------------------------------------- */

static struct http_transfer *transfer_new(struct backend *b, const struct request *req, http_done_fn done, void *ud)
{
	struct http_transfer *t = calloc(1, sizeof(*t));
	int i = index_of(b);

	if (!t)
		return NULL;
	*t = (struct http_transfer){.backend = i, .req = req, .done = done, .ud = ud, .probed = b};
	t->weather = sim_chance(world->backends[i].percent) ? world->backends[i].weather : FINE;
	t->due_t = world->t + (t->weather == NO_CONNECTION ? sim_between(1, 10000) : sim_between(5, 300));
	t->next = transfers;
	transfers = t;
	world->backends[i].requests++;
	/* OCR knows no throttle; of a document it reads many pages. */
	if (weather_is_bad(world->backends[i].weather) && world->backends[i].percent == 100 && !(i == OCR && t->weather == THROTTLE))
		world->backends[i].down_sends++;
	return t;
}

int http_send(struct http *h, const struct request *req, http_done_fn done, void *ud, struct http_transfer **ret)
{
	bool probe = streq(req->method, "GET"), was = hiccups_arm(false);
	struct attempt *a = ud;
	struct http_transfer *t;

	if (probe)
		check_probe(ud);
	else
		check_send(a);
	hiccups_arm(was);
	t = transfer_new(probe ? ud : a->backend, req, done, ud);
	if (!t)
		return -ENOMEM;
	t->attempt = probe ? NULL : a;
	*ret = t;
	return 0;
}

int helper_send(sd_event *e, const struct helper_options *o, const struct request *req, helper_reply_fn done, void *ud,
	struct helper **ret)
{
	bool was = hiccups_arm(false);
	struct attempt *a = ud;
	struct http_transfer *t;

	check_send(a);
	hiccups_arm(was);
	t = transfer_new(a->backend, req, done, ud);
	if (!t)
		return -ENOMEM;
	t->attempt = a;
	*ret = (struct helper *)t;
	return 0;
}

/* ---- renderings --------------------------------------------------------------------------------------------------------------- */

int helper_convert(sd_event *e, const struct helper_options *o, const struct request *req, helper_frame_fn frame,
	helper_done_fn done, void *ud, struct helper **ret)
{
	struct http_transfer *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	*t = (struct http_transfer){.backend = SIM_BACKENDS, .arrived = true, .req = req, .frame = frame, .end = done, .ud = ud};
	t->due_t = world->t + (sim_chance(5) ? sim_between(10000, 60000) : sim_between(50, 800));
	t->next = transfers;
	transfers = t;
	*ret = (struct helper *)t;
	return 0;
}

/* As large as was asked for; or the helper dies, or finds no page. */
static void render(struct http_transfer *t)
{
	_cleanup_json_ cJSON *asked = NULL;
	_cleanup_buf_ struct buf said = {};
	struct frame_reader *reader = NULL;
	struct frame_piece piece;
	char sum[SHA256_HEX_SIZE];
	int64_t side = 0;
	int part, r = sim_chance(3) ? -EPIPE : 0;

	if (json_parse(t->req->segments[0].data, t->req->segments[0].len - 1, &asked, NULL) < 0 || json_get_i64(asked, "max_side", &side) < 0)
		sim_fail("the capture helper was asked for nothing");
	sha256_hex_of("jpeg", 4, sum);
	if (sim_chance(3))
		r = buf_adds(&said, "{\"type\":\"reject\",\"reason\":\"damaged\"}\n");
	else if (r >= 0)
		r = buf_addf(&said, "{\"type\":\"page\",\"width\":%lld,\"height\":%lld}\n{\"type\":\"data\",\"bytes\":4}\njpeg"
				    "{\"type\":\"page-end\",\"sha256\":\"%s\"}\n", (long long)side, (long long)side, sum);
	if (r >= 0)
		r = frame_reader_new(&reader);
	if (r >= 0)
		r = frame_reader_feed(reader, buf_str(&said), said.len);
	sim_log("a rendering of %lld: %d", (long long)side, r);
	hiccups_arm(true);
	while (r >= 0 && (part = frame_reader_next(reader, &piece)) > FRAME_NONE)
		r = t->frame(t->ud, (enum frame_part)part, &piece);
	t->end(t->ud, MIN(r, 0), r < 0 ? "it died" : NULL);
	hiccups_arm(false);
	frame_reader_free(reader);
	free(t);
}

static void unlink_transfer(struct http_transfer *t)
{
	struct http_transfer **p = &transfers;

	while (*p && *p != t)
		p = &(*p)->next;
	if (*p)
		*p = t->next;
}

void http_cancel(struct http_transfer *t)
{
	if (!t)
		return;
	unlink_transfer(t);
	free(t);
}

void helper_cancel(struct helper *h)
{
	http_cancel((struct http_transfer *)h);
}

/* ---- what it says ------------------------------------------------------------------------------------------------------------- */

#define NOVA(stop, content) "{\"output\":{\"message\":{\"role\":\"assistant\",\"content\":[" content "]}},\"stopReason\":\"" stop \
	"\",\"usage\":{\"inputTokens\":1800,\"outputTokens\":220,\"totalTokens\":2020}}"
#define CHAT(stop, content) "{\"choices\":[{\"finish_reason\":\"" stop "\",\"message\":{\"role\":\"assistant\",\"content\":\"" content \
	"\"}}],\"usage\":{\"prompt_tokens\":1800,\"completion_tokens\":220}}"
#define HELPER_END "{\"type\":\"end\",\"ok\":true}\n"

static const char word_boxes[] =
	"[{\"t\":\"Word:\",\"b\":[100,100,70,20],\"c\":95,\"l\":[1,1,1]},{\"t\":\"hello\",\"b\":[182,100,60,20],\"c\":95,\"l\":[1,1,1]}]";

static void set_status(struct reply *r, int status, const char *body)
{
	r->error = TRANSPORT_OK;
	r->status = status;
	r->body = body;
	r->len = strlen(body);
}

static void set_error(struct reply *r, enum transport_error error, const char *why)
{
	r->error = error;
	str_copy(r->detail, sizeof(r->detail), why);
}

/* Is what was signed near the truth? */
static bool signed_in_time(void)
{
	int64_t s;

	return clock_signing_time(sim_service.clock, &s) >= 0 && s - (FIRST_REAL_MS + world->t) / 1000 < 300 &&
		s - (FIRST_REAL_MS + world->t) / 1000 > -300;
}

static void sydney_answers(const struct http_transfer *t, struct reply *r, enum trait trait)
{
	r->date_ms = FIRST_REAL_MS + world->t;
	str_copy(r->peer_sha256, sizeof(r->peer_sha256), "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	if (!signed_in_time())
		set_status(r, 403, "{\"__type\":\"InvalidSignatureException\",\"message\":\"Signature expired\"}");
	else if (t->attempt->job.n_images > world->most_images && world->most_images)
		set_status(r, 413, "{\"message\":\"too large\"}");
	else if (trait == TOO_LONG)
		set_status(r, 200, NOVA("max_tokens", "{\"text\":\"cut\"}"));
	else if (trait == REFUSED)
		set_status(r, 400, "{\"__type\":\"ValidationException\",\"message\":\"image cannot be read\"}");
	else if (trait == BREAKS_SYDNEY)
		set_status(r, 500, "{\"__type\":\"InternalServerException\",\"message\":\"\"}");
	else
		set_status(r, 200, NOVA("tool_use", "{\"toolUse\":{\"toolUseId\":\"1\",\"name\":\"answer\",\"input\":{\"word\":\"hello\"}}}"));
}

static void jetson_answers(const struct http_transfer *t, struct reply *r, enum trait trait)
{
	if (!t->attempt)
		set_status(r, 200, "{\"status\":\"ok\"}");
	else if (trait == TOO_LONG)
		set_status(r, 200, CHAT("length", "cut"));
	else
		set_status(r, 200, CHAT("stop", "{\\\"word\\\":\\\"hello\\\"}"));
}

static void ocr_answers(struct reply *r, enum trait trait, char *text, size_t size)
{
	const char *boxes = trait == UNREADABLE ? "[]" : word_boxes;

	str_format(text, size, "{\"type\":\"words\",\"width\":1000,\"height\":1400,\"words\":%d,\"bytes\":%zu}\n%s" HELPER_END,
		trait == UNREADABLE ? 0 : 2, strlen(boxes), boxes);
	set_status(r, 0, text);
}

/* Over a quota. */
static void day_spoils(struct reply *r)
{
	static struct header hint = {(char *)"Retry-After", NULL};

	set_status(r, 429, day_refusal());
	hint.value = (char *)day_hint();
	r->headers = &hint;
	r->n_headers = hint.value ? 1 : 0;
}

/* What bad weather makes of it; true: it was spoilt. */
static bool spoilt(const struct http_transfer *t, struct reply *r)
{
	static const struct header hint = {(char *)"Retry-After", (char *)"90"};
	bool sydney = t->backend == SYDNEY;

	switch (t->weather) {
	case NO_CONNECTION:
		set_error(r, TRANSPORT_CONNECT, "connection refused");
		r->sent = r->sent_all = false;
		return true;
	case SILENT:
		set_error(r, TRANSPORT_TIMEOUT, "no answer in time");
		return true;
	case CUT:
		set_error(r, TRANSPORT_BROKEN, "connection reset");
		return true;
	case SICK:
		if (!t->attempt)
			return false;
		if (t->backend == OCR)
			set_error(r, TRANSPORT_BROKEN, "the helper died");
		else
			set_status(r, 500, sydney ? "{\"__type\":\"InternalServerException\"}" : "{\"error\":{\"message\":\"oops\"}}");
		return true;
	case THROTTLE:
		if (t->backend == OCR)
			return false;
		set_status(r, sydney ? 429 : 503, sydney ? "{\"__type\":\"ThrottlingException\"}" : "{}");
		r->headers = &hint;
		r->n_headers = world->t / HOUR_MS % 2 ? 1 : 0;
		if (world->day)
			day_spoils(r);
		return true;
	case DENIED:
		if (t->backend == OCR)
			set_error(r, TRANSPORT_LOCAL, "no such program");
		else
			set_status(r, sydney ? 403 : 401, sydney ? "{\"__type\":\"AccessDeniedException\"}" : "{}");
		r->sent = r->sent && t->backend != OCR;
		return true;
	case GARBAGE:
		set_status(r, t->backend == OCR ? 0 : 200, "<html>hello</html>");
		return true;
	case FINE:
	case SLOW:
	case WEATHERS:
		break;
	}
	return false;
}

static void answer(struct http_transfer *t)
{
	enum trait trait = t->attempt ? trait_of(t->attempt) : PLAIN;
	struct reply r = {.sent = true, .sent_all = true, .sent_ms = world->t - world->boot_t, .done_ms = world->t - world->boot_t};
	char text[512];

	if (!spoilt(t, &r)) {
		if (t->backend == SYDNEY)
			sydney_answers(t, &r, trait);
		else if (t->backend == JETSON)
			jetson_answers(t, &r, trait);
		else
			ocr_answers(&r, trait, text, sizeof(text));
	}
	if (world->day)
		day_answered(t->attempt->row.seq, t->weather == THROTTLE ? 0 : TOKENS_IN + TOKENS_OUT);
	sim_log("%s answers %s: %d %s", t->probed->config->name, t->attempt ? t->attempt->row.id : "the probe", r.status, r.detail);
	hiccups_arm(true);
	t->done(t->ud, &r);
	hiccups_arm(false);
	free(t);
}

/* The first byte is there: from here on it may cost. */
static void arrive(struct http_transfer *t)
{
	static const int64_t fine[SIM_BACKENDS][2] = {{800, 6000}, {4000, 30000}, {1500, 8000}};
	bool billed = false;

	t->arrived = true;
	if (world->day && day_refuses(t->attempt->row.seq))
		t->weather = THROTTLE;
	t->due_t = world->t + sim_between(fine[t->backend][0], fine[t->backend][1]);
	if (t->weather == SLOW)
		t->due_t += sim_between(10000, 60000);
	if (t->weather == SILENT)
		t->due_t = world->t + t->req->timeout_ms;
	if (t->weather == THROTTLE || t->weather == DENIED)
		t->due_t = world->t + 50;
	if (!t->attempt)
		return;
	if (t->backend == SYDNEY)
		billed = t->weather == FINE || t->weather == SLOW || t->weather == GARBAGE || t->weather == CUT || t->weather == SILENT;
	if (billed && (trait_of(t->attempt) == REFUSED || trait_of(t->attempt) == BREAKS_SYDNEY || !signed_in_time() ||
			      (world->most_images && t->attempt->job.n_images > world->most_images)))
		billed = false;
	check_arrival(t->attempt, t->backend, billed,
		billed ? price_cost(t->attempt->price, TOKENS_IN, TOKENS_OUT, 0) : 0);
}

bool transfers_run(void)
{
	struct http_transfer *first = NULL;

	for (struct http_transfer *t = transfers; t; t = t->next)
		if (t->due_t <= world->t && (!first || t->due_t < first->due_t))
			first = t;
	if (!first)
		return false;
	if (!first->arrived && first->weather != NO_CONNECTION) {
		arrive(first);
		return true;
	}
	unlink_transfer(first);
	if (first->frame)
		render(first);
	else
		answer(first);
	return true;
}

int64_t transfers_next_t(void)
{
	int64_t t = INT64_MAX;

	for (const struct http_transfer *i = transfers; i; i = i->next)
		t = MIN(t, i->due_t);
	return t;
}

size_t transfers_out(int backend, int64_t seq)
{
	size_t n = 0;

	for (const struct http_transfer *t = transfers; t; t = t->next)
		n += t->attempt && (backend < 0 || t->backend == backend) && (seq == 0 || t->attempt->row.seq == seq);
	return n;
}
