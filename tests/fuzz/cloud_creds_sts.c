/* What STS answers and what programs print: the first byte says which is asked and with what status it ends, the rest is the reply.
 * What ends in credentials has them whole and tells none of them; what fails says why. */
#include "cloud/creds_sts.h"
#include "cloud/xml.h"

static void judge(const struct creds_step *s)
{
	if (s->action == CREDS_HAVE && (!s->creds.access_key[0] || !s->creds.secret_key[0] || s->reason[0]))
		abort();
	if (s->action == CREDS_FAILED && (!s->reason[0] || !s->message[0] || s->creds.secret_key[0]))
		abort();
	if (s->action != CREDS_HAVE && s->action != CREDS_FAILED)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int statuses[] = {200, 400, 403, 500};
	const struct creds_config c = {.kind = CREDS_PROCESS, .command = "/bin/program --secret", .region = "ap-southeast-2", .endpoint = "https://sts.ap-southeast-2.amazonaws.com"};
	_cleanup_free_ char *text = size ? malloc(size) : NULL;
	_cleanup_buf_ struct buf value = BUF_MAX(64);
	struct reply r = {.error = TRANSPORT_OK, .body = text, .len = size - 1};
	struct creds_source *program = NULL;
	struct creds_step step = {};
	int e;

	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1); /* a block of its own, with the NUL that replies have behind them */
	text[size - 1] = '\0';
	if (data[0] & 1) {
		r.status = data[0] & 2 ? 0 : 3;
		e = creds_source_new(&c, &program);
		if (e >= 0)
			e = creds_source_next(program, &(struct creds_input){.reply = &r}, &step);
	} else {
		r.status = statuses[data[0] >> 2 & 3];
		e = sts_reply(&c, &r, data[0] & 2, "arn:aws:iam::111122223333:role/x", &step);
		(void)xml_get(text, size - 1, "a/b", &value);
	}
	if (e >= 0)
		judge(&step);
	creds_step_clear(&step);
	creds_source_free(program);
	return 0;
}
