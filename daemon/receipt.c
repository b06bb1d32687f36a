#include "daemon/receipt.h"

#include <stdio.h>

#include "base/chain.h"
#include "daemon/spool_internal.h"

#define LINES_MAX 512 /* of one call */

/* A text, or a number when that is NULL; left out when it is absent. */
struct member {
	const char *name, *text;
	int64_t number;
	bool present;
};

static struct member text_member(const char *name, const char *value)
{
	return (struct member){name, value, 0, value && value[0]};
}

static struct member number_member(const char *name, int64_t value, bool present)
{
	return (struct member){name, NULL, value, present};
}

static int add_members(struct buf *out, const struct member *m, size_t n)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n; i++) {
		if (!m[i].present)
			continue;
		r = buf_addf(out, ",\"%s\":", m[i].name);
		if (r >= 0)
			r = m[i].text ? json_quote(out, m[i].text, strlen(m[i].text)) : buf_addf(out, "%lld", (long long)m[i].number);
	}
	return r;
}

static int body_answered(const struct receipt *p, struct buf *out)
{
	const struct member members[] = {
		text_member("address", p->address),
		text_member("peer", p->peer_sha256),
		number_member("status", p->status, p->status != 0),
		text_member("request_id", p->request_id),
		number_member("in", p->tokens_input, p->tokens_input >= 0),
		number_member("out", p->tokens_output, p->tokens_output >= 0),
		number_member("cached", p->tokens_cached, p->tokens_cached > 0),
		text_member("outcome", p->outcome),
		text_member("reason", p->reason),
		number_member("pusd", p->cost_pusd, true),
	};

	return add_members(out, members, ARRAY_SIZE(members));
}

/* docs/architecture.md, "Receipts": members in this order, absent ones left out. */
static int body_print(struct spool *s, int64_t seq, const struct receipt *p, struct buf *out)
{
	struct stamp now = spool_stamp(s);
	const struct member members[] = {
		text_member("page", p->page),
		number_member("attempt", p->attempt, true),
		text_member("content", p->content_sha256),
		text_member("rendering", p->rendering_sha256),
		text_member("body", p->body_sha256),
		number_member("bytes", p->bytes, p->bytes >= 0),
		text_member("backend", p->backend),
		text_member("host", p->host),
		text_member("region", p->region),
		text_member("model", p->model),
		text_member("tier", p->tier),
		text_member("resolved", p->resolved),
	};
	int r;

	r = buf_addf(out, "{\"v\":1,\"seq\":%lld,\"kind\":\"%s\",\"t\":%lld,\"trust\":\"%s\"", (long long)seq,
		p->kind, (long long)now.ms, time_trust_name(now.trust));
	if (r >= 0)
		r = add_members(out, members, ARRAY_SIZE(members));
	if (r >= 0 && p->lab)
		r = buf_adds(out, ",\"lab\":true");
	if (r >= 0 && streq(p->kind, "answered"))
		r = body_answered(p, out);
	return r < 0 ? r : buf_addc(out, '}');
}

/* The end of the chain: the last row's seq and hash, or 0 and zeros. */
static int chain_end(struct spool *s, int64_t *ret_seq, char hash[static SHA256_HEX_SIZE])
{
	struct stmt *st;
	int r;

	r = db_query(spool_db(s), &st, "SELECT seq, hash FROM receipts ORDER BY seq DESC LIMIT 1", "");
	if (r < 0)
		return r;
	r = stmt_next(st);
	if (r < 0)
		return r;
	*ret_seq = r > 0 ? stmt_i64(st, 0) : 0;
	text_cut(hash, SHA256_HEX_SIZE, r > 0 ? stmt_text(st, 1) : CHAIN_NOTHING);
	stmt_done(st);
	return 0;
}

int receipt_add(struct spool *s, const struct receipt *p)
{
	char previous[SHA256_HEX_SIZE], hash[SHA256_HEX_SIZE];
	_cleanup_buf_ struct buf body = {};
	int64_t last;
	int r;

	r = chain_end(s, &last, previous);
	if (r >= 0)
		r = body_print(s, last + 1, p, &body);
	if (r >= 0)
		r = chain_hash(previous, buf_str(&body), body.len, hash);
	if (r < 0)
		return r;
	return db_exec(spool_db(s),
		"INSERT INTO receipts (seq, attempt, kind, body, hash) VALUES (?, ?, ?, ?, ?)", "iisss",
		last + 1, p->attempt, p->kind, buf_str(&body), hash);
}

