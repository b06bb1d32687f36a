#include "cloud/http_peer.h"

int http_pem_sha256(const char *pem, char out[static SHA256_HEX_SIZE])
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----", end[] = "-----END CERTIFICATE-----";
	_cleanup_buf_ struct buf text = BUF_MAX((size_t)64 << 10), der = BUF_MAX((size_t)64 << 10);
	const char *s = strstr(pem, begin), *stop;
	int r = 0;

	stop = s ? strstr(s, end) : NULL;
	if (!stop)
		return -EBADMSG;
	for (s += strlen(begin); r >= 0 && s < stop; s++) {
		if (*s != '\n' && *s != '\r')
			r = buf_addc(&text, *s);
	}
	if (r >= 0)
		r = base64_decode(buf_str(&text), text.len, &der);
	if (r < 0)
		return r;
	sha256_hex_of(buf_str(&der), der.len, out);
	return 0;
}

static const struct http_peer *find(const struct http_peers *p, const char *connection)
{
	for (size_t i = 0; i < HTTP_PEERS; i++) {
		if (streq(p->peers[i].connection, connection))
			return &p->peers[i];
	}
	return NULL;
}

void http_peers_learn(struct http_peers *p, const char *connection, const char *pem, char out[static SHA256_HEX_SIZE])
{
	struct http_peer *slot = (struct http_peer *)find(p, connection);

	if (http_pem_sha256(pem, out) < 0)
		out[0] = '\0';
	if (!slot)
		slot = &p->peers[p->next++ % HTTP_PEERS];
	if (str_copy(slot->connection, sizeof(slot->connection), connection) < 0)
		return;
	memcpy(slot->sha256, out, SHA256_HEX_SIZE);
}

void http_peers_recall(const struct http_peers *p, const char *connection, char out[static SHA256_HEX_SIZE])
{
	const struct http_peer *slot = find(p, connection);

	out[0] = '\0';
	if (slot)
		memcpy(out, slot->sha256, SHA256_HEX_SIZE);
}
