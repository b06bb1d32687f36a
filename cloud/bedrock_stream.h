/*
 * A streamed answer of Bedrock (ConverseStream, InvokeModelWithResponseStream): events are put together as they arrive, into the
 * reply that Converse or InvokeModel would have given. Source: Bedrock API reference, ConverseStream; Amazon Nova user guide,
 * "Invoke streaming"; Anthropic, "Streaming messages".
 *
 * The whole object is not the end of reading: what was used and whether a guardrail let it pass comes behind it, within
 * milliseconds, and what is cut off before that is counted at its worst case, for AWS bills what the model has made. So reading ends
 * early only where no end is in sight: the answer can be no object any more, or goes on at length behind a whole one.
 */
#pragma once

#include "cloud/bedrock_internal.h"

enum stream_end {
	STREAM_CUT,       /* it broke off before the answer was there */
	STREAM_ANSWERED,  /* to the end, as the model says */
	STREAM_ENOUGH,    /* the object is whole; the end was not waited for, or did not come */
	STREAM_HOPELESS,  /* no object will come of it */
	STREAM_DAMAGED,   /* not an event stream, or a check sum is wrong */
	STREAM_EXCEPTION, /* the service broke it off, and says why */
};

/* plain: the object is looked for in text, not in the tool's input. guarded: only the end says whether a guardrail lets it pass. */
int bedrock_stream_new(enum bedrock_api api, bool plain, bool guarded, struct stream **ret);
/* Negative errno: no memory for it. */
int bedrock_stream_end(const struct stream *s, enum stream_end *ret);
/* Of STREAM_EXCEPTION: its type, and its payload (JSON). */
const char *bedrock_stream_exception(const struct stream *s, const struct buf **ret_payload);
/* Of STREAM_ANSWERED and STREAM_ENOUGH: the reply that it adds up to. 0, -ENOMEM or -EMSGSIZE. */
int bedrock_stream_body(const struct stream *s, struct buf *out);
