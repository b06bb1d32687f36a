#include "daemon/heads.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/chain.h"
#include "base/fileio.h"
#include "base/log.h"
#include "base/step.h"
#include "daemon/messages.h"
#include "daemon/spool_internal.h"

#define SIGN_RECEIPTS 100
#define SIGN_AFTER_MS INT64_C(3600000)
#define SLICE         512 /* receipts that one call follows */
#define KEY_BYTES_MAX 8192

struct heads {
	struct spool *spool; /* borrowed */
	struct signing_key *key;
	bool known;          /* the last head was read */
	struct chain at;     /* followed so far */
	int64_t signed_ms;   /* boottime of the last head, or of the start */
	int said;            /* the trouble that was told of last; 0: none */
};

int heads_new(struct spool *s, struct heads **ret)
{
	struct heads *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->spool = s;
	h->signed_ms = clock_boottime_ms(s->clock);
	*ret = h;
	return 0;
}

void heads_free(struct heads *h)
{
	if (!h)
		return;
	signing_key_free(h->key);
	free(h);
}

/* ---- the key ------------------------------------------------------------------------------------------- */

static int key_parse(struct heads *h, const struct buf *pem, char *why, size_t why_size)
{
	struct signing_key *k;
	int r = signing_key_parse(buf_str(pem), pem->len, &k, why, why_size);

	if (r < 0)
		return r;
	if (signing_key_kind(k) != KEY_EC_P256) {
		signing_key_free(k);
		str_format(why, why_size, "is no EC key on P-256");
		return -EBADMSG;
	}
	h->key = k;
	return 0;
}

