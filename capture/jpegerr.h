/* What libjpeg says, turned into verdicts: it can neither print nor end the process. */
#pragma once

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#include "capture/reject.h"

struct jpeg_trouble {
	struct jpeg_error_mgr mgr; /* first: libjpeg hands it back */
	jmp_buf leave;             /* set by whoever calls into libjpeg, each time */
	struct reject why;         /* valid when `bad` */
	bool bad;                  /* an error, or a warning that means damage, was met */
	bool padded;               /* set by the user: see jpegerr.c */
	int error;                 /* negative errno of our own reading or writing, or 0 */
};

/* Call before jpeg_create_*(): creating can fail already. */
struct jpeg_error_mgr *jpeg_trouble_init(struct jpeg_trouble *t);
/* Leaves libjpeg with a negative errno of ours. */
_Noreturn void jpeg_trouble_leave(j_common_ptr c, int error);
/* After a jump, or after libjpeg returned with t->bad: the verdict. Negative errno. */
int jpeg_trouble_verdict(const struct jpeg_trouble *t, struct reject *why);
