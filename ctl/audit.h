/* audit: receipts by the line, from the service or a copy, followed as a chain; and what they add up to. */
#pragma once

#include "ctl/ctl.h"

struct audit_report;
int audit_report_new(struct audit_report **ret);
void audit_report_free(struct audit_report *r); /* NULL is fine */
/* Adds the body of one receipt. 0 or -ENOMEM. */
int audit_report_add(struct audit_report *r, const cJSON *body);
/* As text, CSV (options.csv) or one JSON object a line (options.json): an exit code. What has left Australia, or was done with
 * Lab=yes, comes first. */
int audit_report_put(struct audit_report *r, struct ctl *c);
/* Is that somewhere in Australia, or on this side? For the report, by what the receipt says. */
bool audit_in_australia(const char *host, const char *region);
