#include "cloud/bedrock_stream.h"

#include "base/crypto.h"
#include "base/jsonscan.h"
#include "cloud/eventstream.h"

#define BLOCKS_MAX  32
#define ANSWER_MAX  ((size_t)256 << 10) /* of a block */
#define CHUNK_MAX   ((size_t)1 << 20)   /* AWS: 1,000,000 */
#define BLANKS_MAX  2048 /* in a row: a model that is caught in its own form */
#define BEHIND_MAX  1024 /* bytes behind a whole object */
#define PAYLOAD_MAX ((size_t)4096)

enum block_kind { BLOCK_NONE, BLOCK_TEXT, BLOCK_TOOL };
struct block {
	enum block_kind kind;
	struct buf text;
};

struct answer_stream {
	struct stream stream; /* first: a struct stream * is one of these */
	struct eventstream frames;
	enum bedrock_api api;
	bool plain, guarded;
	struct block blocks[BLOCKS_MAX];
	size_t scanned; /* the block whose object is followed, and 1; 0: none yet */
	struct jsonscan scan;
	bool inside, whole; /* an object has begun; it is whole */
	size_t blanks, behind;
	char stop[32];
	struct bedrock_counts told, metrics; /* by the model's form, and by Bedrock */
	bool told_all; /* the final count was among it */
	char action[16]; /* of a guardrail */
	cJSON *trace;
	char exception[96];
	struct buf payload;
	bool enough, hopeless;
	int error;
};

static const struct answer_stream *of(const struct stream *s)
{
	return (const struct answer_stream *)s;
}

/* ---- the answer as it grows -------------------------------------------------------------------------------------- */

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The tool's input is the object and nothing else. */
static void follow_tool(struct answer_stream *s, size_t index, const char *text, size_t len)
{
	int r;

	if (!s->scanned)
		s->scanned = index + 1;
	if (s->scanned != index + 1) {
		s->behind += s->whole ? len : 0;
		return;
	}
	r = jsonscan_take(&s->scan, text, len);
	s->whole = r > 0;
	s->hopeless |= r < 0;
}

/* Somewhere in the text; what looked like one and is none is passed over, and a later one counts. */
static void follow_text(struct answer_stream *s, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '{' && !(s->inside && !s->whole)) {
			s->scan = (struct jsonscan){};
			s->inside = true;
			s->whole = false;
			s->behind = 0;
		}
		if (!s->inside)
			continue;
		if (s->whole)
			s->behind += !blank(text[i]);
		else
			s->whole = jsonscan_take(&s->scan, text + i, 1) > 0;
		if (!s->whole && jsonscan_take(&s->scan, "", 0) < 0)
			s->inside = false;
	}
}

static void count_blanks(struct answer_stream *s, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		s->blanks = blank(text[i]) ? s->blanks + 1 : 0;
		s->hopeless |= s->blanks > BLANKS_MAX && !s->whole;
	}
}

