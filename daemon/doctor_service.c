/* The service's own areas: clock, spool, configuration, prices, helpers, backends, receipts. */
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/courier.h"
#include "daemon/doctor.h"
#include "daemon/upkeep.h"

void doctor_clock(struct doctor *d, struct service *s)
{
	int64_t skew = clock_skew_ms(s->clock);

	switch (clock_trust(s->clock)) {
	case TIME_UNTRUSTED:
		doctor_add(d, "clock", FINDING_PROBLEM, "set the clock, or give the machine a time server; pages wait until then",
			"the clock is known to be wrong: nothing is signed");
		break;
	case TIME_PLAUSIBLE:
		doctor_add(d, "clock", FINDING_WARNING, "let a time service run (timedatectl timesync-status)",
			"the clock is not known to be synchronised");
		break;
	case TIME_TRUSTED:
		doctor_add(d, "clock", FINDING_OK, NULL, "the clock is synchronised or confirmed");
		break;
	}
	if (skew <= -60000 || skew >= 60000)
		doctor_add(d, "clock", FINDING_WARNING, "set the clock",
			"servers say that the clock is wrong by %lld s; signatures allow for it", (long long)(skew / 1000));
}

void doctor_spool(struct doctor *d, struct service *s)
{
	char why[256] = "";
	int r = spool_room(s->spool, why, sizeof(why)), lost = spool_ledger_lost(s->spool);

	if (r < 0)
		doctor_add(d, "spool", FINDING_PROBLEM, "make room, or raise Cap= in [Spool]", "no page is taken: %s", why);
	else
		doctor_add(d, "spool", FINDING_OK, NULL, "%s has room: %lld MiB are free", spool_directory(s->spool),
			(long long)(spool_bytes_free(s->spool) >> 20));
	if (s->write_error < 0)
		doctor_add(d, "spool", FINDING_PROBLEM, "look at the disk", "it could not be written: %s", errno_text(s->write_error));
	if (lost > 0)
		doctor_add(d, "spool", FINDING_PROBLEM, "look at the bill, then: pageferryctl confirm",
			"the database was lost: what was spent is unknown, and backends that cost wait");
	else if (lost < 0)
		doctor_add(d, "spool", FINDING_PROBLEM, "restart the service", "the database cannot be read: %s", errno_text(lost));
}

void doctor_configuration(struct doctor *d, struct service *s)
{
	if (s->config.n_route == 0)
		doctor_add(d, "configuration", FINDING_PROBLEM, "set Backends= in [Route]", "no backend is asked");
	else
		doctor_add(d, "configuration", FINDING_OK, NULL, "%zu backends, %zu in the route, %zu watched folders",
			s->config.n_backends, s->config.n_route, s->config.n_watches);
}

void doctor_prices(struct doctor *d, struct service *s)
{
	bool paid = false;

	for (size_t i = 0; i < s->config.n_backends; i++) {
		const struct backend_config *b = &s->config.backends[i];
		const struct price *p;

		if ((b->kind != KIND_BEDROCK && b->kind != KIND_SAGEMAKER) || b->price_per_request_pusd >= 0)
			continue;
		paid = true;
		p = prices_find(s->prices, b->model, b->region);
		if (p)
			doctor_add(d, "prices", FINDING_OK, NULL, "backend %s: %s in %s has prices of %s", b->name, b->model,
				b->region, p->date);
		else
			doctor_add(d, "prices", FINDING_PROBLEM, "add it to the file of Prices= in [Service], and restart the service",
				"backend %s: there is no price for %s in %s, so it is not asked", b->name, b->model, b->region);
	}
	if (!paid)
		doctor_add(d, "prices", FINDING_NOTE, NULL, "no backend costs");
}

/* A program to start, or the socket of a unit that starts it. */
static void examine_helper(struct doctor *d, const struct service *s, const char *name)
{
	char path[PATH_SIZE + 40];
	struct stat st;
	bool there;

	if (s->config.socket_helpers)
		str_format(path, sizeof(path), "/run/pageferry/%s", name);
	else
		str_format(path, sizeof(path), "%s/pageferry-%s", s->config.helpers, name);
	there = stat(path, &st) >= 0 && (s->config.socket_helpers ? S_ISSOCK(st.st_mode) : access(path, X_OK) >= 0);
	if (there)
		doctor_add(d, "helpers", FINDING_OK, NULL, "%s: %s", name, path);
	else
		doctor_add(d, "helpers", FINDING_PROBLEM,
			s->config.socket_helpers ? "enable the helpers' socket units, or set SocketHelpers=no"
						 : "set Helpers= in [Service] to the folder of the programs",
			"%s: %s is not there", name, path);
}

void doctor_helpers(struct doctor *d, struct service *s)
{
	examine_helper(d, s, "capture");
	examine_helper(d, s, "ocr");
}

void doctor_backends(struct doctor *d, struct service *s)
{
	_cleanup_json_ cJSON *backends = cJSON_CreateArray();
	const cJSON *b;

	if (!backends || courier_backends_json(s->courier, backends) < 0)
		return;
	cJSON_ArrayForEach (b, backends) {
		const char *name = json_get_string(b, "name"), *state = json_get_string(b, "state");
		const char *reason = json_get_string(b, "reason"), *message = json_get_string(b, "message");

		if (state && streq(state, "ok"))
			doctor_add(d, "backends", FINDING_OK, NULL, "%s: ok", name);
		else
			doctor_add(d, "backends", state && streq(state, "busy") ? FINDING_WARNING : FINDING_PROBLEM, NULL,
				"%s: %s, %s: %s", name ? name : "?", state ? state : "unknown", reason ? reason : "no reason", message ? message : "");
	}
}

void doctor_receipts(struct doctor *d, struct service *s)
{
	struct upkeep_receipts r = upkeep_receipts(s->upkeep);

	if (r.trouble[0])
		doctor_add(d, "receipts", FINDING_PROBLEM,
			"put the key back that signed last (from its copy; if it is lost for good: pageferryctl audit replace), or where the chain does "
			"not hold: pageferryctl audit verify",
			"receipts cannot be signed: %s", r.trouble);
	else if (r.signed_seq > 0)
		doctor_add(d, "receipts", FINDING_OK, NULL, "receipts are signed up to number %lld", (long long)r.signed_seq);
	else
		doctor_add(d, "receipts", FINDING_NOTE, NULL, "no receipt is signed yet");
	if (r.daily < 0)
		doctor_add(d, "receipts", FINDING_PROBLEM, "look at the folder, Directory= in [Receipts]", "the daily files are not written: %s",
			r.daily == -EUCLEAN ? "the chain of receipts does not hold" : errno_text(r.daily));
}
