/* For the tests of the methods of io.pageferry, over a real socket and with a real spool; intake and courier are stood in for
 * here: one program includes it once. */
#pragma once

#include <stdarg.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/log.h"
#include "base/text.h"
#include "base/chain.h"
#include "daemon/ledger.h"
#include "daemon/courier.h"
#include "daemon/doctor.h"
#include "daemon/intake.h"
#include "daemon/scanner.h"
#include "daemon/upkeep.h"
#include "daemon/methods.h"
#include "tests/unit/daemon_fixture.h"

struct world {
	struct fixture f;
	struct service service;
	int fd; /* a client */
	char answer[200000];
};

/* ---- what stands in for the other parts ---------------------------------------------------------------- */

static struct {
	int error; /* of intake_start() */
	int starts, kicks;
	struct intake_request last;
	char name[256], type[33];
	off_t size; /* of the file that was passed */
	int64_t answering;
	char loss[CHAIN_WHY_MAX + CHAIN_BY_MAX];
} seen;

int scanner_json(const struct scanner *c, cJSON *obj)
{
	return 0;
}

bool intake_has_document(const struct intake *i, const char *name, int64_t owner)
{
	return false;
}

int intake_start(
	struct intake *i, const struct intake_request *r, uint64_t *ret_scan, char *why, size_t why_size)
{
	struct stat st = {};

	if (seen.error < 0) {
		str_copy(why, why_size, "no room here");
		return seen.error;
	}
	if (r->fd >= 0)
		fstat(r->fd, &st);
	seen.last = *r;
	seen.size = st.st_size;
	str_copy(seen.name, sizeof(seen.name), r->name ? r->name : "");
	str_copy(seen.type, sizeof(seen.type), r->type);
	*ret_scan = (uint64_t)++seen.starts;
	return 0;
}

void courier_kick(struct courier *c)
{
	seen.kicks++;
}

int courier_backends_json(const struct courier *c, cJSON *array)
{
	cJSON *backend = cJSON_CreateObject();

	json_add_string(backend, "name", "ocr");
	return cJSON_AddItemToArray(array, backend) ? 0 : -ENOMEM;
}

int courier_backend_json(const struct courier *c, const char *name, cJSON **ret)
{
	*ret = cJSON_CreateObject();
	return json_add_string(*ret, "name", name);
}

int upkeep_change_key(struct upkeep *u, char *why, size_t why_size)
{
	if (seen.error < 0)
		str_copy(why, why_size, "the key is elsewhere");
	return seen.error;
}

int upkeep_replace_key(struct upkeep *u, const struct head_loss *loss, char *why, size_t why_size)
{
	if (seen.error < 0)
		str_copy(why, why_size, "the key is there");
	str_format(seen.loss, sizeof(seen.loss), "%s by %s", loss->why, loss->by);
	return seen.error;
}

int64_t courier_answering(const struct courier *c, int64_t seq)
{
	return seen.answering;
}

bool courier_is_over_budget(const struct courier *c)
{
	return true;
}

const char *event_kind_name(enum event_kind k)
{
	return k == EVENT_PAGE_ACCEPTED  ? "page-accepted"
	       : k == EVENT_PAGE_DONE    ? "page-done"
	       : k == EVENT_SCAN_ENDED   ? "scan-ended"
	       : k == EVENT_PAGE_QUEUED  ? "page-queued"
	       : k == EVENT_PAGE_HELD    ? "page-held"
	       : k == EVENT_PAGE_DROPPED ? "page-dropped"
					 : "other";
}

void service_event(struct service *s, const struct event *e)
{
	control_event(s->control, e);
}

/* A section that answers at once, and one that asks somebody first. */
static struct doctor *asking;

static inline void examine_now(struct doctor *d, struct service *s)
{
	doctor_add(d, "now", FINDING_OK, NULL, "all is %s", "well");
	if (doctor_live(d))
		doctor_add(d, "now", FINDING_NOTE, NULL, "live");
}

static inline void examine_later(struct doctor *d, struct service *s)
{
	asking = d;
	doctor_hold(d);
}

const struct doctor_section doctor_sections[] = {{"now", examine_now}, {"later", examine_later}, {}};

static inline void answer_later(void)
{
	doctor_add(asking, "later", FINDING_PROBLEM, "mend it", "it is broken");
	doctor_release(asking);
	asking = NULL;
}

/* ---- the world ----------------------------------------------------------------------------------------- */

