#include "daemon/scanner.h"

#include "base/log.h"
#include "base/text.h"
#include "daemon/helper.h"
#include "daemon/intake_internal.h"
#include "daemon/messages.h"
#include "daemon/methods.h"

#define LOOK_MS      15000 /* longest time for a look */
#define AGAIN_MS     30000 /* to the next one while it does not do well, doubled each time */
#define AGAIN_MAX_MS 600000

struct scanner {
	struct service *service;
	const char *state; /* a word of the table below */
	char message[240];
	int64_t since_ms; /* boottime */
	int64_t failures; /* scans that gave nothing for the source's sake, since the start */
	struct helper *look;
	char reason[48], why[240]; /* how the look ended */
	sd_event_source *timer;
	int64_t again_ms;
	bool stopped;
};

/* The helper's words, or the daemon's for its end, and what they say about the source. Damage is a source's fault only if it
 * is a camera: a file that is replayed may be damaged. */
static const struct {
	const char *reason, *state;
	bool camera_only;
} words[] = {
	{"no-device", "no-device", false},
	{"busy", "busy", false},
	{"no-signal", "no-signal", false},
	{"dark", "dark", false},
	{"timeout", "stuck", false},
	{"io", "failing", false},
	{"unsupported", "failing", true},
	{"damaged", "failing", true},
	{"truncated", "failing", true},
	{"too-large", "failing", true},
};

static const char *state_of(const struct scanner *c, const char *reason)
{
	bool camera = starts_with(c->service->config.source, "v4l2:");

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (streq(words[i].reason, reason) && (camera || !words[i].camera_only))
			return words[i].state;
	return NULL;
}

static int on_timer(sd_event_source *source, uint64_t us, void *ud);

static void set_state(struct scanner *c, const char *state, const char *message)
{
	bool changed = !streq(c->state, state), well = streq(state, "ok");
	const char *before = c->state;

	text_safe_copy(c->message, sizeof(c->message), message);
	if (changed) {
		c->state = state;
		c->since_ms = clock_boottime_ms(c->service->clock);
		c->again_ms = AGAIN_MS;
	}
	if (changed && !well)
		log_event(LOG_LEVEL_NOTICE, MESSAGE_SCANNER_TROUBLE, NULL, 0, "scanner: %s: %s", state, c->message);
	else if (changed && !streq(before, "unknown"))
		log_event(LOG_LEVEL_NOTICE, MESSAGE_SCANNER_WELL, NULL, 0, "scanner: ok again, it was %s", before);
	if (loop_timer(c->service->event, &c->timer, well || c->stopped ? -1 : c->again_ms, on_timer, c) < 0)
		log_error("scanner: no timer for the next look");
}

void scanner_note(struct scanner *c, const char *reason, const char *message)
{
	const char *state;

	if (!c)
		return;
	state = reason ? state_of(c, reason) : "ok";
	if (!state)
		return;
	c->failures += reason != NULL;
	set_state(c, state, message ? message : "");
}

void scanner_watch_failed(struct scanner *c, const char *reason, const char *message)
{
	const char *state = state_of(c, reason);

	if (state)
		set_state(c, state, message ? message : "");
}

/* ---- looking ----------------------------------------------------------------------------------------------------------------- */

static int on_frame(void *ud, enum frame_part part, const struct frame_piece *piece)
{
	struct scanner *c = ud;
	const char *reason = json_get_string(piece->head, "reason"), *message = json_get_string(piece->head, "message");
	char name[128], why[160];

	if (part != FRAME_DONE)
		return part == FRAME_DATA ? -EBADMSG : 0;
	if (streq(piece->type, "control")) {
		text_safe_copy(name, sizeof(name),
			json_get_string(piece->head, "name") ? json_get_string(piece->head, "name") : "");
		text_safe_copy(why, sizeof(why), message ? message : "");
		log_warning("[Capture] Controls=: %s: %s", name, why);
	} else if (streq(piece->type, "end")) {
		str_copy(c->reason, sizeof(c->reason), reason ? reason : "");
		text_safe_copy(c->why, sizeof(c->why), message ? message : "");
	}
	return 0;
}

static void on_done(void *ud, int error, const char *why)
{
	struct scanner *c = ud;
	const char *state = error == 0 ? "ok" : error == -ETIMEDOUT ? "stuck" : "failing", *said;

	c->look = NULL;
	if (error == -EREMOTEIO && (said = state_of(c, c->reason)))
		state = said;
	set_state(c, state, error == -EREMOTEIO && c->why[0] ? c->why : error < 0 ? why : "");
	if (c->service->intake)
		intake_wake(c->service->intake);
}

static int look_request(const struct scanner *c, cJSON *head)
{
	const struct config *config = &c->service->config;
	int r = json_add_string(head, "type", "request");

	r = r < 0 ? r : json_add_string(head, "verb", "probe");
	r = r < 0 ? r : json_add_string(head, "source", config->source);
	return r < 0 || !config->controls[0] ? r : json_add_string(head, "controls", config->controls);
}

static void look(struct scanner *c)
{
	_cleanup_json_ cJSON *head = cJSON_CreateObject();
	struct helper_options o;
	char program[HELPER_PROGRAM_SIZE];
	int r = head ? look_request(c, head) : -ENOMEM;

	c->reason[0] = c->why[0] = '\0';
	if (r >= 0)
		r = helper_capture(c->service, program, &o);
	if (r >= 0) {
		o.timeout_ms = LOOK_MS;
		r = helper_start(c->service->event, &o, head, -1, on_frame, on_done, c, &c->look);
	}
	if (r < 0)
		set_state(c, "failing", errno_text(r));
}

/* Not beside a scan, which says more. */
static int on_timer(sd_event_source *source, uint64_t us, void *ud)
{
	struct scanner *c = ud;

	c->again_ms = MIN(c->again_ms * 2, (int64_t)AGAIN_MAX_MS);
	if (!c->look && !intake_on_source(c->service->intake))
		look(c);
	return loop_timer(c->service->event, &c->timer, c->again_ms, on_timer, c);
}

void scanner_start(struct scanner *c)
{
	look(c);
}

bool scanner_looks(const struct scanner *c)
{
	return c && c->look;
}

void scanner_stop(struct scanner *c)
{
	c->stopped = true;
	loop_timer(c->service->event, &c->timer, -1, on_timer, c);
	helper_cancel(take_ptr(c->look));
}

int scanner_new(struct service *s, struct scanner **ret)
{
	struct scanner *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->service = s;
	c->state = "unknown";
	c->since_ms = clock_boottime_ms(s->clock);
	*ret = c;
	return 0;
}

void scanner_free(struct scanner *c)
{
	if (!c)
		return;
	helper_cancel(c->look);
	sd_event_source_disable_unref(c->timer);
	free(c);
}

int scanner_json(const struct scanner *c, cJSON *obj)
{
	cJSON *j;

	if (!c)
		return 0;
	j = cJSON_CreateObject();
	if (!j || json_add_safe(j, "source", c->service->config.source) < 0 ||
		json_add_string(j, "state", c->state) < 0 ||
		json_add_i64(j, "forMs", clock_boottime_ms(c->service->clock) - c->since_ms) < 0 ||
		json_add_i64(j, "failures", c->failures) < 0 ||
		(c->message[0] && json_add_safe(j, "message", c->message) < 0)) {
		cJSON_Delete(j);
		return -ENOMEM;
	}
	return json_add_take(obj, "scanner", j);
}
