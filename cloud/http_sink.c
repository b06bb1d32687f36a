#include "cloud/http_sink.h"

int http_sink_init(struct http_sink *s, const struct request *r)
{
	size_t max = r->max_reply ? r->max_reply : REPLY_DEFAULT;

	/* the reply of an error is small, and wanted as a whole */
	*s = (struct http_sink){.stream = r->stream, .secret = r->secret, .max = max, .body.max = r->stream ? MIN(max, REPLY_DEFAULT) : max};
	/* a secret in one block: growing would leave copies behind */
	return s->secret ? buf_reserve(&s->body, s->body.max, NULL) : 0;
}

void http_sink_clear(struct http_sink *s)
{
	if (s->secret)
		buf_wipe(&s->body);
	buf_free(&s->body);
}

static bool stream_write(struct http_sink *s, const char *data, size_t len)
{
	uint64_t before = s->stream->answered;

	s->streamed = true;
	s->len += len;
	s->too_large = s->len > s->max;
	if (s->too_large)
		return false;
	s->enough = s->stream->take(s->stream, data, len) != 0;
	s->progressed |= s->stream->answered != before;
	return !s->enough;
}

bool http_sink_write(struct http_sink *s, int status, const char *data, size_t len)
{
	if (s->stream && status == 200)
		return stream_write(s, data, len);
	s->too_large = buf_add(&s->body, data, len) < 0;
	return !s->too_large;
}

void http_sink_tell(struct http_sink *s)
{
	if (s->progressed && s->stream->progress)
		s->stream->progress(s->stream->ud, s->stream->answered);
	s->progressed = false;
}
