/* How a transfer verifies its server, and what it shows of itself. With http.c the files that include libcurl. */
#pragma once

#include <curl/curl.h>

#include "extract/extractor.h"

/* The request, its texts and its client key must stay until the transfer ends. 0 or -EINVAL. */
int http_tls_set(CURL *easy, const struct request *req);
