/* What chains of receipts prove that were followed to their ends, and what they cannot. */
#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "ctl/audit.h"

/* ---- what is missing --------------------------------------------------------------------------------------- */

static const struct chain *chain_by_id(const struct audit_found *f, const char *id)
{
	for (size_t i = 0; i < f->n_chains; i++)
		if (f->chains[i].heads > 0 && streq(f->chains[i].id, id))
			return &f->chains[i];
	return NULL;
}

static int judge_kept(const struct audit_found *f)
{
	for (size_t i = 0; i < f->n_kept; i++) {
		const struct audit_kept *k = &f->kept[i];

		if (k->found)
			continue;
		ctl_say("head %lld of chain %.8s, which was kept elsewhere, is not in the chain: receipts were cut off or written anew, or the "
			"database is an older copy or another one",
			(long long)k->number, k->chain);
		return EXIT_PAGE_FAILED;
	}
	return EXIT_WELL;
}

/* Whoever can write the database could say that the key is lost: what is before and what is after are vouched for each by their own. */
static int judge_losses(const struct audit_found *f)
{
	for (size_t i = 0; f->key_given && i < f->n_losses; i++) {
		const struct chain_loss *l = &f->losses[i].said;
		char print[SHA256_HEX_SIZE];

		if (l->key_seen)
			continue;
		sha256_hex_of(l->lost, sizeof(l->lost), print);
		ctl_say("up to receipt %lld the heads are signed by a key that is not among those that were given, %s; it was lost, and replaced without "
			"its signature: give both",
			(long long)l->signed_seq, print);
		return EXIT_PAGE_FAILED;
	}
	return EXIT_WELL;
}

static int judge_keys(const struct audit_found *f)
{
	for (size_t i = 0; f->key_given && i < f->n_chains; i++) {
		const struct chain *c = &f->chains[i];

		if (c->heads == 0 || c->key_seen)
			continue;
		if (c->key_losses > 0)
			ctl_say("chain %.8s: from head %lld on it is signed by another key than those that were given, which replaced the one before "
				"without its signature: nobody but who said so vouches for that",
				c->id, (long long)c->loss.head);
		else
			ctl_say("chain %.8s: its heads are signed by another key than the one that was given", c->id);
		return EXIT_PAGE_FAILED;
	}
	return EXIT_WELL;
}

/* A chain that says which one was before it knows that one's last head. */
static int judge_links(const struct audit_found *f)
{
	for (size_t i = 0; i < f->n_chains; i++) {
		const struct chain *c = &f->chains[i], *old = c->after[0] ? chain_by_id(f, c->after) : NULL;

		if (!old || old->heads > c->after_head || streq(old->head_hash, c->after_hash))
			continue;
		if (old->heads < c->after_head)
			ctl_say("chain %.8s is cut off after head %lld: chain %.8s knows head %lld of it", old->id, (long long)old->heads, c->id,
				(long long)c->after_head);
		else
			ctl_say("head %lld of chain %.8s is not the one that chain %.8s goes on after", (long long)old->heads, old->id, c->id);
		return EXIT_PAGE_FAILED;
	}
	return EXIT_WELL;
}

int audit_judge(const struct audit_found *f)
{
	int r = judge_losses(f);

	if (r == EXIT_WELL)
		r = judge_keys(f);
	if (r == EXIT_WELL)
		r = judge_links(f);
	return r == EXIT_WELL ? judge_kept(f) : r;
}

/* ---- in JSON ------------------------------------------------------------------------------------------------ */

