/* Any bytes as an event stream, in pieces of any size; and as an answer by each form. "PIECE\n" and the stream. */
#include "cloud/bedrock_stream.h"
#include "cloud/eventstream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int look(void *ud, const struct eventstream_frame *f)
{
	size_t *bytes = ud;
	char text[64];

	for (size_t i = 0; i < f->n_fields; i++) {
		char name[256];

		memcpy(name, f->fields[i].name, f->fields[i].name_len);
		name[f->fields[i].name_len] = '\0';
		(void)eventstream_string(f, name, text, sizeof(text));
		for (size_t k = 0; k < f->fields[i].len; k++)
			*bytes += f->fields[i].value[k];
	}
	for (size_t i = 0; i < f->len; i++)
		*bytes += (size_t)(unsigned char)f->payload[i];
	return 0;
}

static void as_answer(enum bedrock_api api, const uint8_t *data, size_t size, size_t piece)
{
	struct stream *s;
	enum stream_end end;
	int r = 0;

	if (bedrock_stream_new(api, piece & 1, piece & 2, &s) < 0)
		return;
	for (size_t at = 0; r == 0 && at < size; at += piece)
		r = s->take(s, data + at, MIN(piece, size - at));
	if (bedrock_stream_end(s, &end) == 0 && (end == STREAM_ANSWERED || end == STREAM_ENOUGH)) {
		_cleanup_buf_ struct buf body = {};
		_cleanup_json_ cJSON *j = NULL;

		if (bedrock_stream_body(s, &body) < 0 || json_parse(buf_str(&body), body.len, &j, NULL) < 0)
			abort();
	}
	s->free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct eventstream s = {};
	size_t bytes = 0, piece = 1;
	const uint8_t *line = memchr(data, '\n', MIN(size, (size_t)8));
	int r = 0;

	if (line) {
		piece = 1 + *data % 64;
		size -= (size_t)(line + 1 - data);
		data = line + 1;
	}
	for (size_t at = 0; r == 0 && at < size; at += piece)
		r = eventstream_take(&s, data + at, MIN(piece, size - at), look, &bytes);
	if (r != 0 && eventstream_take(&s, "x", 1, look, &bytes) != -EBADMSG)
		abort();
	eventstream_clear(&s);
	for (enum bedrock_api api = BEDROCK_NOVA; api <= BEDROCK_CONVERSE; api++)
		as_answer(api, data, size, piece);
	return 0;
}