/* Under its name only when it is whole and on the disk; what is there is never replaced. */
static int key_write(struct spool *s, const struct buf *pem)
{
	int dirfd = BUG("head-key-in-place") ? s->dirfd : s->tmp;
	_cleanup_close_ int fd = -1;
	int r;

	if (dirfd == s->tmp && unlinkat(s->tmp, HEAD_KEY_FILE, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(dirfd, HEAD_KEY_FILE, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, buf_str(pem), pem->len / 2);
	STEP(HEAD_KEY_HALF);
	if (r >= 0)
		r = write_all(fd, buf_str(pem) + pem->len / 2, pem->len - pem->len / 2);
	if (r >= 0)
		r = fsync_retry(fd);
	if (r < 0 || dirfd == s->dirfd)
		return r;
	STEP(HEAD_KEY_WRITTEN);
	r = rename_durable(s->tmp, HEAD_KEY_FILE, s->dirfd, HEAD_KEY_FILE);
	if (r >= 0)
		STEP(HEAD_KEY_RENAMED);
	return r;
}

static int key_make(struct heads *h, struct buf *pem)
{
	struct signing_key *k;
	int r = signing_key_generate(&k);

	if (r < 0)
		return r;
	r = signing_key_print(k, pem);
	signing_key_free(k);
	return r < 0 ? r : key_write(h->spool, pem);
}

static int key_load(struct heads *h, char *why, size_t why_size)
{
	_cleanup_(buf_wipe) struct buf pem = {};
	int r = file_read(h->spool->dirfd, HEAD_KEY_FILE, KEY_BYTES_MAX, &pem);

	if (r == -ENOENT)
		r = key_make(h, &pem);
	if (r < 0) {
		str_format(why, why_size, "%s", errno_text(r));
		return r;
	}
	return key_parse(h, &pem, why, why_size);
}

/* ---- following ----------------------------------------------------------------------------------------- */

/* 0, or -EUCLEAN: it does not say of the chain what the chain is. */
static int take_head(struct heads *h, struct stmt *st)
{
	_cleanup_json_ cJSON *j = NULL;
	_cleanup_buf_ struct buf line = {};
	const char *body = stmt_text(st, 1), *hash;
	struct chain c = CHAIN_BEGIN;
	int r;

	r = json_parse(body, strlen(body), &j, NULL);
	if (r >= 0)
		r = chain_head_line(&line, body, stmt_text(st, 2));
	if (r >= 0)
		r = chain_head_read(buf_str(&line), line.len, &c.heads, c.head_hash);
	hash = json_get_string(j, "hash");
	if (r >= 0 && (c.heads != stmt_i64(st, 0) || json_get_i64(j, "seq", &c.seq) < 0 || !hash || !streq(hash, stmt_text(st, 3))))
		r = -EUCLEAN;
	if (r < 0)
		return r == -ENOMEM ? r : -EUCLEAN;
	str_copy(c.hash, sizeof(c.hash), hash);
	h->at = c;
	return 0;
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
	r = db_query(h->spool->db, &st,
		"SELECT h.id, h.body, h.sig, (SELECT hash FROM receipts r WHERE r.seq = h.seq) FROM heads h ORDER BY h.id DESC LIMIT 1", "");
	if (r >= 0)
		r = stmt_next(st);
	if (r > 0)
		r = take_head(h, st);
	if (r >= 0)
		r = read_id(h);
	if (r >= 0) {
		h->at.signed_seq = h->at.seq;
		h->known = true;
	}
	return r;
}

/* 1: there are more, 0: the end, -EUCLEAN: the chain does not hold from where h->at is. */
static int follow(struct heads *h)
{
	_cleanup_stmt_ struct stmt *st = NULL;
	char want[SHA256_HEX_SIZE];
	int r;

	r = db_query(h->spool->db, &st, "SELECT seq, body, hash FROM receipts WHERE seq > ? ORDER BY seq", "i", h->at.seq);
	for (int n = 0; r >= 0 && (r = stmt_next(st)) > 0; n++) {
		const char *body = stmt_text(st, 1);

		if (n == SLICE)
			return 1;
		r = chain_hash(h->at.hash, body, strlen(body), want);
		if (r < 0)
			return r;
		if (stmt_i64(st, 0) != h->at.seq + 1 || !streq(want, stmt_text(st, 2)))
			return -EUCLEAN;
		h->at.seq++;
		memcpy(h->at.hash, want, sizeof(want));
	}
	return r;
}

/* ---- signing ------------------------------------------------------------------------------------------- */

static int sign(struct heads *h)
{
	struct stamp now = spool_stamp(h->spool);
	_cleanup_buf_ struct buf body = {}, sig = {}, line = {};
	int64_t number;
	int r;

	r = chain_head_sign(&h->at, now.ms, time_trust_name(now.trust), h->key, &body, &sig);
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
	h->known = true;
	r = chain_head_read(buf_str(&line), line.len, &number, h->at.head_hash);
	h->at.heads++;
	h->at.signed_seq = h->at.seq;
	h->signed_ms = clock_boottime_ms(h->spool->clock);
	h->known = r >= 0;
	log_event(LOG_LEVEL_INFO, MESSAGE_RECEIPTS_SIGNED, NULL, 0, "receipts are signed: %s", buf_str(&line));
	return r;
}

static void say(struct heads *h, int error, const char *why)
{
	if (error == h->said)
		return;
	h->said = error;
	if (error == -EUCLEAN)
		log_event(LOG_LEVEL_ERROR, MESSAGE_RECEIPTS_UNSIGNED, NULL, 0,
			"receipts are no longer signed: their chain does not hold after receipt %lld", (long long)h->at.seq);
	else if (error < 0)
		log_event(LOG_LEVEL_ERROR, MESSAGE_RECEIPTS_UNSIGNED, NULL, 0, "receipts cannot be signed: %s%s%s", why[0] ? HEAD_KEY_FILE " " : "",
			why[0] ? why : errno_text(error), why[0] ? "" : "; tried again");
}

/* 1: it is time, 0: not yet, or there is nothing. */
static int is_due(struct heads *h, bool now)
{
	int64_t last = 0;
	int r = db_get_i64(h->spool->db, &last, "SELECT seq FROM receipts ORDER BY seq DESC LIMIT 1", "");

	if (r < 0 || last <= h->at.signed_seq)
		return r < 0 ? r : 0;
	return now || last - h->at.signed_seq >= SIGN_RECEIPTS || clock_boottime_ms(h->spool->clock) - h->signed_ms >= SIGN_AFTER_MS;
}

int heads_step(struct heads *h, bool now)
{
	char why[160] = "";
	int r = h->known ? 0 : read_last(h);

	if (r >= 0)
		r = is_due(h, now);
	if (r > 0 && !h->key)
		r = key_load(h, why, sizeof(why));
	else if (r == 0)
		return 0;
	if (r >= 0)
		r = follow(h);
	if (r == 0)
		r = sign(h);
	say(h, MIN(r, 0), why);
	return r;
}
