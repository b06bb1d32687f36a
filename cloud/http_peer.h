/* Which certificate a TLS connection showed. curl tells it only on the transfer that connected; the receipts want it on
 * every exchange, so it is remembered by the connection's two ends. */
#pragma once

#include "base/crypto.h"

#define HTTP_PEERS 16 /* more than the transport keeps connections open */

struct http_peer {
	char connection[160]; /* local and remote address and port */
	char sha256[SHA256_HEX_SIZE];
};

struct http_peers {
	struct http_peer peers[HTTP_PEERS];
	size_t next;
};

/* The connection was made now and showed this certificate (PEM). Its SHA-256, hex, or "" when it cannot be read. */
void http_peers_learn(struct http_peers *p, const char *connection, const char *pem, char out[static SHA256_HEX_SIZE]);
/* "" when it is not known. */
void http_peers_recall(const struct http_peers *p, const char *connection, char out[static SHA256_HEX_SIZE]);
/* SHA-256 of the DER inside the first certificate of a PEM text. 0, -EBADMSG, -EINVAL, -ENOMEM. */
int http_pem_sha256(const char *pem, char out[static SHA256_HEX_SIZE]);
