#include "ctl/ctl.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "base/text.h"

void ctl_say(const char *fmt, ...)
{
	va_list ap;

	fputs("pageferryctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

int ctl_put(const struct buf *out)
{
	bool well = fwrite(buf_str(out), 1, out->len, stdout) == out->len;

	if (fflush(stdout) == 0 && well)
		return EXIT_WELL;
	if (errno != EPIPE) /* a reader that has had enough, as head(1), is no error to speak of */
		ctl_say("cannot write to standard output: %s", errno_text(-errno));
	return EXIT_PAGE_FAILED;
}

int ctl_put_json(const cJSON *j)
{
	_cleanup_buf_ struct buf out = {};

	if (json_print(j, false, &out) < 0 || buf_addc(&out, '\n') < 0)
		return EXIT_PAGE_FAILED;
	return ctl_put(&out);
}

const char *text_of(const cJSON *j, const char *name)
{
	const char *s = json_get_string(j, name);

	return s ? s : "";
}

const char *page_title(const cJSON *page)
{
	const char *name = json_get_string(page, "name"), *id = json_get_string(page, "id");

	return name && *name ? name : id ? id : "?";
}

int ctl_connect(const struct ctl *c, struct client **ret)
{
	int r = client_connect(c->options.socket, ret);
	char safe[256];

	if (r >= 0)
		return EXIT_WELL;
	ctl_say("cannot reach pageferryd at %s: %s%s", text_safe_copy(safe, sizeof(safe), c->options.socket),
		errno_text(r),
		r == -EACCES || r == -EPERM ? "; are you in the service's group?"
		: r == -ENAMETOOLONG        ? "; a socket's path has at most 107 bytes"
					    : "; is the service running? (systemctl status pageferry)");
	return r == -EACCES || r == -EPERM ? EXIT_NOT_ALLOWED : EXIT_UNREACHABLE;
}

int ctl_exchange_failed(const struct ctl *c, int error)
{
	char safe[256];

	if (error == -ETIMEDOUT) {
		ctl_say("no answer in time");
		return EXIT_TIMED_OUT;
	}
	if (error == -ECONNRESET || error == -EPIPE)
		ctl_say("pageferryd closed the connection: is it stopping, or are there too many "
			"connections?");
	else
		ctl_say("cannot talk with pageferryd at %s: %s",
			text_safe_copy(safe, sizeof(safe), c->options.socket), errno_text(error));
	return EXIT_UNREACHABLE;
}

/* ---- error replies ------------------------------------------------------------------------------------- */

static const struct error {
	const char *name, *text, *parameter; /* the parameter's value follows the text */
	enum exit_code code;
} errors[] = {
	{"io.pageferry.NotAllowed", "not allowed; the right that is missing: ", "right", EXIT_NOT_ALLOWED},
	{"org.varlink.service.PermissionDenied", "not allowed", NULL, EXIT_NOT_ALLOWED},
	{"io.pageferry.NoSuchPage", "there is no such page: ", "page", EXIT_PAGE_FAILED},
	{"io.pageferry.NoSuchDocument", "you have no open document of this name: ", "name", EXIT_PAGE_FAILED},
	{"io.pageferry.Gone", "the page is no longer there, it was ", "reason", EXIT_PAGE_FAILED},
	{"io.pageferry.Ambiguous", "several ids start so: ", "page", EXIT_PAGE_FAILED},
	{"io.pageferry.NoSuchType", "there is no such document type: ", "type", EXIT_USAGE},
	{"io.pageferry.NoSuchSource", "there is no such source in the configuration: ", "source", EXIT_USAGE},
	{"io.pageferry.NoOriginal", "what came from the source was not kept (KeepOriginal=) of page ", "page", EXIT_PAGE_FAILED},
	{"io.pageferry.NoSuchArea", "the doctor knows no area ", "area", EXIT_USAGE},
	{"io.pageferry.NoRoom", "there is no room: ", "message", EXIT_PAGE_FAILED},
	{"io.pageferry.Busy", "busy: ", "message", EXIT_PAGE_FAILED},
	{"io.pageferry.BadDescriptor", "the file cannot be taken: ", "message", EXIT_PAGE_FAILED},
	{"io.pageferry.NotNow", "not now: ", "message", EXIT_PAGE_FAILED},
	{"org.varlink.service.MethodNotFound", "the service is of another version: it does not know ",
		"method", EXIT_UNREACHABLE},
	{"org.varlink.service.InterfaceNotFound", "this is another service: it does not know ", "interface",
		EXIT_UNREACHABLE},
	{"org.varlink.service.InvalidParameter", "the service does not accept the parameter ", "parameter",
		EXIT_USAGE},
};

static const struct error *error_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		if (streq(errors[i].name, name))
			return &errors[i];
	return NULL;
}

static int add_known(const struct client_reply *r, struct buf *out)
{
	const cJSON *known = json_get_array(r->parameters, "known"), *j;
	int e = known ? buf_adds(out, "; there are:") : 0;

	cJSON_ArrayForEach (j, known) {
		if (e < 0 || !cJSON_IsString(j))
			continue;
		e = buf_addc(out, ' ');
		if (e >= 0)
			e = text_safe(out, j->valuestring, strlen(j->valuestring), 40);
	}
	return e;
}

/* Of a page that is gone. */
static int add_time(const struct client_reply *r, struct buf *out)
{
	const char *time = json_get_string(r->parameters, "time");
	int e = time ? buf_adds(out, " (") : 0;

	if (e >= 0 && time)
		e = format_time(out, time);
	if (e >= 0 && time)
		e = buf_adds(out, " UTC; it had cost ");
	if (e >= 0 && time)
		e = format_money_text(out, json_get_string(r->parameters, "costPicoUsd"));
	return e < 0 || !time ? e : buf_addc(out, ')');
}

int ctl_error_text(const struct client_reply *r, struct buf *out)
{
	const struct error *x = error_find(r->error);
	const char *value = x && x->parameter ? json_get_string(r->parameters, x->parameter) : NULL;
	int e;

	e = x ? buf_adds(out, x->text) : text_safe(out, r->error, strlen(r->error), 100);
	if (e >= 0 && value)
		e = text_safe(out, value, strlen(value), 400);
	if (e >= 0 && streq(r->error, "io.pageferry.Gone"))
		e = add_time(r, out);
	return e < 0 ? e : add_known(r, out);
}

int ctl_error_reply(const struct client_reply *r, const char *what)
{
	const struct error *x = error_find(r->error);
	_cleanup_buf_ struct buf text = {};
	char safe[160];

	if (ctl_error_text(r, &text) < 0)
		return EXIT_PAGE_FAILED;
	if (what)
		ctl_say("%s: %s", text_safe_copy(safe, sizeof(safe), what), buf_str(&text));
	else
		ctl_say("%s", buf_str(&text));
	return x ? (int)x->code : EXIT_PAGE_FAILED;
}

int ctl_call_take(struct ctl *c, const char *method, cJSON *parameters, struct client_reply *ret)
{
	struct client *client = NULL;
	int r = ctl_connect(c, &client);

	if (r != EXIT_WELL) {
		cJSON_Delete(parameters);
		return r;
	}
	r = client_send_take(client, method, parameters, false, -1);
	if (r >= 0)
		r = client_wait(client, c->deadline_ms, ret);
	client_free(client);
	if (r < 0)
		return ctl_exchange_failed(c, r);
	if (!ret->error)
		return EXIT_WELL;
	r = ctl_error_reply(ret, NULL);
	client_reply_clear(ret);
	return r;
}

const char *page_looks(const cJSON *page, char *out, size_t size)
{
	static const char *const verdicts[] = {"nothing", "blurred", "glare", "cut-off"};
	const cJSON *sense = json_get_object(page, "sense");
	const char *verdict = text_of(json_get_object(sense, "gate"), "verdict"), *known = "";
	bool blank = false;

	for (size_t i = 0; i < ARRAY_SIZE(verdicts); i++)
		if (streq(verdict, verdicts[i]))
			known = verdicts[i];
	json_get_bool(json_get_object(sense, "blank"), "blank", &blank);
	str_format(out, size, "%s%s%s", blank ? "blank" : "", blank && *known ? ", " : "", known);
	return out;
}