/* ---- as lines ---------------------------------------------------------------------------------- */

static int add_line(struct stmt *st, cJSON *lines, size_t *bytes)
{
	_cleanup_buf_ struct buf line = {};
	cJSON *item;
	int r;

	r = stmt_i64(st, 1) ? chain_head_line(&line, stmt_text(st, 2), stmt_text(st, 3)) : chain_line(&line, stmt_text(st, 2), stmt_text(st, 3));
	item = r < 0 ? NULL : cJSON_CreateString(buf_str(&line));
	if (!item || !cJSON_AddItemToArray(lines, item))
		return -ENOMEM;
	*bytes += line.len;
	return 0;
}

/* A head comes after the receipt that it signs. */
int receipt_lines(struct spool *s, int64_t after, int64_t heads, size_t max_bytes, cJSON *lines, bool *ret_more)
{
	_cleanup_stmt_ struct stmt *st = NULL;
	size_t bytes = 0;
	int r;

	r = db_query(spool_db(s), &st,
		"SELECT seq, 0, body, hash FROM receipts WHERE seq > ? UNION ALL SELECT seq, 1, body, sig FROM heads WHERE id > ? ORDER BY 1, 2",
		"ii", after, heads);
	for (size_t n = 0; r >= 0 && (r = stmt_next(st)) > 0 && n < LINES_MAX && bytes < max_bytes; n++) {
		r = add_line(st, lines, &bytes);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	*ret_more = r > 0;
	return 0;
}

/* ---- verifying ------------------------------------------------------------------------------- */

/* Do the columns say what the body says? They are not under the hash. */
static bool columns_match(struct stmt *st, const char *body)
{
	_cleanup_json_ cJSON *j = NULL;
	int64_t seq, attempt;
	const char *kind;

	if (json_parse(body, strlen(body), &j, NULL) < 0)
		return false;
	kind = json_get_string(j, "kind");
	return json_get_i64(j, "seq", &seq) == 0 && seq == stmt_i64(st, 0) &&
	       json_get_i64(j, "attempt", &attempt) == 0 && attempt == stmt_i64(st, 1) && kind &&
	       streq(kind, stmt_text(st, 2));
}

/* 0 if the row continues the chain (hash is moved on), 1 if it does not, negative errno. */
static int row_verify(struct stmt *st, int64_t want_seq, char hash[static SHA256_HEX_SIZE])
{
	const char *body = stmt_text(st, 3);
	char want[SHA256_HEX_SIZE];
	int r;

	r = chain_hash(hash, body, strlen(body), want);
	if (r < 0)
		return r;
	if (stmt_i64(st, 0) != want_seq || !streq(stmt_text(st, 4), want) || !columns_match(st, body))
		return 1;
	memcpy(hash, want, SHA256_HEX_SIZE);
	return 0;
}

/* Rows cut off the end leave the table's counter, and attempts without a receipt, behind. */
static int end_verify(struct spool *s, int64_t n)
{
	int64_t counter = 0, bare = 0;
	int r;

	r = db_get_i64(spool_db(s), &counter, "SELECT seq FROM sqlite_sequence WHERE name = 'receipts'", "");
	if (r >= 0)
		r = db_get_i64(spool_db(s), &bare,
			"SELECT count(*) FROM attempts a WHERE NOT EXISTS"
			" (SELECT 1 FROM receipts r WHERE r.attempt = a.id)",
			"");
	return r < 0 ? r : counter > n || bare > 0;
}

int64_t receipt_verify(struct spool *s, int64_t *ret_bad)
{
	char hash[SHA256_HEX_SIZE] = CHAIN_NOTHING;
	_cleanup_stmt_ struct stmt *st = NULL;
	int64_t n = 0;
	int r;

	r = db_query(
		spool_db(s), &st, "SELECT seq, attempt, kind, body, hash FROM receipts ORDER BY seq", "");
	if (r < 0)
		return r;
	while ((r = stmt_next(st)) > 0) {
		r = row_verify(st, n + 1, hash);
		if (r != 0)
			break;
		n++;
	}
	if (r == 0)
		r = end_verify(s, n);
	if (r < 0)
		return r;
	if (r > 0) {
		*ret_bad = n + 1;
		return -EUCLEAN;
	}
	return n;
}
