/* Any events in right frames, to a verdict: lines of "TYPE PAYLOAD" after one of "API FLAGS" (1: plain, 2: guarded, 4: the transfer broke).
 * A TYPE of "!NAME" is an exception; one of "chunk" wraps its payload in base64. */
#include "base/crypto.h"
#include "cloud/bedrock_stream.h"
#include "tests/fuzz/cloud_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t crc(const uint8_t *p, size_t len)
{
	uint32_t c = 0xffffffff;

	for (size_t i = 0; i < len; i++) {
		c ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
	}
	return ~c;
}

static void be32(struct buf *b, uint32_t v)
{
	const uint8_t bytes[] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

	buf_add(b, bytes, 4);
}

static void header(struct buf *b, const char *name, const char *value)
{
	size_t len = MIN(strlen(value), (size_t)200);

	buf_addc(b, (char)strlen(name));
	buf_adds(b, name);
	buf_addc(b, 7);
	buf_addc(b, 0);
	buf_addc(b, (char)len);
	buf_add(b, value, len);
}

static void frame(struct buf *out, const char *type, const char *payload)
{
	_cleanup_buf_ struct buf headers = {};
	size_t at = out->len, len = strlen(payload);

	header(&headers, ":message-type", *type == '!' ? "exception" : "event");
	header(&headers, *type == '!' ? ":exception-type" : ":event-type", *type == '!' ? type + 1 : type);
	be32(out, (uint32_t)(16 + headers.len + len));
	be32(out, (uint32_t)headers.len);
	be32(out, crc((const uint8_t *)out->data + at, 8));
	buf_add(out, headers.data, headers.len);
	buf_add(out, payload, len);
	be32(out, crc((const uint8_t *)out->data + at, out->len - at));
}

static void add_line(struct buf *out, char *line)
{
	char *payload = strchr(line, ' ');
	_cleanup_free_ char *base64 = malloc(BASE64_SIZE(strlen(line)) + 1);
	_cleanup_buf_ struct buf wrapped = {};

	if (!payload || !base64)
		return;
	*payload++ = '\0';
	if (!streq(line, "chunk")) {
		frame(out, line, payload);
		return;
	}
	base64[base64_encode(payload, strlen(payload), base64)] = '\0';
	buf_addf(&wrapped, "{\"bytes\":\"%s\",\"p\":\"ab\"}", base64);
	frame(out, line, buf_str(&wrapped));
}

static void decode(struct stream *stream, bool broke, uint32_t tries)
{
	static const struct bedrock_config config[] = {{.model = "amazon.nova-pro-v1:0"}};
	static const struct extractor x = {&bedrock_extractor, "fuzz", &config};
	struct job j = {.types = fuzz_typeset(), .n_images = 1, .tries = tries};
	struct reply r = {.status = 200, .sent = true, .sent_all = true, .stream = stream, .error = broke ? TRANSPORT_BROKEN : TRANSPORT_OK};
	struct verdict v = {};

	fuzz_must(x.ops->decode(&x, &j, &r, &v) == 0);
	fuzz_must((v.page == PAGE_DONE) == (v.answer != NULL) && *v.reason && *v.message);
	fuzz_must(v.billed || !stream->answered);
	verdict_clear(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = strndup((const char *)data, size);
	_cleanup_buf_ struct buf wire = {};
	unsigned long api, flags;
	struct stream *s;
	char *at = text, *line;

	if (!text)
		return 0;
	api = strtoul(at, &at, 10) % 3;
	flags = strtoul(at, &at, 10);
	strsep(&at, "\n");
	while ((line = strsep(&at, "\n")))
		add_line(&wire, line);
	if (bedrock_stream_new((enum bedrock_api)(BEDROCK_NOVA + api), flags & 1, flags & 2, &s) < 0)
		return 0;
	if (wire.len)
		s->take(s, wire.data, wire.len);
	decode(s, flags & 4, (uint32_t)(flags >> 3) % 3);
	s->free(s);
	return 0;
}
