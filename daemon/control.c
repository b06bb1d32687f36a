#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "daemon/doctor.h"
#include "daemon/methods.h"

#define BACKLOG 32

static const char interface_text[] = ""
#include "io.pageferry.varlink.h"
	;
/* varlink.org, "Service": what every service answers. */
static const char service_interface_text[] =
	"# Tells what a service is and which interfaces it has.\n"
	"interface org.varlink.service\n\n"
	"method GetInfo() -> (vendor: string, product: string, version: string, url: string, interfaces: "
	"[]string)\n"
	"method GetInterfaceDescription(interface: string) -> (description: string)\n\n"
	"error InterfaceNotFound (interface: string)\n"
	"error MethodNotFound (method: string)\n"
	"error MethodNotImplemented (method: string)\n"
	"error InvalidParameter (parameter: string)\n"
	"error PermissionDenied ()\n"
	"error ExpectedMore ()\n";

/* ---- answers ------------------------------------------------------------------------------------------- */

static void fail(struct varlink_conn *conn, const char *error, const char *key, const char *value)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();

	if (!j || (key && json_add_safe(j, key, value) < 0))
		varlink_drop(conn);
	else
		varlink_error_take(conn, error, take_ptr(j));
}

void control_fail(struct varlink_conn *conn, const char *name, const char *key, const char *value)
{
	char error[64];

	str_format(error, sizeof(error), INTERFACE ".%s", name);
	fail(conn, error, key, value);
}

void control_reply_take(struct varlink_conn *conn, int error, cJSON *parameters)
{
	_cleanup_json_ cJSON *owned = parameters;
	_cleanup_buf_ struct buf text = {};

	if (error < 0 && error != -ENOMEM) {
		log_warning("control socket: a call cannot be answered: %s", errno_text(error));
		control_fail(conn, "NotNow", "message", "the spool cannot be read");
	} else if (error < 0 || !owned || json_print(owned, false, &text) < 0) {
		log_warning("control socket: a call cannot be answered: out of memory");
		varlink_drop(conn);
	} else {
		varlink_reply(conn, buf_str(&text), text.len, false);
	}
}

void control_invalid(struct varlink_conn *conn, const char *parameter)
{
	fail(conn, "org.varlink.service.InvalidParameter", "parameter", parameter);
}

/* ---- pending calls ------------------------------------------------------------------------------------- */

struct pending *pending_new(
	struct control *c, struct varlink_conn *conn, const struct varlink_call *call, int kind)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->control = c;
	p->conn = conn;
	p->kind = kind;
	p->more = call->more;
	p->rights = control_rights(c, varlink_peer_of(conn));
	p->next = c->pending;
	c->pending = p;
	varlink_set_userdata(conn, p);
	return p;
}

void pending_free(struct control *c, struct pending *p)
{
	if (!p)
		return;
	for (struct pending **at = &c->pending; *at; at = &(*at)->next)
		if (*at == p) {
			*at = p->next;
			break;
		}
	varlink_set_userdata(p->conn, NULL);
	change_free(p->change);
	doctor_cancel(p->doctor);
	crop_free(p->crop);
	cJSON_Delete(p->pages);
	free(p);
}

/* ---- org.varlink.service ------------------------------------------------------------------------------- */

static int info_json(cJSON **ret)
{
	_cleanup_json_ cJSON *j = cJSON_CreateObject();
	cJSON *interfaces = cJSON_CreateArray();

	if (!interfaces || !cJSON_AddItemToArray(interfaces, cJSON_CreateString("org.varlink.service")) ||
		!cJSON_AddItemToArray(interfaces, cJSON_CreateString(INTERFACE))) {
		cJSON_Delete(interfaces);
		return -ENOMEM;
	}
	if (json_add_take(j, "interfaces", interfaces) < 0 || json_add_string(j, "vendor", "pageferry") < 0 ||
		json_add_string(j, "product", "pageferryd") < 0 ||
		json_add_string(j, "version", PAGEFERRY_VERSION) < 0 || json_add_string(j, "url", "") < 0)
		return -ENOMEM;
	*ret = take_ptr(j);
	return 0;
}

static void get_info(struct control *c, struct varlink_conn *conn, const struct varlink_call *call)
{
	cJSON *j = NULL;
	int r = info_json(&j);

	control_reply_take(conn, r, j);
}

