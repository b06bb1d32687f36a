/*
 * A small picture of the page, made of its rows as they go to the encoder: each of its pixels is the mean of those that lie
 * under it. And a perceptual hash of that, by which pages that look alike are known from each other.
 */
#pragma once

#include "base/buf.h"

#define THUMB_SIDE    256
#define THUMB_QUALITY 70

struct thumb;
/* Of a page of this size, one plane or three (chroma of half the size, rounded up). It is never larger than the page. */
int thumb_new(uint32_t width, uint32_t height, unsigned int n_planes, struct thumb **ret);
/* The next row of a plane of the upright page. */
void thumb_row(struct thumb *t, unsigned int plane, const uint8_t *row);
/* All rows were given: as JPEG, appended. */
int thumb_jpeg(const struct thumb *t, struct buf *out);
/* docs/architecture.md, "Page sense". False: the picture is too small for one. */
bool thumb_hash(const struct thumb *t, uint64_t *ret);
void thumb_free(struct thumb *t); /* NULL is fine */
