#include "daemon/upkeep.h"

#include <inttypes.h>

#include "base/log.h"
#include "daemon/courier.h"
#include "daemon/daily.h"
#include "daemon/document.h"
#include "daemon/intake.h"
#include "daemon/keep.h"
#include "daemon/messages.h"

#define MINUTE_MS        60000
#define LOOK_AGAIN_MS    10000              /* for room, while there is none */
#define AGE_PAUSE_MS     1000               /* between commits that let things age out */
#define AGE_BATCH        32
#define SIGN_AT_END_MS   1000
#define RECOUNT_EVERY_MS INT64_C(3600000)
#define SAY_EVERY_MS     INT64_C(86400000)

struct upkeep {
	struct service *service;
	sd_event_source *minute, *look, *turn, *pause;
	struct heads *heads;
	struct daily *daily;
	struct document_ages documents;
	bool recovered;
	int64_t recount_ms;       /* boottime of the next count */
	int64_t said_ms;          /* boottime of the last line about ageing; 0: none yet */
	struct keep_counts said;  /* what it had told of */
	bool failed;              /* the last try to age or count failed, and that was said */
	int room;                 /* of the last look */
	bool looking, told_full;
};

/* ---- ageing and counting ------------------------------------------------------------------------------- */

/* The first removals of a while at once, then a line a day at most; and at the end what was not told yet. */
static void say_aged(struct upkeep *u, bool last)
{
	const struct keep_counts *n = keep_counts(u->service->spool);
	int64_t now = clock_boottime_ms(u->service->clock);

	if ((n->files == u->said.files && n->pages == u->said.pages) || (!last && u->said_ms > 0 && now - u->said_ms < SAY_EVERY_MS))
		return;
	log_event(LOG_LEVEL_NOTICE, MESSAGE_AGED_OUT, NULL, 0,
		"aged out: the files of %" PRIi64 " pages (KeepPages=), %" PRIi64 " pages with their results (KeepResults=)",
		n->files - u->said.files, n->pages - u->said.pages);
	u->said = *n;
	u->said_ms = now;
}

/* 1: more at once, 0: nothing more for now, negative errno. */
static int count_slice(struct upkeep *u)
{
	int64_t now = clock_boottime_ms(u->service->clock);
	int r;

	if (now < u->recount_ms)
		return 0;
	r = spool_recount(u->service->spool);
	if (r == 0)
		u->recount_ms = now + RECOUNT_EVERY_MS;
	return r;
}

static int on_turn(sd_event_source *source, void *ud);

static int on_pause(sd_event_source *source, uint64_t us, void *ud)
{
	struct upkeep *u = ud;

	return loop_defer(u->service->event, &u->turn, SD_EVENT_PRIORITY_IDLE, on_turn, u);
}

static int on_turn(sd_event_source *source, void *ud)
{
	struct upkeep *u = ud;
	struct service *s = u->service;
	const struct keep_options o = {.pages_ms = s->config.keep_pages_ms, .results_ms = s->config.keep_results_ms};
	int aged, r;

	if (s->stopping)
		return 0;
	aged = keep_run(s->spool, &o, AGE_BATCH);
	if (aged > 0) {
		service_lights(s);
		return loop_timer(s->event, &u->pause, AGE_PAUSE_MS, on_pause, u);
	}
	say_aged(u, false);
	/* what went wrong with these they have said themselves */
	r = heads_step(u->heads, daily_is_due(u->daily));
	if (r <= 0)
		r = daily_step(u->daily);
	if (r <= 0)
		r = count_slice(u);
	if (r > 0)
		return loop_defer(s->event, &u->turn, SD_EVENT_PRIORITY_IDLE, on_turn, u);
	r = aged < 0 ? aged : r;
	if (r < 0 && !u->failed)
		log_warning("what is old enough cannot be removed, or the spool not be counted: %s; tried again", errno_text(r));
	u->failed = r < 0;
	return 0;
}

static bool is_added_to(void *ud, const struct document *d)
{
	const struct service *s = ud;

	return s->intake && intake_has_document(s->intake, d->name, d->owner);
}

static void end_documents(struct upkeep *u)
{
	struct service *s = u->service;
	int r = document_end_idle(s->spool, &u->documents, s->config.document_timeout_ms, is_added_to, s);

	if (r > 0 && s->courier)
		courier_kick(s->courier);
}

