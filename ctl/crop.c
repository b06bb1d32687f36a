#include <stdio.h>

#include "base/crypto.h"
#include "base/parse.h"
#include "ctl/ctl.h"

#define SIDE_MAX 65535

static int add_numbers(const struct ctl *c, cJSON *parameters)
{
	static const char *const names[] = {"x", "y", "width", "height"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int64_t v;

		if (parse_i64(c->options.args[i + 1], 0, SIDE_MAX, &v) < 0) {
			ctl_say("X, Y, WIDTH and HEIGHT are pixels of the page");
			return -EINVAL;
		}
		if (json_add_i64(parameters, names[i], v) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int put_image(const cJSON *reply)
{
	_cleanup_buf_ struct buf image = {};
	const char *text = text_of(reply, "jpeg");

	if (base64_decode(text, strlen(text), &image) < 0 || image.len == 0) {
		ctl_say("the service's answer is no picture");
		return EXIT_PAGE_FAILED;
	}
	return ctl_put(&image);
}

int verb_crop(struct ctl *c)
{
	cJSON *parameters = cJSON_CreateObject();
	struct client_reply reply = {};
	int r;

	if (!c->options.json && isatty(STDOUT_FILENO)) {
		ctl_say("this is a picture: give it a file (crop ... >FILE)");
		cJSON_Delete(parameters);
		return EXIT_USAGE;
	}
	r = json_add_string(parameters, "page", c->options.args[0]);
	if (r >= 0)
		r = add_numbers(c, parameters);
	if (r < 0) {
		cJSON_Delete(parameters);
		return r == -EINVAL ? EXIT_USAGE : EXIT_PAGE_FAILED;
	}
	r = ctl_call_take(c, "io.pageferry.Crop", parameters, &reply);
	if (r != EXIT_WELL)
		return r;
	r = c->options.json ? ctl_put_json(reply.parameters) : put_image(reply.parameters);
	client_reply_clear(&reply);
	return r;
}
