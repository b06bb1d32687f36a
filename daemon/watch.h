/*
 * Watched folders: what is put into a configured folder is taken like a submitted file, when it is complete, and once.
 *
 * watch.c        the parts below on the loop, events of the kernel and of the service, status
 * watch_folder.c one folder: is it there, what is in it, what is to be taken
 * watch_finish.c what becomes of a file that was taken or refused. Steps WATCH_* of base/step.h
 * watch_rules.c  names and looks, pure
 *
 * Each file's way: two looks that see the same; opened; its descriptor given to intake; the page's commit also writes table
 * `taken`; then it is moved (and its row goes) or left (and its row stays). Nothing is ever deleted.
 */
#pragma once

#include "base/json.h"
#include "daemon/service.h"

int watch_new(struct service *s, struct watch **ret);
void watch_free(struct watch *w);
/* Takes nothing new; what is being taken is brought to its end. */
void watch_stop(struct watch *w);
/* What happened in the service: the pages and ends of its own files, and that there is room in intake again. */
void watch_event(struct watch *w, const struct event *e);
/* Adds an object for each folder (type Watch of the control interface). */
int watch_json(const struct watch *w, cJSON *array);
