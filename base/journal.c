#include "base/journal.h"

#include <stdio.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

#include "base/log.h"

#define FIELDS_MAX 24
#define TEXT_SIZE  8192 /* all fields of one entry together; a line is at most 4 KiB */

struct entry {
	char text[TEXT_SIZE];
	size_t used;
	struct iovec iov[FIELDS_MAX];
	int n;
};

/* A field that does not fit is left out: half a value would lie. */
static void entry_add(struct entry *e, const char *name, const char *value)
{
	int len;

	if (e->n == FIELDS_MAX)
		return;
	len = str_format(e->text + e->used, sizeof(e->text) - e->used, "%s=%s", name, value);
	if (len < 0)
		return;
	e->iov[e->n++] = (struct iovec){e->text + e->used, (size_t)len};
	e->used += (size_t)len + 1;
}

static void to_journal(enum log_level level, const char *message_id, const struct log_field *fields, size_t n,
	const char *text)
{
	struct entry e;
	char priority[16];

	e.used = 0;
	e.n = 0;
	str_format(priority, sizeof(priority), "%d", (int)level);
	entry_add(&e, "MESSAGE", text);
	entry_add(&e, "PRIORITY", priority);
	if (message_id)
		entry_add(&e, "MESSAGE_ID", message_id);
	for (size_t i = 0; i < n; i++)
		if (fields[i].value)
			entry_add(&e, fields[i].name, fields[i].value);
	if (sd_journal_sendv(e.iov, e.n) < 0)
		fprintf(stderr, "<%s>%s\n", priority, text);
}

int journal_attach(void)
{
	if (!log_stderr_is_journal())
		return 0;
	log_set_sink(to_journal);
	return 1;
}
