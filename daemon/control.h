/*
 * The control socket: varlink (NUL-ended JSON objects) on an AF_UNIX stream, rights by SO_PEERCRED, descriptors by
 * SCM_RIGHTS. Bounded: connections, message size, bytes queued to a slow reader (then it is dropped).
 * Methods are a table in methods.c. Source: varlink.org, "Protocol" and "Service".
 */
#pragma once

#include "daemon/service.h"

/* Listens on the configured path, or takes the socket systemd passed. */
int control_new(struct service *s, struct control **ret, char *why, size_t why_size);
void control_free(struct control *c);
/* Hands an event to monitors and waiting calls. */
void control_event(struct control *c, const struct event *e);
