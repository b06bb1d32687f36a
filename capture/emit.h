/* Where finished pages go: frames to the daemon (docs/architecture.md, "Helper framing") or files, by hand.
 */
#pragma once

#include "capture/flatten.h"
#include "capture/reject.h"
#include "capture/sense.h"

/* How a camera came to the page. */
struct page_grab {
	unsigned int frames, bad; /* that were looked at, and of them damaged or stale */
	unsigned int reopened;    /* how often the device had to be opened again */
	bool settled;             /* false: brightness or sharpness still moved when time was up */
	char device[64];          /* the node; "": no camera */
};

struct square_plan;
struct page_info {
	unsigned int index; /* from 1 */
	const char *name;
	uint32_t width, height;               /* of the JPEG */
	uint32_t source_width, source_height; /* upright, before any crop */
	const char *format;                   /* of the source: "jpeg", "png", "pnm", "yuyv" */
	unsigned int orientation;             /* EXIF, as found */
	unsigned int eighths;                 /* size at which it was decoded */
	int quality;
	bool cropped, grey;
	unsigned int rotate;              /* degrees clockwise, as asked for on top of the EXIF orientation */
	const struct square_plan *square; /* borrowed; NULL: not asked for */
	struct sense_result sense; /* complete at page_end only */
	struct flatten_options flatten_asked;
	struct flatten_result flatten;
	struct page_grab grab;
	/* Microseconds: elapsed by stage, and of the processor in all. Complete at page_end only. */
	struct {
		int64_t grab, open, decode, scale, encode, total, cpu;
	} us;
};

enum beside { BESIDE_THUMBNAIL, BESIDE_ORIGINAL };

struct emit;
/* Calls come in the order page, data..., page_end for a good page; reject alone, or anywhere after page, for
 * a bad one; and end once. All return 0 or negative errno, which ends the run (-EPIPE: nobody listens any
 * more). */
struct emit_ops {
	int (*page)(struct emit *e, const struct page_info *p);
	int (*data)(struct emit *e, const void *data, size_t len);
	int (*page_end)(struct emit *e, const struct page_info *p);
	/* What goes beside the page that ended last, piece by piece (JPEGENC_PIECE at most). NULL: nobody wants it. */
	int (*beside)(struct emit *e, enum beside what, const void *data, size_t len);
	int (*beside_end)(struct emit *e, enum beside what);
	int (*reject)(struct emit *e, unsigned int index, const char *name, const struct reject *why);
	int (*end)(struct emit *e, bool ok, const char *reason, const char *message);
	void (*free)(struct emit *e);
};

struct emit {
	const struct emit_ops *ops;
};

/* Frames on a descriptor (borrowed). */
int emit_frames_new(int fd, struct emit **ret);
/* Files in a folder (descriptor borrowed), and a line for each on standard output. `name` is the file's name
 * when there is one page only; NULL makes one from each page's name. A file appears whole or not at all. */
int emit_files_new(int dirfd, const char *name, struct emit **ret);
void emit_free(struct emit *e); /* NULL is fine */
