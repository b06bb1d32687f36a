#include "daemon/heads.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/fileio.h"
#include "base/log.h"
#include "base/step.h"
#include "daemon/heads_key.h"
#include "daemon/messages.h"
#include "daemon/receipt.h"
#include "daemon/spool_internal.h"

#define SLICE 512 /* receipts that one call follows */

struct heads {
	struct spool *spool; /* borrowed */
	const struct receipts_config *config; /* borrowed */
	struct head_keys keys;
	bool change;         /* of keys, wanted */
	char why[CHAIN_WHY_MAX], by[CHAIN_BY_MAX]; /* that the key is replaced (keys.replaces) */
	bool known;          /* the last head was read */
	struct chain at;     /* followed so far */
	int64_t day;         /* of the last receipt whose time is trusted; -1: none yet */
	int64_t signed_ms;   /* boottime of the last head, or of the start */
	int said;            /* the trouble that was told of last; 0: none */
	char trouble[200];   /* its sentence */
};

int heads_new(struct spool *s, const struct receipts_config *c, struct heads **ret)
{
	struct heads *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->spool = s;
	h->config = c;
	h->keys = (struct head_keys){.spool = s, .config = c};
	h->signed_ms = clock_boottime_ms(s->clock);
	*ret = h;
	return 0;
}

void heads_free(struct heads *h)
{
	if (!h)
		return;
	head_keys_forget(&h->keys);
	free(h);
}

int heads_change_key(struct heads *h, char *why, size_t why_size)
{
	int r = head_keys_make_next(&h->keys, why, why_size);

	if (r < 0)
		return r;
	/* Both are read, by the next call that signs. */
	head_keys_forget(&h->keys);
	h->change = true;
	return 0;
}

/* ---- where the chain is -------------------------------------------------------------------------------- */

/* 0, or -EUCLEAN: it does not say of the chain what the chain is. */
static int take_head(struct heads *h, struct stmt *st)
{
	_cleanup_buf_ struct buf line = {};
	_cleanup_json_ cJSON *j = NULL;
	const char *body = stmt_text(st, 1);
	struct chain c;
	int r;

	r = chain_head_line(&line, body, stmt_text(st, 2));
	if (r >= 0)
		r = chain_head_read(buf_str(&line), line.len, &c);
	if (r >= 0 && (c.heads != stmt_i64(st, 0) || !streq(c.hash, stmt_text(st, 3))))
		r = -EUCLEAN;
	if (r >= 0)
		r = json_parse(body, strlen(body), &j, NULL);
	if (r < 0)
		return r == -ENOMEM ? r : -EUCLEAN;
	h->at = c;
	h->day = receipt_day(j);
	return 0;
}

/* The last head that was signed, by the file beside the database. 1, or 0: there is none that holds. */
static int read_noted(struct heads *h, struct chain *ret)
{
	struct chain c = CHAIN_BEGIN;
	_cleanup_buf_ struct buf line = {};
	cJSON *body = NULL;
	const char *why;

	c.in_parts = true;
	if (file_read(h->spool->dirfd, HEAD_LAST_FILE, CHAIN_LINE_MAX, &line) < 0 || line.len == 0 ||
		chain_follow(&c, buf_str(&line), line.len - 1, &body, &why) < 0)
		return 0;
	cJSON_Delete(body);
	*ret = c;
	return c.heads > 0;
}

/* A copy of the database that was put back: what came after it was signed, and is lost. */
static void look_back(struct heads *h)
{
	struct chain noted;

	if (read_noted(h, &noted) && streq(noted.id, h->at.id) && noted.heads > h->at.heads)
		log_event(LOG_LEVEL_ERROR, MESSAGE_RECEIPTS_OLDER, NULL, 0,
			"the database is older than head %lld, which was signed up to receipt %lld: what came after receipt %lld is lost",
			(long long)noted.heads, (long long)noted.seq, (long long)h->at.seq);
}

static int read_id(struct heads *h)
{
	struct stmt *st;
	int r = db_query(h->spool->db, &st, "SELECT value FROM meta WHERE key = 'spool_id'", "");

	if (r >= 0)
		r = stmt_next(st);
	if (r <= 0)
		return r < 0 ? r : -EUCLEAN;
	text_cut(h->at.id, sizeof(h->at.id), stmt_text(st, 0));
	stmt_done(st);
	return 0;
}

