#include "daemon/usage.h"

#include "base/step.h"
#include "daemon/ledger.h"
#include "daemon/spool_internal.h"

int usage_add(struct spool *s, int64_t attempt, const char *type)
{
	int r = budget_clock_store(s);

	if (r >= 0)
		r = db_exec(s->db, "UPDATE attempts SET day = ?, type = ? WHERE id = ?", "isi", budget_day(s), type, attempt);
	if (r < 0 || BUG("usage-forgotten")) /* planted: what was spent is missing from its day */
		return r;
	return db_exec(s->db,
		"INSERT INTO usage SELECT day, backend, coalesce(model, ''), type, 1, outcome = 'done', billed = 'possibly',"
		/* Its pages that no other attempt of the day's row was about. */
		" (SELECT count(*) FROM (SELECT a.page AS page WHERE a.page <> 0 UNION SELECT page FROM attempt_pages WHERE attempt = a.id) m"
		" WHERE NOT EXISTS (SELECT 1 FROM attempts b WHERE b.id IN (SELECT id FROM attempts WHERE page = m.page"
		" UNION SELECT attempt FROM attempt_pages WHERE page = m.page)"
		" AND b.id <> a.id AND b.day = a.day AND b.backend = a.backend AND b.model IS a.model AND b.type = a.type)),"
		" outcome = 'done' AND reason = '" REASON_SAME "',"
		" coalesce(tokens_input, 0), coalesce(tokens_output, 0), coalesce(tokens_cached, 0), settled_pusd,"
		" settled_pusd * (billed = 'possibly') FROM attempts a WHERE id = ?"
		" ON CONFLICT (day, backend, model, type) DO UPDATE SET attempts = attempts + excluded.attempts,"
		" answers = answers + excluded.answers, unreported = unreported + excluded.unreported, pages = pages + excluded.pages,"
		" reused = reused + excluded.reused,"
		" tokens_input = tokens_input + excluded.tokens_input, tokens_output = tokens_output + excluded.tokens_output,"
		" tokens_cached = tokens_cached + excluded.tokens_cached, settled_pusd = settled_pusd + excluded.settled_pusd,"
		" possibly_pusd = possibly_pusd + excluded.possibly_pusd",
		"i", attempt);
}
