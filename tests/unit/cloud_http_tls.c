/* Who the other side is, and who we are. */
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/unit/cloud_http_fixture.h"

static pid_t tls_child = -1;

/* A server of tests/unit/cloud_tls_server.py in `dir`: its port and the certificate's hash come on its stdout. */
static void start_tls(const char *dir, const char *client_ca, char hash[static 65])
{
	char line[160] = "", *end;
	int p[2];
	size_t len = 0;
	ssize_t n = 1;

	CHECK(pipe2(p, O_CLOEXEC) == 0);
	tls_child = fork();
	CHECK(tls_child >= 0);
	if (tls_child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(p[1], 1);
		execlp("python3", "python3", "tests/unit/cloud_tls_server.py", dir, client_ca, (char *)NULL);
		_exit(127);
	}
	close(p[1]);
	while (n > 0 && !strchr(line, '\n') && len < sizeof(line) - 1) {
		n = read(p[0], line + len, sizeof(line) - 1 - len);
		len += (size_t)MAX(n, 0);
	}
	close(p[0]);
	if (n <= 0)
		test_skip("python3 with ssl, and openssl, are needed");
	server.port = (int)strtol(line, &end, 10);
	CHECK(*end == ' ' && strlen(end + 1) >= 64);
	memcpy(hash, end + 1, 64);
	hash[64] = '\0';
}

static void stop_tls(void)
{
	kill(tls_child, SIGKILL);
	waitpid(tls_child, NULL, 0);
	http_free(http);
}

static void tls_request(struct request *r, const char *url, const char *to, const char *ca)
{
	make_request(r, "{}");
	free(r->url);
	r->url = strdup(url);
	r->connect_to = to;
	r->ca_file = ca;
}

TEST(tls_is_verified_and_the_certificate_told)
{
	char hash[65], ca[256], to[64], dir[200];
	struct request r;

	CHECK(str_format(dir, sizeof(dir), "%s", test_tmpdir()) > 0);
	start_loop();
	start_tls(dir, NULL, hash);
	CHECK(str_format(ca, sizeof(ca), "%s/cert.pem", dir) > 0);
	CHECK(str_format(to, sizeof(to), "127.0.0.1:%d", server.port) > 0);
	tls_request(&r, "https://bedrock.example/x", to, ca);
	exchange(&r);
	if (seen.reply.error != TRANSPORT_OK)
		test_fail(__FILE__, __LINE__, "%s", seen.reply.detail);
	CHECK_STR(seen.reply.peer_sha256, hash);
	CHECK_INT(seen.reply.date_ms, INT64_C(1795219200000));
	/* again on the kept connection, which shows no certificate anew */
	seen.reply.peer_sha256[0] = '\0';
	exchange(&r);
	CHECK_STR(seen.reply.peer_sha256, hash);
	CHECK_STR(buf_str(&seen.body), "1"); /* the server's count of connections */
	request_free(&r);
	/* the system's authorities do not know it */
	tls_request(&r, "https://bedrock.example/x", to, NULL);
	exchange(&r);
	CHECK(seen.reply.error == TRANSPORT_TLS && !seen.reply.sent && seen.reply.date_ms == 0);
	request_free(&r);
	/* another name */
	tls_request(&r, "https://other.example/x", to, ca);
	exchange(&r);
	CHECK(seen.reply.error == TRANSPORT_TLS && !seen.reply.sent);
	request_free(&r);
	stop_tls();
}

static void load_pem(const char *name, struct buf *out)
{
	char path[512];

	CHECK(str_format(path, sizeof(path), "%sx509/%s", test_data(), name) > 0);
	CHECK_INT(file_read(AT_FDCWD, path, 65536, out), 0);
}

/* With TLS 1.3 the client's side of the handshake is done before the server looks at the certificate: how the end shows is a
 * matter of who is faster. */
static bool turned_away(void)
{
	return seen.reply.status == 0 && (seen.reply.error == TRANSPORT_TLS || seen.reply.error == TRANSPORT_BROKEN ||
						 seen.reply.error == TRANSPORT_CONNECT);
}

/* A client is asked for its certificate: the right one is taken, no other, and no connection is used again for somebody else. */
TEST(client_certificates_are_shown)
{
	_cleanup_buf_ struct buf cert = {}, key = {}, rsa_cert = {}, rsa_key = {};
	char hash[65], ca[256], client_ca[512], to[64], dir[200];
	struct request r;

	load_pem("chain.pem", &cert);
	load_pem("ec.key", &key);
	load_pem("rsa.pem", &rsa_cert);
	load_pem("rsa.key", &rsa_key);
	CHECK(str_format(dir, sizeof(dir), "%s", test_tmpdir()) > 0);
	CHECK(str_format(client_ca, sizeof(client_ca), "%sx509/root.pem", test_data()) > 0);
	start_loop();
	start_tls(dir, client_ca, hash);
	CHECK(str_format(ca, sizeof(ca), "%s/cert.pem", dir) > 0);
	CHECK(str_format(to, sizeof(to), "127.0.0.1:%d", server.port) > 0);
	tls_request(&r, "https://bedrock.example/x", to, ca);
	r.client_cert = buf_str(&cert);
	r.client_key = buf_str(&key);
	for (int i = 1; i <= 2; i++) {
		char want[64];

		CHECK(str_format(want, sizeof(want), "%d scanner-1 bedrock.example", i) > 0);
		exchange(&r);
		if (seen.reply.error != TRANSPORT_OK)
			test_fail(__FILE__, __LINE__, "%s", seen.reply.detail);
		CHECK_STR(buf_str(&seen.body), want);
	}
	r.client_cert = r.client_key = NULL;
	exchange(&r);
	CHECK(turned_away());
	r.client_cert = buf_str(&rsa_cert); /* its chain to the root is not there */
	r.client_key = buf_str(&rsa_key);
	exchange(&r);
	/* whoever is faster: somebody was there, and hung up */
	if (!turned_away() || seen.reply.error == TRANSPORT_CONNECT || strstr(seen.reply.detail, "getpeername"))
		test_fail(__FILE__, __LINE__, "%d: %s", seen.reply.error, seen.reply.detail);
	r.client_key = buf_str(&key); /* of another certificate */
	exchange(&r);
	CHECK(seen.reply.error == TRANSPORT_TLS && !seen.reply.sent);
	r.client_key = NULL;
	CHECK_INT(http_send(http, &r, on_done, NULL, NULL), -EINVAL);
	request_free(&r);
	stop_tls();
}