static int read_last(struct heads *h)
{
	_cleanup_stmt_ struct stmt *st = NULL;
	int r;

	h->at = CHAIN_BEGIN;
	h->day = -1;
	r = db_query(h->spool->db, &st,
		"SELECT h.id, h.body, h.sig, (SELECT hash FROM receipts r WHERE r.seq = h.seq) FROM heads h ORDER BY h.id DESC LIMIT 1", "");
	if (r >= 0)
		r = stmt_next(st);
	if (r > 0)
		r = take_head(h, st);
	if (r >= 0)
		r = read_id(h);
	if (r >= 0) {
		look_back(h);
		h->known = true;
	}
	return r;
}

int heads_replace_key(struct heads *h, const struct head_loss *loss, char *why, size_t why_size)
{
	int r = h->known ? 0 : read_last(h);

	if (r < 0)
		str_format(why, why_size, "%s", r == -EUCLEAN ? "the chain does not hold (pageferryctl audit verify)" : errno_text(r));
	else
		r = head_keys_replace(&h->keys, &h->at, why, why_size);
	if (r < 0)
		return r;
	str_copy(h->why, sizeof(h->why), loss->why);
	str_copy(h->by, sizeof(h->by), loss->by);
	return 0;
}

/* ---- following ----------------------------------------------------------------------------------------- */

/* The next receipt. 1: a day ends before it, which is signed first; 0, or -EUCLEAN. */
static int follow_one(struct heads *h, struct stmt *st)
{
	const char *text = stmt_text(st, 1);
	_cleanup_json_ cJSON *body = NULL;
	char want[SHA256_HEX_SIZE];
	int64_t day;
	int r;

	r = chain_hash(h->at.hash, text, strlen(text), want);
	if (r >= 0)
		r = json_parse(text, strlen(text), &body, NULL);
	if (r == -ENOMEM)
		return r;
	if (r < 0 || stmt_i64(st, 0) != h->at.seq + 1 || !streq(want, stmt_text(st, 2)))
		return -EUCLEAN;
	day = receipt_day(body);
	if (day > h->day && h->day >= 0 && h->at.seq > h->at.signed_seq)
		return 1;
	h->day = MAX(h->day, day);
	h->at.seq++;
	memcpy(h->at.hash, want, sizeof(want));
	return 0;
}

/* 1: there are more, 0: here is to be signed, -EUCLEAN: the chain does not hold from where h->at is. */
static int follow(struct heads *h, bool *ret_day_ends)
{
	_cleanup_stmt_ struct stmt *st = NULL;
	int r;

	*ret_day_ends = false;
	r = db_query(h->spool->db, &st, "SELECT seq, body, hash FROM receipts WHERE seq > ? ORDER BY seq", "i", h->at.seq);
	for (int n = 0; r >= 0 && (r = stmt_next(st)) > 0; n++) {
		if (n == SLICE)
			return 1;
		r = follow_one(h, st);
		*ret_day_ends = r > 0;
		if (r != 0)
			return MIN(r, 0);
	}
	return r;
}

/* ---- signing ------------------------------------------------------------------------------------------- */

/* For a database that may take the place of this one. It is no loss without. */
static void note(struct heads *h, struct buf *line)
{
	int r = buf_addc(line, '\n');

	if (r >= 0)
		r = spool_file_write(h->spool, h->spool->dirfd, HEAD_LAST_FILE, buf_str(line), line->len);
	if (r < 0)
		log_debug("%s was not written: %s", HEAD_LAST_FILE, errno_text(r));
}

static void replaced(struct heads *h)
{
	h->keys.replaces = false;
	head_keys_forget(&h->keys); /* another one may be there that takes its place */
	log_event(LOG_LEVEL_WARNING, MESSAGE_RECEIPTS_KEY_LOST, NULL, 0,
		"the key of the receipts was replaced without its signature, at head %lld: by %s, who said: %s", (long long)h->at.heads, h->by, h->why);
}

