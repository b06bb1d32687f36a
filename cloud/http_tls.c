#include "cloud/http_tls.h"

#define SET(option, value)                                                                                             \
	do {                                                                                                           \
		if (curl_easy_setopt(easy, option, value) != CURLE_OK)                                                 \
			return -EINVAL;                                                                                \
	} while (0)

/*
 * From memory: the caller has looked at the files' modes, and what was looked at is what is used. The connection is for this
 * request alone: a kept one would go on as whom it was made, after the certificate was renewed, too.
 */
static int set_client(CURL *easy, const struct request *req)
{
	struct curl_blob cert = {.data = (void *)req->client_cert, .flags = CURL_BLOB_NOCOPY};
	struct curl_blob key = {.data = (void *)req->client_key, .flags = CURL_BLOB_NOCOPY};

	if (!req->client_cert || !req->client_key)
		return req->client_cert || req->client_key ? -EINVAL : 0;
	cert.len = strlen(req->client_cert);
	key.len = strlen(req->client_key);
	SET(CURLOPT_SSLCERT_BLOB, &cert);
	SET(CURLOPT_SSLKEY_BLOB, &key);
	SET(CURLOPT_FRESH_CONNECT, 1L);
	SET(CURLOPT_FORBID_REUSE, 1L);
	return 0;
}

int http_tls_set(CURL *easy, const struct request *req)
{
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_CERTINFO, 1L);
	SET(CURLOPT_SSL_SESSIONID_CACHE, 0L); /* a resumed session shows no certificate for the receipt */
	if (req->ca_file) {
		SET(CURLOPT_CAINFO, req->ca_file);
		SET(CURLOPT_CAPATH, NULL); /* that authority and no other */
	}
	return set_client(easy, req);
}
