/* The journal as a log sink (sd_journal_sendv, with PAGE_ID=, BACKEND=, ATTEMPT= ... as fields). */
#pragma once

/* Sends log lines to the journal from now on if $JOURNAL_STREAM names standard error; else does nothing.
 * Returns 1 if attached, 0 if not. */
int journal_attach(void);