static int add_losses_json(const struct audit_found *f, const struct chain *c, cJSON *obj)
{
	cJSON *array = cJSON_AddArrayToObject(obj, "keysLost");
	int r = array ? 0 : -ENOMEM;

	for (size_t i = 0; r >= 0 && i < f->n_losses; i++) {
		const struct chain_loss *l = &f->losses[i].said;
		char lost[SHA256_HEX_SIZE], key[SHA256_HEX_SIZE], time[TIMESTAMP_SIZE];
		cJSON *j;

		if (&f->chains[f->losses[i].chain] != c)
			continue;
		sha256_hex_of(l->lost, sizeof(l->lost), lost);
		sha256_hex_of(l->key, sizeof(l->key), key);
		timestamp_format(l->t, false, time);
		j = cJSON_CreateObject();
		if (!cJSON_AddItemToArray(array, j) || json_add_i64(j, "head", l->head) < 0 || json_add_i64(j, "seq", l->seq) < 0 ||
			json_add_i64(j, "signed", l->signed_seq) < 0 || json_add_string(j, "time", time) < 0 || json_add_string(j, "trust", l->trust) < 0 ||
			json_add_string(j, "by", l->by) < 0 || json_add_string(j, "why", l->why) < 0 || json_add_string(j, "lost", lost) < 0 ||
			json_add_string(j, "key", key) < 0)
			r = -ENOMEM;
	}
	return r;
}

static int put_json(const struct audit_found *f, const struct chain *c)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	char print[SHA256_HEX_SIZE];

	sha256_hex_of(c->key, sizeof(c->key), print);
	if (!j || json_add_bool(j, "holds", true) < 0 || json_add_string(j, "chain", c->heads ? c->id : NULL) < 0 ||
		json_add_i64(j, "receipts", c->seq - c->from_seq) < 0 || json_add_i64(j, "first", c->from_seq + 1) < 0 ||
		json_add_i64(j, "last", c->seq) < 0 || json_add_string(j, "hash", c->hash) < 0 || json_add_i64(j, "signed", c->signed_seq) < 0 ||
		json_add_i64(j, "heads", c->heads) < 0 || json_add_string(j, "key", c->heads ? print : NULL) < 0 ||
		json_add_i64(j, "keyChanges", c->key_changes) < 0 || add_losses_json(f, c, j) < 0 || json_add_bool(j, "keyGiven", f->key_given) < 0 ||
		json_add_i64(j, "headsKept", (int64_t)f->n_kept) < 0 || json_add_string(j, "after", c->after[0] ? c->after : NULL) < 0 ||
		json_add_i64(j, "afterHead", c->after_head) < 0)
		return EXIT_PAGE_FAILED;
	return ctl_put_json(j);
}

/* ---- in words ----------------------------------------------------------------------------------------------- */

static int add_extent(const struct chain *c, struct buf *out)
{
	if (c->from_head == 0)
		return buf_addf(out, "the chain holds: %lld receipts, the last one's hash is\n%s\n", (long long)c->seq, c->hash);
	return buf_addf(out,
		"this part of the chain holds: receipts %lld to %lld, the last one's hash is\n%s\n"
		"It goes on from head %lld: what was before that is not here.\n",
		(long long)c->from_seq + 1, (long long)c->seq, c->hash, (long long)c->from_head);
}

/* Only who has the first head knows. */
static int add_before(const struct audit_found *f, const struct chain *c, struct buf *out)
{
	if (c->heads == 0 || c->from_head > 0)
		return 0;
	if (!c->after[0])
		return buf_addf(out, "Chain %.8s says of no chain before it: it is the device's first, or the one before was not known when its database was lost.\n",
			c->id);
	return buf_addf(out, "Chain %.8s goes on after head %lld of chain %.8s, whose database was lost%s.\n", c->id, (long long)c->after_head, c->after,
		chain_by_id(f, c->after) ? "" : "; that chain is not here");
}

