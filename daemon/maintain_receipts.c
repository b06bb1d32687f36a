/* pageferryd spool receipts: the chain with its signed heads, as lines (base/chain.h), for whoever checks it. */
#include <stdio.h>

#include "daemon/maintain_internal.h"
#include "daemon/receipt.h"

static int put_line(void *ud, const struct receipt_line *line)
{
	return fwrite(line->text, 1, line->len, stdout) == line->len && putchar('\n') != EOF ? 0 : -EPIPE;
}

int maintain_receipts(struct maintain *m)
{
	char why[512] = "";
	struct spool *s;
	int r = maintain_look(m, &s);

	if (r < 0)
		return r;
	r = db_open_readonly(m->directory, &s->db, why, sizeof(why));
	if (r >= 0)
		r = receipt_each(s, 0, 0, put_line, NULL);
	spool_close(s);
	if (r >= 0 && fflush(stdout) != 0)
		r = -EPIPE;
	if (r < 0 && r != -EPIPE)
		maintain_say("the receipts cannot be read: %s", why[0] ? why : errno_text(r));
	return r < 0 ? r : MAINTAIN_WELL;
}
