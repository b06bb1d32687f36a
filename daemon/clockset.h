/* Tells when the machine's clock is set: it is stepped by a person, by a time service, or after the network came. */
#pragma once

#include <systemd/sd-event.h>

struct clockset;
int clockset_new(sd_event *e, void (*fn)(void *ud), void *ud, struct clockset **ret);
void clockset_free(struct clockset *c);
