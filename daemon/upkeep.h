/*
 * What the service does beside its work, in small slices when it is idle: moves the keep clock on, lets what is old enough age
 * out, counts again what page files take, signs the receipts and exports them, and looks again for room while there is none.
 */
#pragma once

#include "daemon/heads.h"
#include "daemon/service.h"

int upkeep_new(struct service *s, struct upkeep **ret);
void upkeep_free(struct upkeep *u);
/* Recovery has finished: from now on things may age out. */
void upkeep_recovered(struct upkeep *u);
/* The loop has ended, in good order: what is not signed of the receipts is. */
void upkeep_stopped(struct upkeep *u);
/* The receipts are signed by a new key from now on (daemon/heads.h). 0, or negative errno with a sentence. */
int upkeep_change_key(struct upkeep *u, char *why, size_t why_size);
int upkeep_replace_key(struct upkeep *u, const struct head_loss *loss, char *why, size_t why_size);
/* Whether the receipts are signed and exported, for the doctor. */
struct upkeep_receipts {
	int64_t signed_seq;  /* as heads_trouble() says it */
	const char *trouble; /* borrowed; "": none */
	int daily;           /* daily_trouble() */
};
struct upkeep_receipts upkeep_receipts(const struct upkeep *u);
/* How the look for room went, 0 or negative errno with `why`: while it is refused, service_lights() is called again soon. */
void upkeep_room(struct upkeep *u, int room, const char *why);
