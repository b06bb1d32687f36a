/* Frames of an event stream, made byte by byte; the check sums by a way of its own, bit by bit. */
#pragma once

#include "base/crypto.h"
#include "base/json.h"
#include "tests/unit/test.h"

static inline uint32_t frame_crc(const uint8_t *p, size_t len)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
	}
	return ~crc;
}

static inline void frame_be32(struct buf *b, uint32_t v)
{
	const uint8_t bytes[] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

	CHECK(buf_add(b, bytes, 4) == 0);
}

static inline void frame_header(struct buf *b, const char *name, const char *value)
{
	CHECK(buf_addc(b, (char)strlen(name)) == 0 && buf_adds(b, name) == 0 && buf_addc(b, 7) == 0);
	CHECK(buf_addc(b, (char)(strlen(value) >> 8)) == 0 && buf_addc(b, (char)strlen(value)) == 0 && buf_adds(b, value) == 0);
}

/* With headers as they are on the wire. */
static inline void frame_raw(struct buf *out, const struct buf *headers, const void *payload, size_t len)
{
	size_t at = out->len;

	frame_be32(out, (uint32_t)(16 + headers->len + len));
	frame_be32(out, (uint32_t)headers->len);
	frame_be32(out, frame_crc((const uint8_t *)out->data + at, 8));
	CHECK(buf_add(out, headers->data, headers->len) == 0 && buf_add(out, payload, len) == 0);
	frame_be32(out, frame_crc((const uint8_t *)out->data + at, out->len - at));
}

static inline void frame_of(struct buf *out, const char *kind, const char *type, const char *payload)
{
	_cleanup_buf_ struct buf headers = {};
	char name[32];

	CHECK(str_format(name, sizeof(name), ":%s-type", kind) > 0);
	frame_header(&headers, name, type);
	frame_header(&headers, ":content-type", "application/json");
	frame_header(&headers, ":message-type", kind);
	frame_raw(out, &headers, payload, strlen(payload));
}

/* An event of the model's own, as InvokeModelWithResponseStream wraps it. */
static inline void frame_chunk(struct buf *out, const char *event)
{
	_cleanup_buf_ struct buf payload = {};
	_cleanup_free_ char *base64 = malloc(strlen(event) * 2 + 8);
	size_t len = base64_encode(event, strlen(event), base64);

	CHECK(buf_addf(&payload, "{\"bytes\":\"%.*s\",\"p\":\"abcdef\"}", (int)len, base64) == 0);
	frame_of(out, "event", "chunk", buf_str(&payload));
}
