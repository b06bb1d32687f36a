/*
 * One question to AWS in a backend's region, with its credentials: signed, guarded, without any page. Of kind bedrock to Bedrock's
 * control plane, at no cost; of kind sagemaker HEAD of its bucket.
 */
#pragma once

#include "daemon/service.h"

struct bedrock_ask;

/* The reply is borrowed for the call; the question is gone after it. */
typedef void (*bedrock_ask_done_fn)(void *ud, const struct reply *reply);

/* Takes `url`, also on failure. done is called once, never from inside this call, and not after bedrock_ask_cancel(). 0, or
 * negative errno, at which `why` has a sentence or "" (then the errno says it). -EAGAIN: credentials are being got. */
int bedrock_ask(struct service *s, const struct backend_config *b, char *url, bedrock_ask_done_fn done, void *ud,
	struct bedrock_ask **ret, char *why, size_t why_size);
void bedrock_ask_cancel(struct bedrock_ask *a); /* NULL is fine */