/* 0, or 1: no more is wanted. */
static int add_answer(struct answer_stream *s, int64_t index, enum block_kind kind, const char *text)
{
	size_t len = strlen(text);
	struct block *b;
	int r;

	if (index < 0 || index >= BLOCKS_MAX)
		return -EBADMSG;
	b = &s->blocks[index];
	if (b->kind != BLOCK_NONE && b->kind != kind)
		return -EBADMSG;
	b->kind = kind;
	b->text.max = ANSWER_MAX;
	r = buf_add(&b->text, text, len);
	if (r == -ENOMEM)
		return r;
	s->stream.answered += len;
	count_blanks(s, text, len);
	if (kind == BLOCK_TOOL && !s->plain)
		follow_tool(s, (size_t)index, text, len);
	else if (kind == BLOCK_TEXT && s->plain)
		follow_text(s, text, len);
	s->hopeless |= r == -EMSGSIZE;
	s->enough |= s->whole && s->behind > BEHIND_MAX && !s->guarded;
	return s->hopeless || s->enough;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static int64_t index_of(const cJSON *j, const char *name)
{
	int64_t i;

	return json_get_i64(j, name, &i) == 0 ? i : -1;
}

static void take_stop(struct answer_stream *s, const char *stop)
{
	if (stop && !*s->stop)
		str_copy(s->stop, sizeof(s->stop), stop);
}

static int take_trace(struct answer_stream *s, const cJSON *trace)
{
	if (!trace || s->trace)
		return 0;
	s->trace = cJSON_Duplicate(trace, true);
	return s->trace ? 0 : -ENOMEM;
}

/* What Bedrock adds to a model's own events. */
static int take_own(struct answer_stream *s, const cJSON *j)
{
	const char *action = json_get_string(j, "amazon-bedrock-guardrailAction");

	if (action && !streq(s->action, "INTERVENED"))
		str_copy(s->action, sizeof(s->action), action);
	bedrock_counts_read(json_get(j, "amazon-bedrock-invocationMetrics"), &s->metrics);
	return take_trace(s, json_get_object(j, "amazon-bedrock-trace"));
}

/* Converse's events, and Nova's own. */
static int take_camel(struct answer_stream *s, const char *name, const cJSON *j)
{
	const cJSON *delta = json_get_object(j, "delta");
	const char *text = json_get_string(delta, "text");
	const char *input = json_get_string(json_get_object(delta, "toolUse"), "input");

	if (streq(name, "contentBlockDelta") && input)
		return add_answer(s, index_of(j, "contentBlockIndex"), BLOCK_TOOL, input);
	if (streq(name, "contentBlockDelta") && text)
		return add_answer(s, index_of(j, "contentBlockIndex"), BLOCK_TEXT, text);
	if (streq(name, "messageStop"))
		take_stop(s, json_get_string(j, "stopReason"));
	if (!streq(name, "metadata"))
		return 0;
	bedrock_counts_read(json_get(j, "usage"), &s->told);
	s->told_all = true;
	return take_trace(s, json_get_object(j, "trace"));
}

static int take_nova(struct answer_stream *s, const cJSON *j)
{
	const cJSON *event;
	int r = take_own(s, j);

	cJSON_ArrayForEach (event, j) {
		if (r == 0)
			r = take_camel(s, event->string, event);
	}
	return r;
}

static int take_claude(struct answer_stream *s, const cJSON *j)
{
	const char *type = json_get_string(j, "type"), *text;
	const cJSON *delta = json_get_object(j, "delta");
	int r = take_own(s, j);

	if (r < 0 || !type)
		return r;
	if (streq(type, "message_start"))
		bedrock_counts_read(json_get(json_get_object(j, "message"), "usage"), &s->told);
	if (streq(type, "message_delta")) {
		take_stop(s, json_get_string(delta, "stop_reason"));
		bedrock_counts_read(json_get(j, "usage"), &s->told);
		s->told_all = true;
	}
	if (streq(type, "error")) { /* of the vendor's own, within the stream */
		str_copy(s->exception, sizeof(s->exception), "modelStreamErrorException");
		s->payload.max = PAYLOAD_MAX;
		r = json_print(json_get_object(j, "error"), false, &s->payload);
		return r == -ENOMEM && json_get_object(j, "error") ? r : 1;
	}
	if (!streq(type, "content_block_delta"))
		return 0;
	text = json_get_string(delta, "partial_json");
	if (text)
		return add_answer(s, index_of(j, "index"), BLOCK_TOOL, text);
	text = json_get_string(delta, "text");
	return text ? add_answer(s, index_of(j, "index"), BLOCK_TEXT, text) : 0;
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

/* {"bytes": the model's own event in base64}: 1 and the event, or 0: it has none. */
static int open_chunk(const cJSON *j, cJSON **ret)
{
	_cleanup_buf_ struct buf raw = BUF_MAX(CHUNK_MAX);
	const char *bytes = json_get_string(j, "bytes");
	int r;

	if (!bytes)
		return 0;
	r = base64_decode(bytes, strlen(bytes), &raw);
	if (r >= 0)
		r = json_parse(buf_str(&raw), raw.len, ret, NULL);
	return r == -ENOMEM ? r : r < 0 ? -EBADMSG : 1;
}

static bool is_ours(const char *type)
{
	return streq(type, "contentBlockDelta") || streq(type, "messageStop") || streq(type, "metadata");
}

static int take_event(struct answer_stream *s, const struct eventstream_frame *f)
{
	_cleanup_json_ cJSON *j = NULL, *inner = NULL;
	char type[64] = "";
	bool chunk;
	int r;

	if (eventstream_string(f, ":event-type", type, sizeof(type)) < 0)
		return 0; /* of a kind that is not known */
	chunk = streq(type, "chunk");
	if (chunk == (s->api == BEDROCK_CONVERSE) || (!chunk && !is_ours(type)))
		return 0;
	r = json_parse(f->payload, f->len, &j, NULL);
	if (r < 0)
		return r;
	if (!chunk)
		return take_camel(s, type, j);
	r = open_chunk(j, &inner);
	if (r <= 0)
		return r;
	return s->api == BEDROCK_CLAUDE ? take_claude(s, inner) : take_nova(s, inner);
}

/* An error has its message in a header, an exception in its payload. */
static int take_exception(struct answer_stream *s, const struct eventstream_frame *f, bool error)
{
	char message[1024] = "";
	int r;

	if (eventstream_string(f, error ? ":error-code" : ":exception-type", s->exception, sizeof(s->exception)) < 0 || !*s->exception)
		str_copy(s->exception, sizeof(s->exception), "unknown");
	s->payload.max = PAYLOAD_MAX;
	if (!error) {
		r = buf_add(&s->payload, f->payload, f->len);
	} else {
		(void)eventstream_string(f, ":error-message", message, sizeof(message));
		r = buf_adds(&s->payload, "{\"message\":");
		if (r >= 0)
			r = json_quote(&s->payload, message, strlen(message));
		if (r >= 0)
			r = buf_adds(&s->payload, "}");
	}
	return r == -ENOMEM ? r : 1; /* without a payload of any size */
}

static int on_frame(void *ud, const struct eventstream_frame *f)
{
	struct answer_stream *s = ud;
	char type[16] = "";

	if (eventstream_string(f, ":message-type", type, sizeof(type)) < 0)
		return -EBADMSG;
	if (streq(type, "exception") || streq(type, "error"))
		return take_exception(s, f, streq(type, "error"));
	return streq(type, "event") ? take_event(s, f) : 0;
}

static int stream_take(struct stream *stream, const void *data, size_t len)
{
	struct answer_stream *s = (struct answer_stream *)stream;
	int r = eventstream_take(&s->frames, data, len, on_frame, s);

	if (r < 0 && !s->error)
		s->error = r;
	return r;
}

static void stream_free(struct stream *stream)
{
	struct answer_stream *s = (struct answer_stream *)stream;

	for (size_t i = 0; i < BLOCKS_MAX; i++)
		buf_free(&s->blocks[i].text);
	eventstream_clear(&s->frames);
	cJSON_Delete(s->trace);
	buf_free(&s->payload);
	free(s);
}

int bedrock_stream_new(enum bedrock_api api, bool plain, bool guarded, struct stream **ret)
{
	struct answer_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->api = api;
	s->plain = plain;
	s->guarded = guarded;
	s->told = s->metrics = BEDROCK_COUNTS_NONE;
	s->stream.take = stream_take;
	s->stream.free = stream_free;
	*ret = &s->stream;
	return 0;
}

/* ---- what it adds up to ------------------------------------------------------------------------------------------ */

/* Each frame has its own check sums: what came whole before one that is wrong stays right. */
int bedrock_stream_end(const struct stream *stream, enum stream_end *ret)
{
	const struct answer_stream *s = of(stream);

	if (s->error == -ENOMEM)
		return -ENOMEM;
	*ret = *s->exception                     ? STREAM_EXCEPTION
	       : *s->stop                        ? STREAM_ANSWERED
	       : s->hopeless                     ? STREAM_HOPELESS
	       : s->enough                       ? STREAM_ENOUGH
	       : s->error                        ? STREAM_DAMAGED
	       : s->whole && !s->guarded         ? STREAM_ENOUGH
						 : STREAM_CUT;
	return 0;
}

const char *bedrock_stream_exception(const struct stream *stream, const struct buf **ret_payload)
{
	*ret_payload = &of(stream)->payload;
	return of(stream)->exception;
}

/* The input of a tool that is no JSON stands as text: so all else of the reply can still be read. */
static int add_block(const struct answer_stream *s, const struct block *b, struct buf *out)
{
	bool claude = s->api == BEDROCK_CLAUDE;
	_cleanup_json_ cJSON *input = NULL;
	int r = b->kind == BLOCK_TOOL ? json_parse(buf_str(&b->text), b->text.len, &input, NULL) : -EBADMSG;

	if (r == -EBADMSG)
		return bedrock_add_quoted(out, claude ? "{\"type\":\"text\",\"text\":" : "{\"text\":", buf_str(&b->text), "}");
	if (r < 0)
		return r;
	r = buf_adds(out, claude ? "{\"type\":\"tool_use\",\"input\":" : "{\"toolUse\":{\"input\":");
	if (r >= 0)
		r = buf_add(out, buf_str(&b->text), b->text.len);
	return r < 0 ? r : buf_adds(out, claude ? "}" : "}}");
}

static int add_blocks(const struct answer_stream *s, struct buf *out)
{
	bool first = true;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < BLOCKS_MAX; i++) {
		if (s->blocks[i].kind == BLOCK_NONE)
			continue;
		if (!first)
			r = buf_adds(out, ",");
		if (r >= 0)
			r = add_block(s, &s->blocks[i], out);
		first = false;
	}
	return r;
}

static int add_rest(const struct answer_stream *s, struct buf *out)
{
	bool claude = s->api == BEDROCK_CLAUDE;
	const char *stop = *s->stop ? s->stop : s->plain ? "end_turn" : "tool_use";
	int r = bedrock_add_quoted(out, claude ? "],\"stop_reason\":" : "]}},\"stopReason\":", stop, "");

	if (r >= 0 && s->told_all)
		r = bedrock_counts_add(&s->told, ",\"usage\":", out);
	if (r >= 0)
		r = bedrock_counts_add(&s->metrics, ",\"amazon-bedrock-invocationMetrics\":", out);
	if (r >= 0 && *s->action)
		r = bedrock_add_quoted(out, ",\"amazon-bedrock-guardrailAction\":", s->action, "");
	if (r >= 0 && s->trace)
		r = buf_adds(out, s->api == BEDROCK_CONVERSE ? ",\"trace\":" : ",\"amazon-bedrock-trace\":");
	if (r >= 0 && s->trace)
		r = json_print(s->trace, false, out);
	return r < 0 ? r : buf_adds(out, "}");
}

int bedrock_stream_body(const struct stream *stream, struct buf *out)
{
	const struct answer_stream *s = of(stream);
	int r = buf_adds(out, s->api == BEDROCK_CLAUDE ? "{\"content\":[" : "{\"output\":{\"message\":{\"content\":[");

	if (r >= 0)
		r = add_blocks(s, out);
	return r < 0 ? r : add_rest(s, out);
}