static int sign(struct heads *h)
{
	struct stamp now = spool_stamp(h->spool);
	bool lost = h->keys.replaces;
	struct chain_signing s = {.key = h->keys.key, .next = h->keys.next, .t = now.ms, .trust = time_trust_name(now.trust),
		.why = lost ? h->why : NULL, .by = h->by};
	_cleanup_buf_ struct buf body = {}, sig = {}, line = {};
	struct chain before;
	int r;

	if (h->at.heads == 0 && read_noted(h, &before) && !streq(before.id, h->at.id))
		s.after = &before;
	r = chain_head_sign(&h->at, &s, &body, &sig);
	if (r >= 0)
		r = chain_head_line(&line, buf_str(&body), buf_str(&sig));
	if (r < 0)
		return r;
	STEP(HEAD_SIGNED);
	/* Committed or not, the next call reads which. */
	h->known = false;
	r = db_exec(h->spool->db, "INSERT INTO heads (id, seq, body, sig) VALUES (?, ?, ?, ?)", "iiss", h->at.heads + 1, h->at.seq,
		buf_str(&body), buf_str(&sig));
	if (r < 0)
		return r;
	STEP(HEAD_COMMITTED);
	r = chain_head_read(buf_str(&line), line.len, &h->at);
	if (r >= 0 && s.next)
		r = head_keys_changed(&h->keys);
	h->change &= r < 0 || lost;
	if (r >= 0 && lost)
		replaced(h);
	h->known = r >= 0;
	h->signed_ms = clock_boottime_ms(h->spool->clock);
	log_event(LOG_LEVEL_INFO, MESSAGE_RECEIPTS_SIGNED, NULL, 0, "receipts are signed: %s", buf_str(&line));
	note(h, &line);
	return r;
}

static void say(struct heads *h, int error, const char *why)
{
	if (error == h->said)
		return;
	h->said = error;
	h->trouble[0] = '\0';
	if (error == -EUCLEAN)
		str_format(h->trouble, sizeof(h->trouble), "their chain does not hold after receipt %lld", (long long)h->at.seq);
	else if (error < 0)
		str_format(h->trouble, sizeof(h->trouble), "%s%s", why[0] ? why : errno_text(error), why[0] ? "" : "; tried again");
	if (error < 0)
		log_event(LOG_LEVEL_ERROR, MESSAGE_RECEIPTS_UNSIGNED, NULL, 0, "receipts %s signed: %s",
			error == -EUCLEAN ? "are no longer" : "cannot be", h->trouble);
}

const char *heads_trouble(const struct heads *h, int64_t *ret_signed)
{
	*ret_signed = h->known ? h->at.signed_seq : -1;
	return h->trouble;
}

/* 1: it is time, 0: not yet, or there is nothing. */
static int is_due(struct heads *h, bool now)
{
	const struct receipts_config *c = h->config;
	int64_t last = 0;
	int r = db_get_i64(h->spool->db, &last, "SELECT seq FROM receipts ORDER BY seq DESC LIMIT 1", "");

	if (r < 0 || ((h->change || h->keys.replaces) && last > 0))
		return r < 0 ? r : 1;
	if (last <= h->at.signed_seq)
		return 0;
	return now || last - h->at.signed_seq >= c->sign_every || clock_boottime_ms(h->spool->clock) - h->signed_ms >= c->sign_after_ms;
}

int heads_step(struct heads *h, bool now)
{
	bool day_ends = false;
	char why[200] = "";
	int r = h->known ? 0 : read_last(h), due;

	due = r >= 0 ? is_due(h, now) : r;
	r = MIN(due, 0);
	/* That the key of a chain is not there is told of before it is needed. */
	if (due >= 0 && !h->keys.key && (due > 0 || h->at.heads > 0))
		r = head_keys_load(&h->keys, &h->at, why, sizeof(why));
	else if (due == 0)
		return 0;
	if (r >= 0 && due > 0)
		r = follow(h, &day_ends);
	if (r == 0 && due > 0)
		r = sign(h);
	say(h, MIN(r, 0), why);
	return r == 0 ? day_ends : r;
}
