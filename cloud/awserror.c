#include "cloud/awserror.h"

#include <stdio.h>
#include <strings.h>

#include "base/parse.h"
#include "base/text.h"
#include "cloud/awserror_internal.h"

#define DELAY_MAX_MS (5 * 60 * 1000)
#define MESSAGE_SIZE 160
#define MOST_ONCE    2 /* attempts: the first, and one more */

/* ---- the table --------------------------------------------------------------------------------------------------- */

struct seen {
	const struct reply *reply;
	int status;
	const char *type, *message; /* "" without */
};

static bool sent_matches(const struct aws_error_row *w, const struct reply *r)
{
	return w->sent == SENT_ANY || (w->sent == SENT_WHOLE) == r->sent_all;
}

static bool row_matches(const struct aws_error_row *w, const struct seen *s)
{
	if (w->error != s->reply->error || !sent_matches(w, s->reply))
		return false;
	if (w->status && (s->status < w->status || s->status > MAX(w->status, w->status_to)))
		return false;
	return (!w->type || strcasecmp(s->type, w->type) == 0) && (!w->said || strcasestr(s->message, w->said));
}

/* The last row takes every reply, and each transport error has one. */
static const struct aws_error_row *find_row(const struct seen *s)
{
	size_t n;
	const struct aws_error_row *rows = aws_error_rows(&n);

	for (size_t i = 0; i < n; i++) {
		if (row_matches(&rows[i], s))
			return &rows[i];
	}
	return &rows[n - 1];
}

static void take_row(const struct aws_error_row *w, const struct reply *r, struct verdict *v)
{
	v->billed = w->flags & ERROR_BILLED || (w->flags & ERROR_BILLED_SENT && r->sent);
	v->clock_wrong = w->flags & ERROR_CLOCK;
	v->creds_wrong = w->flags & ERROR_CREDS;
	v->smaller = w->flags & ERROR_SMALLER;
	v->most_tries = w->flags & ERROR_ONCE ? MOST_ONCE : 0;
	v->wait = w->wait;
	v->delay_ms = w->least_ms;
}

int transport_judge(const struct reply *r, struct verdict *ret)
{
	const struct aws_error_row *w;

	if (r->error == TRANSPORT_OK)
		return 0;
	w = find_row(&(struct seen){.reply = r, .type = "", .message = ""});
	take_row(w, r, ret);
	verdict_set(ret, w->page, w->backend, w->reason, "%s: %s", w->advice, r->detail);
	return 1;
}

/* ---- what AWS says ----------------------------------------------------------------------------------------------- */

/* The first non-empty string of these members. */
static const char *first_string(const cJSON *j, const char *const names[])
{
	for (; *names; names++) {
		const char *s = json_get_string(j, *names);

		if (s && *s)
			return s;
	}
	return NULL;
}

/* The text of the first element of this name in a reply of XML, as STS and S3 send. "" if none. */
static void xml_text(const struct reply *r, const char *name, char *out, size_t size)
{
	char open[32], close[32];
	const char *from, *to;

	out[0] = '\0';
	if (!r->body || str_format(open, sizeof(open), "<%s>", name) < 0 ||
		str_format(close, sizeof(close), "</%s>", name) < 0)
		return;
	from = strstr(r->body, open);
	to = from ? strstr(from, close) : NULL;
	if (to)
		snprintf(out, size, "%.*s", (int)MIN((size_t)(to - from) - strlen(open), size - 1), from + strlen(open));
}

/* "com.amazon.coral.service#Name:http://..." is Name. */
static void bare_type(const char *t, char *out, size_t size)
{
	const char *hash;
	size_t len;

	len = strcspn(t, ":");       /* "Name:http://..." */
	hash = memrchr(t, '#', len); /* "com.amazon.coral.service#Name" */
	if (hash) {
		len -= (size_t)(hash + 1 - t);
		t = hash + 1;
	}
	snprintf(out, size, "%.*s", (int)MIN(len, size - 1), t);
}

