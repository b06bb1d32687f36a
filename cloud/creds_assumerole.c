/* A role, assumed with the credentials of another section; and one assumed with a token that somebody writes into a file. */
#include "cloud/creds_sts.h"

#include "base/log.h"
#include "base/text.h"

struct assume {
	bool sent;
};

static int assume_next(const struct creds_config *c, void *state, const struct creds_input *in, struct creds_step *ret)
{
	const struct sts_role role = {
		.arn = c->role_arn,
		.session_name = c->session_name,
		.external_id = c->external_id,
		.duration_ms = c->duration_ms,
	};
	struct assume *s = state;

	if (s->sent)
		return sts_reply(c, in->reply, false, c->role_arn, ret);
	if (!in->creds) {
		ret->action = CREDS_ASK;
		ret->section = c->source_credentials;
		return 0;
	}
	s->sent = true;
	return sts_ask(c, &role, in->creds, in->signing_s, ret);
}

/* ---- web identity ----------------------------------------------------------------------------------------------------- */

/* Read for each request: whoever writes it renews it. */
static int ask_with_token(const struct creds_config *c, struct creds_step *ret)
{
	struct sts_role role = {.arn = c->role_arn, .session_name = c->session_name, .duration_ms = c->duration_ms};
	char *text = NULL, path[160];
	size_t len = 0;
	int r = creds_read_text(c->token_file, STS_TOKEN_MAX + 2, &text, &len);

	text_safe_copy(path, sizeof(path), c->token_file);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return creds_fail(ret, r == -ENOENT ? "no-token" : "bad-token", "token file %s: %s", path,
			r == -EFBIG ? "is larger than 20000 bytes" : r == -EBADMSG ? "is not a text file" : errno_text(r));
	while (len > 0 && strchr(" \t\r\n", text[len - 1]))
		text[--len] = '\0';
	if (len < 4 || len > STS_TOKEN_MAX || text[strcspn(text, " \t\r\n")])
		r = creds_fail(ret, "bad-token", "token file %s: is not one word of 4 to 20000 characters", path);
	else {
		role.token = text;
		r = sts_ask(c, &role, NULL, 0, ret);
	}
	creds_text_free(text, STS_TOKEN_MAX + 2);
	return r;
}

static int identity_next(const struct creds_config *c, void *state, const struct creds_input *in, struct creds_step *ret)
{
	if (in->reply)
		return sts_reply(c, in->reply, true, c->role_arn, ret);
	return ask_with_token(c, ret);
}

const struct creds_source_ops creds_source_assume_role = {.state_size = sizeof(struct assume), .next = assume_next};
const struct creds_source_ops creds_source_web_identity = {.next = identity_next};