static inline void connect_client(struct world *w)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	str_copy(a.sun_path, sizeof(a.sun_path), w->service.config.control_socket);
	w->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(w->fd >= 0);
	CHECK_INT(connect(w->fd, (struct sockaddr *)&a, sizeof(a)), 0);
}

static inline struct world *begin(void)
{
	struct world *w = calloc(1, sizeof(*w));
	struct service *s = &w->service;
	char why[256];

	test_needs_peer_groups();
	memset(&seen, 0, sizeof(seen));
	fixture_begin(&w->f);
	s->clock = w->f.clock;
	s->spool = w->f.spool;
	s->types = w->f.types;
	s->courier = (struct courier *)&seen; /* never looked into */
	s->intake = (struct intake *)&seen;
	CHECK(sd_event_new(&s->event) >= 0);
	str_format(s->config.control_socket, sizeof(s->config.control_socket), "%s/control", test_tmpdir());
	str_copy(s->config.source, sizeof(s->config.source), "replay:/pages");
	str_copy(s->config.type, sizeof(s->config.type), "auto");
	CHECK_INT(control_new(s, &s->control, why, sizeof(why)), 0);
	connect_client(w);
	return w;
}

static inline void end(struct world *w)
{
	close(w->fd);
	control_free(w->service.control);
	sd_event_unref(w->service.event);
	fixture_end(&w->f);
	free(w);
}

static inline void turn(struct world *w)
{
	while (sd_event_run(w->service.event, 0) > 0)
		;
}

/* Everything that came, NULs as '|'. */
static inline const char *answers(struct world *w)
{
	size_t len = 0;
	ssize_t n;

	for (;;) {
		turn(w);
		n = recv(w->fd, w->answer + len, sizeof(w->answer) - 1 - len, MSG_DONTWAIT);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	for (size_t i = 0; i < len; i++)
		if (!w->answer[i])
			w->answer[i] = '|';
	w->answer[len] = 0;
	return w->answer;
}

static inline void say(struct world *w, const char *text)
{
	CHECK_INT(send(w->fd, text, strlen(text) + 1, MSG_NOSIGNAL), (int64_t)strlen(text) + 1);
}

static inline const char *ask(struct world *w, const char *text)
{
	say(w, text);
	return answers(w);
}

static inline void say_with_fd(struct world *w, const char *text, int fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {};
	struct iovec iov = {.iov_base = (char *)text, .iov_len = strlen(text) + 1};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(int));
	CHECK_INT(sendmsg(w->fd, &m, MSG_NOSIGNAL), (int64_t)iov.iov_len);
}

#define CHECK_HAS(text, part)                                                                                \
	do {                                                                                                 \
		const char *_t = (text);                                                                     \
		if (!strstr(_t, part))                                                                       \
			test_fail(__FILE__, __LINE__, "no %s in: %.600s", part, _t);                         \
	} while (0)

/* Gives the page an answer, past the courier. */
static inline void answer_page(struct world *w, struct page_row *p)
{
	struct db *d = spool_db(w->f.spool);

	CHECK_INT(db_exec(d,
			  "INSERT INTO attempts (id, page, backend, opened_ms, opened_trust, reserved_pusd, "
			  "closed_ms, outcome, "
			  "billed, settled_pusd) VALUES (7, ?, 'sydney', 1, 'trusted', 9, 2, 'done', 'yes', "
			  "1230000000)",
			  "i", p->seq),
		0);
	CHECK_INT(db_exec(d,
			  "INSERT INTO results (page, version, attempt, authoritative, type, created_ms, "
			  "json, raw) "
			  "VALUES (?, 1, 7, 1, 'universal', 3, "
			  "'{\"fields\":{\"word\":{\"value\":\"secret\"}}}', 'r')",
			  "i", p->seq),
		0);
	CHECK_INT(db_exec(d, "UPDATE pages SET state = 'done', version = 1 WHERE seq = ?", "i", p->seq), 0);
	CHECK_INT(spool_page_get(w->f.spool, p->seq, p), 0);
}

/* A client that is another user, of the group that may look and submit, or of none. */
static inline void connect_as(struct world *w, id_t id, bool in_group)
{
	if (geteuid() != 0)
		test_skip("needs root, to be somebody else");
	close(w->fd);
	CHECK_INT(chmod(test_tmpdir(), 0755), 0);
	CHECK_INT(chmod(w->service.config.control_socket, 0666), 0);
	if (in_group)
		w->service.control->look = id;
	CHECK(setegid(id) == 0 && seteuid(id) == 0);
	connect_client(w);
	CHECK(seteuid(0) == 0 && setegid(0) == 0);
}