static int on_minute(sd_event_source *source, uint64_t us, void *ud)
{
	struct upkeep *u = ud;
	struct service *s = u->service;
	int r = s->stopping ? 0 : keep_tick(s->spool);

	/* A clock that stands still keeps pages longer; whoever needs to know hears it of the storage. */
	if (r < 0)
		log_debug("the keep clock was not moved: %s", errno_text(r));
	service_lights(s);
	if (u->recovered && !s->stopping)
		end_documents(u);
	if (u->recovered)
		on_pause(NULL, 0, u);
	return loop_timer(s->event, &u->minute, MINUTE_MS, on_minute, u);
}

/* ---- room ---------------------------------------------------------------------------------------------- */

/* Said when it lasts: while a page is being written, the room that it may need is taken for a moment. */
static void say_room(struct upkeep *u, const char *why)
{
	bool full = u->room == -ENOSPC || u->room == -EDQUOT;

	if (full && !u->told_full)
		log_event(LOG_LEVEL_WARNING, MESSAGE_NO_ROOM, NULL, 0, "pages are refused: %s", why);
	else if (u->room >= 0 && u->told_full)
		log_event(LOG_LEVEL_NOTICE, MESSAGE_ROOM, NULL, 0, "pages are taken again: there is room");
	/* A disk that has become read-only is neither. */
	if (full || u->room >= 0)
		u->told_full = full;
}

static int on_look(sd_event_source *source, uint64_t us, void *ud)
{
	struct upkeep *u = ud;
	struct service *s = u->service;
	char why[200] = "";

	if (s->stopping)
		return 0;
	u->room = spool_room(s->spool, why, sizeof(why));
	u->looking = false;
	/* After a failure the disk is asked, not only looked at. */
	if (s->write_error < 0) {
		int r = spool_probe(s->spool);

		service_storage(s, r == -ENOSPC || r == -EDQUOT ? 0 : r);
	}
	service_lights(s);
	say_room(u, why);
	return 0;
}

void upkeep_room(struct upkeep *u, int room, const char *why)
{
	u->room = room;
	if (room >= 0 && u->told_full)
		say_room(u, why);
	if ((room < 0 || u->service->write_error < 0) && !u->looking)
		u->looking = loop_timer(u->service->event, &u->look, LOOK_AGAIN_MS, on_look, u) >= 0;
}

/* ---- the receipts -------------------------------------------------------------------------------------- */

int upkeep_change_key(struct upkeep *u, char *why, size_t why_size)
{
	int r = heads_change_key(u->heads, why, why_size);

	if (r >= 0 && u->recovered)
		on_pause(NULL, 0, u);
	return r;
}

int upkeep_replace_key(struct upkeep *u, const struct head_loss *loss, char *why, size_t why_size)
{
	int r = heads_replace_key(u->heads, loss, why, why_size);

	if (r >= 0 && u->recovered)
		on_pause(NULL, 0, u);
	return r;
}

struct upkeep_receipts upkeep_receipts(const struct upkeep *u)
{
	struct upkeep_receipts x = {.daily = daily_trouble(u->daily)};

	x.trouble = heads_trouble(u->heads, &x.signed_seq);
	return x;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

void upkeep_recovered(struct upkeep *u)
{
	u->recovered = true;
	u->recount_ms = clock_boottime_ms(u->service->clock) + RECOUNT_EVERY_MS; /* recovery has just counted */
	on_pause(NULL, 0, u);
}

int upkeep_new(struct service *s, struct upkeep **ret)
{
	struct upkeep *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return -ENOMEM;
	u->service = s;
	r = heads_new(s->spool, &s->config.receipts, &u->heads);
	if (r >= 0)
		r = daily_new(s->spool, &s->config.receipts, &u->daily);
	if (r >= 0)
		r = loop_timer(s->event, &u->minute, 0, on_minute, u);
	if (r < 0) {
		upkeep_free(u);
		return r;
	}
	*ret = u;
	return 0;
}

void upkeep_stopped(struct upkeep *u)
{
	int64_t started_ms = clock_boottime_ms(u->service->clock);

	/* Most often one slice; a chain that was never signed is not waited for. */
	while (!spool_readonly(u->service->spool) && clock_boottime_ms(u->service->clock) - started_ms < SIGN_AT_END_MS && heads_step(u->heads, true) > 0)
		;
}

void upkeep_free(struct upkeep *u)
{
	if (!u)
		return;
	say_aged(u, true);
	heads_free(u->heads);
	daily_free(u->daily);
	sd_event_source_disable_unref(u->minute);
	sd_event_source_disable_unref(u->look);
	sd_event_source_disable_unref(u->turn);
	sd_event_source_disable_unref(u->pause);
	free(u);
}
