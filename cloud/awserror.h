/*
 * One table from (transport error, HTTP status, AWS error type) to what it means for page and backend.
 * Source: Bedrock API reference error lists and the SDKs' retry rules; every row is tested.
 */
#pragma once

#include "extract/extractor.h"

/* Judges every reply that is not a 200: sets page, backend, billed, delay, reason, message, clock_wrong, creds_wrong. */
int aws_error_judge(const struct reply *r, struct verdict *ret);
/* Transport errors alone, for every HTTP extractor. Returns 1 if it judged, 0 if there is a status to look at. */
int transport_judge(const struct reply *r, struct verdict *ret);
