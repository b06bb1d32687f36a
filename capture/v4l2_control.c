/* Controls by the driver's names: "power_line_frequency=50_hz exposure_time_absolute=250". Names, and those of a menu's
 * items, are compared in small letters with _ for all that is neither letter nor digit, as v4l2-ctl shows them. */
#include "capture/v4l2_internal.h"

#include <stdio.h>

#include "base/log.h"
#include "base/parse.h"

#define CONTROLS_MAX 512 /* an enumeration ends there even if the driver's does not */

/* As it is compared: "White Balance, Automatic" is white_balance_automatic. */
static void plain_name(const char *name, char *out, size_t size)
{
	size_t n = 0;

	for (; *name && n + 1 < size; name++) {
		char c = *name;

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			out[n++] = c;
		else if (n && out[n - 1] != '_')
			out[n++] = '_';
	}
	while (n && out[n - 1] == '_')
		n--;
	out[n] = 0;
}

static bool find_control(struct v4l2_device *d, const char *name, struct v4l2_query_ext_ctrl *ret)
{
	uint32_t id = 0;

	for (unsigned int i = 0; i < CONTROLS_MAX; i++) {
		struct v4l2_query_ext_ctrl q = {.id = id | V4L2_CTRL_FLAG_NEXT_CTRL | V4L2_CTRL_FLAG_NEXT_COMPOUND};
		char plain[64];

		if (v4l2_ctl(d, VIDIOC_QUERY_EXT_CTRL, &q) < 0 || q.id <= id)
			return false;
		id = q.id;
		plain_name(q.name, plain, sizeof(plain));
		if (q.type == V4L2_CTRL_TYPE_CTRL_CLASS || (q.flags & V4L2_CTRL_FLAG_DISABLED) || !streq(plain, name))
			continue;
		*ret = q;
		return true;
	}
	return false;
}

static int menu_value(struct v4l2_device *d, const struct v4l2_query_ext_ctrl *q, const char *text, int64_t *ret)
{
	for (int64_t i = q->minimum; i <= q->maximum && i - q->minimum < CONTROLS_MAX; i++) {
		struct v4l2_querymenu m = {.id = q->id, .index = (uint32_t)i};
		char plain[64];

		if (v4l2_ctl(d, VIDIOC_QUERYMENU, &m) < 0)
			continue; /* menus have gaps */
		plain_name((const char *)m.name, plain, sizeof(plain));
		if (streq(plain, text)) {
			*ret = i;
			return 0;
		}
	}
	return parse_i64(text, q->minimum, q->maximum, ret);
}

static const char *value_of(struct v4l2_device *d, const struct v4l2_query_ext_ctrl *q, const char *text, int64_t *ret)
{
	bool on;

	switch (q->type) {
	case V4L2_CTRL_TYPE_MENU:
		return menu_value(d, q, text, ret) < 0 ? "there is no such item" : NULL;
	case V4L2_CTRL_TYPE_BOOLEAN:
		if (parse_bool(text, &on) < 0)
			return "expected yes or no";
		*ret = on;
		return NULL;
	case V4L2_CTRL_TYPE_INTEGER:
	case V4L2_CTRL_TYPE_INTEGER_MENU:
	case V4L2_CTRL_TYPE_INTEGER64:
	case V4L2_CTRL_TYPE_BITMASK:
		return parse_i64(text, q->minimum, q->type == V4L2_CTRL_TYPE_BITMASK ? UINT32_MAX : q->maximum, ret) < 0
			       ? "the value is not in its range"
			       : NULL;
	default:
		return "it cannot be set";
	}
}

/* NULL, or what is wrong. */
static const char *set_one(struct v4l2_device *d, const char *name, const char *text)
{
	struct v4l2_query_ext_ctrl q;
	struct v4l2_ext_control one = {};
	struct v4l2_ext_controls all = {.which = V4L2_CTRL_WHICH_CUR_VAL, .count = 1, .controls = &one};
	const char *wrong;
	int64_t value = 0;
	int r;

	if (!find_control(d, name, &q))
		return "the device has no such control";
	wrong = value_of(d, &q, text, &value);
	if (wrong)
		return wrong;
	if (q.flags & V4L2_CTRL_FLAG_READ_ONLY)
		return "it cannot be set";
	one.id = q.id;
	if (q.type == V4L2_CTRL_TYPE_INTEGER64)
		one.value64 = value;
	else
		one.value = (int32_t)value;
	r = v4l2_ctl(d, VIDIOC_S_EXT_CTRLS, &all);
	return r < 0 ? errno_text(r) : NULL;
}

void v4l2_set_controls(struct v4l2_device *d, const struct v4l2_wish *wish)
{
	const char *controls = wish->controls;
	char word[128];

	while (parse_word(&controls, word, sizeof(word)) == 1) {
		char *equals = strchr(word, '=');
		const char *wrong = "expected NAME=VALUE";

		if (equals) {
			*equals = 0;
			wrong = set_one(d, word, equals + 1);
		}
		if (wrong && wish->notice)
			wish->notice(wish->notice_ud, word, wrong);
	}
}