/* ---- the server's hint ------------------------------------------------------------------------------------------- */

/* x-amz-retry-after is milliseconds, Retry-After seconds or a date. Not believed beyond DELAY_MAX_MS; invalid: 0. */
static uint32_t hinted_delay(const struct reply *r)
{
	const char *ms = reply_header(r, "x-amz-retry-after"), *s = reply_header(r, "retry-after");
	const char *date = reply_header(r, "date");
	int64_t n, now;

	if (ms && parse_i64(ms, 0, INT64_MAX, &n) == 0)
		return (uint32_t)MIN(n, DELAY_MAX_MS);
	if (s && parse_i64(s, 0, INT32_MAX, &n) == 0)
		return (uint32_t)MIN(n * 1000, DELAY_MAX_MS);
	if (s && date && parse_http_date(s, &n) == 0 && parse_http_date(date, &now) == 0)
		return (uint32_t)CLAMP(n - now, 0, DELAY_MAX_MS);
	return 0;
}

/* ---- judging ----------------------------------------------------------------------------------------------------- */

/* A ModelErrorException carries what the model's own server said. */
static const struct aws_error_row *refine(const struct aws_error_row *w, const cJSON *body)
{
	const struct aws_error_row *original = NULL;
	int64_t status;

	if (!streq(w->reason, "model-error"))
		return w;
	if (json_get_i64(body, "originalStatusCode", &status) == 0 ||
		json_get_i64(body, "OriginalStatusCode", &status) == 0)
		original = aws_error_original(status);
	return original ? original : w;
}

static void judge(const struct seen *s, const cJSON *body, struct verdict *ret)
{
	const struct aws_error_row *w = refine(find_row(s), body);
	char said[MESSAGE_SIZE];

	text_safe_copy(said, sizeof(said), s->message);
	verdict_set(ret, w->page, w->backend, w->reason, "%s (%d%s%s%s%s)", w->advice, s->reply->status,
		*s->type ? " " : "", s->type, *said ? ": " : "", said);
	take_row(w, s->reply, ret);
	ret->hint_ms = hinted_delay(s->reply);
}

static const char *message_of(const cJSON *body)
{
	static const char *const names[] = {"message", "Message", "errorMessage", NULL};

	return first_string(body, names);
}

int aws_error_judge(const struct reply *r, struct verdict *ret)
{
	static const char *const names[] = {"code", "Code", "__type", NULL};
	_cleanup_json_ cJSON *body = NULL;
	char type[96], code[96], text[MESSAGE_SIZE];
	const char *named = reply_header(r, "x-amzn-errortype"), *message;

	if (json_parse(r->body ? r->body : "", r->len, &body, NULL) == -ENOMEM)
		return -ENOMEM;
	xml_text(r, "Code", code, sizeof(code));
	xml_text(r, "Message", text, sizeof(text));
	if (!named || !*named)
		named = first_string(body, names);
	bare_type(named ? named : code, type, sizeof(type));
	message = message_of(body);
	judge(&(struct seen){r, r->status, type, message ? message : text}, body, ret);
	return 0;
}

int aws_error_judge_event(const struct reply *r, const char *type, const char *payload, size_t len,
	struct verdict *ret)
{
	_cleanup_json_ cJSON *body = NULL;
	const char *message, *code;
	char name[96], said[MESSAGE_SIZE];

	if (json_parse(payload ? payload : "", len, &body, NULL) == -ENOMEM)
		return -ENOMEM;
	bare_type(type ? type : "", name, sizeof(name));
	message = message_of(body);
	code = json_get_string(body, "ErrorCode"); /* SageMaker's */
	snprintf(said, sizeof(said), "%s%s%s", code ? code : "", code && message ? ": " : "", message ? message : "");
	judge(&(struct seen){r, r->status, name, said}, body, ret);
	/* It began to answer: only a throttle or a refusal of the request says that no model ran. */
	ret->billed |= ret->wait != WAIT_THROTTLED && ret->page != PAGE_NEXT;
	return 0;
}