static void get_interface_description(
	struct control *c, struct varlink_conn *conn, const struct varlink_call *call)
{
	const char *name = json_get_string(call->parameters, "interface");
	const char *text = streq(name, INTERFACE)               ? interface_text
			   : streq(name, "org.varlink.service") ? service_interface_text
								: NULL;
	_cleanup_json_ cJSON *j = NULL;
	int r;

	if (!text) {
		fail(conn, "org.varlink.service.InterfaceNotFound", "interface", name);
		return;
	}
	j = cJSON_CreateObject();
	r = json_add_string(j, "description", text);
	control_reply_take(conn, r, take_ptr(j));
}

static const struct method service_methods[] = {
	{"GetInfo", 0, false, get_info, {}},
	{"GetInterfaceDescription", 0, false, get_interface_description, {{"interface", PARAM_STRING, true}}},
	{},
};

/* ---- dispatch ------------------------------------------------------------------------------------------ */

unsigned int control_rights(const struct control *c, const struct varlink_peer *p)
{
	if (p->uid == 0 || p->uid == geteuid())
		return RIGHT_LOOK | RIGHT_READ | RIGHT_SUBMIT | RIGHT_MANAGE;
	if (c->manage != (gid_t)-1 && varlink_peer_in_group(p, c->manage))
		return RIGHT_LOOK | RIGHT_READ | RIGHT_SUBMIT | RIGHT_MANAGE;
	if (c->look != (gid_t)-1 && varlink_peer_in_group(p, c->look))
		return RIGHT_LOOK | RIGHT_READ | RIGHT_SUBMIT;
	return 0;
}

static const char *right_name(unsigned int right)
{
	return right == RIGHT_LOOK     ? "look"
	       : right == RIGHT_READ   ? "read"
	       : right == RIGHT_SUBMIT ? "submit"
				       : "manage";
}

bool control_require(struct varlink_conn *conn, unsigned int rights, unsigned int right)
{
	if (rights & right)
		return true;
	control_fail(conn, "NotAllowed", "right", right_name(right));
	return false;
}

static bool is_strings(const cJSON *j)
{
	const cJSON *item;

	if (!cJSON_IsArray(j))
		return false;
	cJSON_ArrayForEach (item, j)
		if (!cJSON_IsString(item))
			return false;
	return true;
}

static bool param_fits(const struct param *p, const cJSON *object)
{
	const cJSON *j = json_get(object, p->name);
	int64_t n;

	if (!j || cJSON_IsNull(j))
		return !p->required;
	switch (p->kind) {
	case PARAM_STRING:
		return cJSON_IsString(j);
	case PARAM_INT:
		return json_get_i64(object, p->name, &n) == 0;
	case PARAM_STRINGS:
		return is_strings(j);
	case PARAM_OBJECT:
		return cJSON_IsObject(j);
	case PARAM_BOOL:
		return cJSON_IsBool(j);
	}
	return false;
}

static const struct param *param_find(const struct method *m, const char *name)
{
	for (const struct param *p = m->params; p->name; p++)
		if (streq(p->name, name))
			return p;
	return NULL;
}

/* The name of the first parameter that is not as the interface says, or NULL. */
static const char *params_problem(const struct method *m, const cJSON *parameters)
{
	const cJSON *j;

	cJSON_ArrayForEach (j, parameters)
		if (!param_find(m, j->string))
			return j->string;
	for (const struct param *p = m->params; p->name; p++)
		if (!param_fits(p, parameters))
			return p->name;
	return NULL;
}

static void call_method(
	struct control *c, struct varlink_conn *conn, const struct method *m, const struct varlink_call *call)
{
	const char *problem;

	if (m->right && !control_require(conn, control_rights(c, varlink_peer_of(conn)), m->right))
		return;
	if (call->upgrade) {
		fail(conn, "org.varlink.service.MethodNotImplemented", "method", call->method);
		return;
	}
	if (m->needs_more && !call->more) {
		fail(conn, "org.varlink.service.ExpectedMore", NULL, NULL);
		return;
	}
	problem = params_problem(m, call->parameters);
	if (problem)
		control_invalid(conn, problem);
	else
		m->call(c, conn, call);
}

