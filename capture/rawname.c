/* What the name of a raw frame's file says: NAME-WIDTHxHEIGHT[-full|-limited][-709].FORMAT, as in page-3840x2160.nv12. */
#include "capture/rawname.h"

#include <strings.h>

#include "base/parse.h"

static const struct raw_format *format_of(const char *name)
{
	const char *dot = strrchr(name, '.');
	char lower[8];

	if (!dot || str_copy(lower, sizeof(lower), dot + 1) < 0)
		return NULL;
	for (char *c = lower; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return raw_format_by_name(lower);
}

bool rawname_is_raw(const char *name)
{
	return format_of(name) != NULL;
}

/* "1920x1080" */
static int parse_geometry(char *word, struct raw_frame *f)
{
	char *x = strchr(word, 'x');
	uint64_t width, height;

	if (!x)
		return -EINVAL;
	*x = 0;
	if (parse_u64(word, 1, IMAGE_SIDE_MAX, &width) < 0 || parse_u64(x + 1, 1, IMAGE_SIDE_MAX, &height) < 0)
		return -EINVAL;
	f->width = (uint32_t)width;
	f->height = (uint32_t)height;
	return 0;
}

/* A word behind the geometry. */
static bool take_option(const char *word, struct raw_frame *f)
{
	if (streq(word, "full"))
		f->full_range = true;
	else if (streq(word, "limited"))
		f->full_range = false;
	else if (streq(word, "709"))
		f->bt709 = true;
	else
		return false;
	return true;
}

int rawname_parse(const char *name, struct raw_frame *ret, struct reject *why)
{
	struct raw_frame f = {.format = format_of(name)};
	char text[256], *word;

	if (!f.format || str_copy(text, sizeof(text), name) < 0)
		return reject_set(why, REJECT_UNSUPPORTED, "its name is not that of a raw frame");
	f.full_range = raw_format_full_range(f.format);
	*strrchr(text, '.') = 0;
	while ((word = strrchr(text, '-'))) {
		*word++ = 0;
		if (!take_option(word, &f))
			break;
	}
	if (!word || parse_geometry(word, &f) < 0)
		return reject_set(why, REJECT_UNSUPPORTED,
			"the size of a raw frame is told by its name, as in page-1920x1080.%s; this has none",
			raw_format_name(f.format));
	*ret = f;
	return 0;
}
