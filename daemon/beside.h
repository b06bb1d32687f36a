/*
 * What lies beside a page's file, in beside/: its thumbnail and the original from its source. Written after the page is safe, and
 * never asked for to send it: without them nothing is lost. They go when the page's file goes, and count for Cap=.
 */
#pragma once

#include "daemon/spool.h"

enum beside_kind { BESIDE_THUMBNAIL, BESIDE_ORIGINAL, BESIDE_KINDS };
#define BESIDE_NAME_SIZE (PAGE_ID_SIZE + 16) /* "20261121T031205-7kq2mx.thumbnail.jpg" */

/* The kind of this name ("thumbnail"): 0 or -EINVAL. */
int beside_kind_parse(const char *name, enum beside_kind *ret);
void beside_file_name(const char *id, enum beside_kind k, char out[static BESIDE_NAME_SIZE]);
/* The id and kind that a file's name promises; false: no name of ours. */
bool beside_from_name(const char *name, char id[static PAGE_ID_SIZE], enum beside_kind *ret);

struct beside_writer;
/* Of an accepted page. 0, or negative errno: there is no room. */
int beside_begin(struct spool *s, const char *id, enum beside_kind k, struct beside_writer **ret);
int beside_write(struct beside_writer *w, const void *data, size_t len);
enum beside_kind beside_kind_of(const struct beside_writer *w);
/* Whole, as the helper hashed it: fsync, rename, fsync of the folder. Frees w always; on failure nothing is left. */
int beside_commit(struct beside_writer *w, const char *sha256_hex);
void beside_abort(struct beside_writer *w); /* NULL is fine */

/* A descriptor for reading, or negative errno. */
int beside_open(struct spool *s, const char *id, enum beside_kind k);
/* How large it is; 0: there is none. */
int64_t beside_size(struct spool *s, const char *id, enum beside_kind k);
/* After the commit that lets the page's file go. */
void beside_remove(struct spool *s, const char *id);