static void on_call(void *ud, struct varlink_conn *conn, const struct varlink_call *call)
{
	const struct method *m;
	char interface[64];
	const char *name;

	if (varlink_method_split(call->method, interface, sizeof(interface), &name) < 0) {
		fail(conn, "org.varlink.service.MethodNotFound", "method", call->method);
		return;
	}
	m = streq(interface, INTERFACE)               ? methods
	    : streq(interface, "org.varlink.service") ? service_methods
						      : NULL;
	if (!m) {
		fail(conn, "org.varlink.service.InterfaceNotFound", "interface", interface);
		return;
	}
	while (m->name && !streq(m->name, name))
		m++;
	if (m->name)
		call_method(ud, conn, m, call);
	else
		fail(conn, "org.varlink.service.MethodNotFound", "method", call->method);
}

static void on_closed(void *ud, struct varlink_conn *conn)
{
	pending_free(ud, varlink_userdata(conn));
}

static void on_drained(void *ud, struct varlink_conn *conn)
{
	struct pending *p = varlink_userdata(conn);

	if (p && p->kind == PENDING_MONITOR)
		monitor_drained(ud, p);
}

static const struct varlink_server_ops server_ops = {
	.call = on_call, .closed = on_closed, .drained = on_drained};

/* ---- the socket ---------------------------------------------------------------------------------------- */

/* A descriptor that systemd passed, or -ENODATA. */
static int passed_socket(void)
{
	int n = sd_listen_fds(1);

	for (int fd = SD_LISTEN_FDS_START; n > 0 && fd < SD_LISTEN_FDS_START + n; fd++)
		if (sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) > 0)
			return fd;
	return n < 0 ? n : -ENODATA;
}

/* Removes a socket that a dead service left. -EADDRINUSE: somebody listens, or it is no socket. */
static int remove_stale(const struct sockaddr_un *a)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (lstat(a->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EADDRINUSE;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 || errno != ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(a->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

/* Nobody but us may connect before group and mode are right: the mode comes last. */
static int open_rights(struct control *c)
{
	struct stat st;

	if (lstat(c->path, &st) < 0)
		return -errno;
	c->dev = st.st_dev;
	c->ino = st.st_ino;
	if (c->look != (gid_t)-1 && lchown(c->path, (uid_t)-1, c->look) < 0)
		log_warning(
			"control socket: its group cannot be set (%s): only root and this user may connect",
			errno_text(-errno));
	return chmod(c->path, 0660) < 0 ? -errno : 0;
}

static int own_socket(struct control *c)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;
	mode_t mask;
	int r;

	r = str_copy(a.sun_path, sizeof(a.sun_path), c->service->config.control_socket);
	if (r >= 0)
		r = remove_stale(&a);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	mask = umask(0177);
	r = bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? -errno : 0;
	umask(mask);
	if (r < 0)
		return r;
	str_copy(c->path, sizeof(c->path), a.sun_path);
	r = open_rights(c);
	if (r >= 0 && listen(fd, BACKLOG) < 0)
		r = -errno;
	return r < 0 ? r : take_fd(&fd);
}

/* The socket goes when it is still the one that we made. */
static void remove_own(const struct control *c)
{
	struct stat st;

	if (c->path[0] && lstat(c->path, &st) == 0 && st.st_dev == c->dev && st.st_ino == c->ino)
		unlink(c->path);
}

static gid_t group_id(const char *name)
{
	const struct group *g = *name ? getgrnam(name) : NULL;

	if (*name && !g)
		log_debug("control socket: there is no group \"%s\"", name);
	return g ? g->gr_gid : (gid_t)-1;
}

static int open_socket(struct control *c)
{
	int fd = passed_socket();

	return fd == -ENODATA ? own_socket(c) : fd;
}

int control_new(struct service *s, struct control **ret, char *why, size_t why_size)
{
	struct control *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->service = s;
	c->look = group_id(s->config.group_look);
	c->manage = group_id(s->config.group_manage);
	r = varlink_server_new(s->event, &server_ops, c, &c->server);
	if (r >= 0)
		r = open_socket(c);
	if (r >= 0)
		r = varlink_server_listen_take(c->server, r);
	if (r < 0) {
		snprintf(why, why_size, "cannot listen on %s: %s", s->config.control_socket,
			r == -EADDRINUSE ? "another service listens there, or it is no socket"
					 : errno_text(r));
		control_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	varlink_server_free(c->server);
	remove_own(c);
	free(c);
}
