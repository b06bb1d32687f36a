#include "daemon/receipt.h"

#include <stdio.h>

#include "base/chain.h"
#include "daemon/spool_internal.h"

#define LINES_MAX 512 /* of one call */
#define DAY_MS    86400000

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
	};
	const struct member request[] = {
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
	if (r >= 0 && p->pages)
		r = buf_addf(out, ",\"pages\":%s", p->pages);
	if (r >= 0)
		r = add_members(out, request, ARRAY_SIZE(request));
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

/* A head comes after the receipt that it signs. */
int receipt_each(struct spool *s, int64_t after, int64_t heads, receipt_fn fn, void *ud)
{
	_cleanup_buf_ struct buf line = {};
	_cleanup_stmt_ struct stmt *st = NULL;
	int r;

	r = db_query(spool_db(s), &st,
		"SELECT seq, 0, body, hash, attempt, kind FROM receipts WHERE seq > ?"
		" UNION ALL SELECT seq, id, body, sig, 0, '' FROM heads WHERE id > ? ORDER BY 1, 2",
		"ii", after, heads);
	while (r >= 0 && (r = stmt_next(st)) > 0) {
		struct receipt_line l = {.head = stmt_i64(st, 1), .seq = stmt_i64(st, 0), .attempt = stmt_i64(st, 4), .kind = stmt_text(st, 5)};

		buf_clear(&line);
		r = (l.head ? chain_head_line : chain_line)(&line, stmt_text(st, 2), stmt_text(st, 3));
		if (r < 0)
			return r;
		l.text = buf_str(&line);
		l.len = line.len;
		r = fn(ud, &l);
		if (r != 0)
			return r;
	}
	return r;
}

struct lines {
	cJSON *array;
	size_t n, bytes, max_bytes;
};

static int add_line(void *ud, const struct receipt_line *line)
{
	struct lines *l = ud;
	cJSON *item;

	if (l->n == LINES_MAX || l->bytes >= l->max_bytes)
		return 1;
	item = cJSON_CreateString(line->text);
	if (!item || !cJSON_AddItemToArray(l->array, item))
		return -ENOMEM;
	l->n++;
	l->bytes += line->len;
	return 0;
}

int receipt_lines(struct spool *s, int64_t after, int64_t heads, size_t max_bytes, cJSON *lines, bool *ret_more)
{
	struct lines l = {.array = lines, .max_bytes = max_bytes};
	int r = receipt_each(s, after, heads, add_line, &l);

	if (r >= 0)
		*ret_more = r > 0;
	return MIN(r, 0);
}

int64_t receipt_day(const cJSON *body)
{
	const char *trust = json_get_string(body, "trust");
	int64_t t;

	return trust && streq(trust, time_trust_name(TIME_TRUSTED)) && json_get_i64(body, "t", &t) == 0 && t >= 0 ? t / DAY_MS : -1;
}

/* ---- verifying ------------------------------------------------------------------------------- */

/* Do the columns say what the body says? They are not under the hash. */
static bool columns_match(const struct receipt_line *line, const cJSON *body)
{
	const char *kind = json_get_string(body, "kind");
	int64_t attempt;

	return json_get_i64(body, "attempt", &attempt) == 0 && attempt == line->attempt && kind && streq(kind, line->kind);
}

static int verify_line(void *ud, const struct receipt_line *line)
{
	struct chain *c = ud, next = *c;
	_cleanup_json_ cJSON *body = NULL;
	const char *why;
	int r = chain_follow(&next, line->text, line->len, &body, &why);

	if (r == -ENOMEM)
		return r;
	if (r < 0 || (line->head ? line->head != next.heads || line->seq != next.seq : line->seq != next.seq || !columns_match(line, body)))
		return 1;
	*c = next;
	return 0;
}

/* Rows cut off the end leave the table's counter, and attempts without a receipt, behind. */
static int end_verify(struct spool *s, const struct chain *c)
{
	int64_t counter = 0, bare = 0, foreign = 0;
	int r;

	r = db_get_i64(spool_db(s), &counter, "SELECT seq FROM sqlite_sequence WHERE name = 'receipts'", "");
	if (r >= 0)
		r = db_get_i64(spool_db(s), &bare,
			"SELECT count(*) FROM attempts a WHERE NOT EXISTS"
			" (SELECT 1 FROM receipts r WHERE r.attempt = a.id)",
			"");
	if (r >= 0 && c->heads > 0)
		r = db_get_i64(spool_db(s), &foreign, "SELECT count(*) FROM meta WHERE key = 'spool_id' AND value <> ?", "s", c->id);
	return r < 0 ? r : counter > c->seq || bare > 0 || foreign > 0;
}

int64_t receipt_verify(struct spool *s, int64_t *ret_bad)
{
	struct chain c = CHAIN_BEGIN;
	int r;

	r = receipt_each(s, 0, 0, verify_line, &c);
	if (r == 0)
		r = end_verify(s, &c);
	if (r < 0)
		return r;
	if (r > 0) {
		*ret_bad = c.seq + 1;
		return -EUCLEAN;
	}
	return c.seq;
}