static int add_loss(const struct chain_loss *l, struct buf *out)
{
	char lost[SHA256_HEX_SIZE], time[TIMESTAMP_SIZE], why[CHAIN_WHY_MAX], by[CHAIN_BY_MAX];
	int r;

	sha256_hex_of(l->lost, sizeof(l->lost), lost);
	timestamp_format(l->t, false, time);
	r = buf_addf(out,
		"At head %lld, after receipt %lld, the key was replaced without the old one's signature: %s (time %s), by %s, who said: %s\n",
		(long long)l->head, (long long)l->seq, time, l->trust, text_safe_copy(by, sizeof(by), l->by), text_safe_copy(why, sizeof(why), l->why));
	if (r >= 0 && l->signed_seq > 0)
		r = buf_addf(out, "Up to receipt %lld (head %lld) the old key proves it, from there on the new one alone. The old one is\n%s\n",
			(long long)l->signed_seq, (long long)l->signed_head, lost);
	else if (r >= 0)
		r = buf_addf(out, "What the old key proves is not here: it is before this part. The old one is\n%s\n", lost);
	return r < 0 ? r
		     : buf_adds(out, "For the change itself nobody vouches but that person: who was root on the device, or could write its database, could have made\n"
				     "it with a key of their own, and changed or cut off all that the old key had not signed, or heads of it that were not kept\n"
				     "elsewhere.\n");
}

/* Each time. */
static int add_losses(const struct audit_found *f, const struct chain *c, struct buf *out)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < f->n_losses; i++)
		if (&f->chains[f->losses[i].chain] == c)
			r = add_loss(&f->losses[i].said, out);
	return r;
}

static int add_proof(const struct chain *c, struct buf *out)
{
	char print[SHA256_HEX_SIZE], time[TIMESTAMP_SIZE];
	int r;

	if (c->heads == 0)
		return buf_adds(out, "Nothing is signed: whoever can write the database can change it all unseen. The hash proves it once it was noted elsewhere.\n");
	sha256_hex_of(c->key, sizeof(c->key), print);
	timestamp_format(c->signed_ms, false, time);
	r = buf_addf(out, "Signed up to receipt %lld: head %lld, %s, by the key\n%s\n", (long long)c->signed_seq, (long long)c->heads, time, print);
	if (r >= 0 && c->key_changes > 0)
		r = buf_addf(out, "The key was changed %lld times, each time signed by both.\n", (long long)c->key_changes);
	if (r >= 0 && c->signed_seq < c->seq)
		r = buf_addf(out, "The last %lld are not signed yet: these could be changed or cut off unseen.\n", (long long)(c->seq - c->signed_seq));
	return r;
}

/* Of all chains alike. */
static int add_limits(const struct audit_found *f, struct buf *out)
{
	int r = 0;

	if (!f->key_given)
		r = buf_addf(out, "That key is what the heads themselves say: give the one that you know with --key%s.\n",
			f->n_losses > 0 ? ", and those before it that were lost" : "");
	if (r >= 0 && f->n_kept == 0)
		r = buf_adds(out, "The key lies on the device: who is root there can sign another history, or put an older one back. Heads that were kept\n"
				  "elsewhere show that: --heads.\n");
	return r;
}

static int put_text(const struct audit_found *f)
{
	_cleanup_buf_ struct buf out = {};
	int64_t heads = 0;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < f->n_chains; i++) {
		r = i > 0 ? buf_addc(&out, '\n') : 0;
		if (r >= 0)
			r = add_extent(&f->chains[i], &out);
		if (r >= 0)
			r = add_proof(&f->chains[i], &out);
		if (r >= 0)
			r = add_losses(f, &f->chains[i], &out);
		if (r >= 0)
			r = add_before(f, &f->chains[i], &out);
		heads += f->chains[i].heads;
	}
	if (r >= 0 && heads > 0)
		r = add_limits(f, &out);
	return r < 0 ? EXIT_PAGE_FAILED : ctl_put(&out);
}

int audit_put_proof(const struct ctl *c, const struct audit_found *f)
{
	int r = EXIT_WELL;

	if (!c->options.json)
		return put_text(f);
	for (size_t i = 0; r == EXIT_WELL && i < f->n_chains; i++)
		r = put_json(f, &f->chains[i]);
	return r;
}
