#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "cloud/creds.h"
#include "tests/unit/test.h"

#define KEY    "AKIDEXAMPLE00001"
#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY="

static char why[512];

static const char *write_file(const char *name, const char *text)
{
	static char path[256];
	int fd;

	CHECK(str_format(path, sizeof(path), "%s/%s", test_tmpdir(), name) > 0);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK(write_all(fd, text, strlen(text)) == 0);
	close(fd);
	return path;
}

static int load_text(const char *text, const char *profile, struct creds *c)
{
	struct creds_options o = {.file = write_file("aws", text), .profile = profile};
	int r;

	memset(c, 0, sizeof(*c));
	r = creds_load(&o, c, why, sizeof(why));
	if (r < 0) {
		/* a message names the source and never a secret */
		CHECK(*why && strstr(why, "/aws"));
		CHECK(!strstr(why, "wJalr") && !strstr(why, "AKID") && !strstr(why, "TOKENTOKEN"));
	}
	return r;
}

static void clear_environment(void)
{
	static const char *const names[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
		"AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_EXPIRATION", "CREDENTIALS_DIRECTORY"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
}

TEST(ini_as_the_cli_writes_it)
{
	static const char text[] =
		"# comment\n; another\n[default]\naws_access_key_id = OTHERKEY00000000\naws_secret_access_key=OTHERSECRET00000\n"
		"\n[scanner]\r\naws_access_key_id = " KEY "\r\naws_secret_access_key =" SECRET
		"\r\naws_session_token = TOKENTOKEN==\nregion = ap-southeast-2\ns3 =\n  max_concurrent_requests = 20\n";
	struct creds c;

	CHECK_INT(load_text(text, "scanner", &c), 0);
	CHECK_STR(c.access_key, KEY);
	CHECK_STR(c.secret_key, SECRET);
	CHECK_STR(c.token, "TOKENTOKEN==");
	CHECK(c.expires_ms == 0 && creds_fresh(&c, INT64_C(4000000000000)));
	CHECK(starts_with(c.source, "file /"));
	creds_clear(&c);
	CHECK(!c.token && !*c.secret_key && !*c.access_key);
	CHECK_INT(load_text(text, NULL, &c), 0);
	CHECK_STR(c.access_key, "OTHERKEY00000000");
	creds_clear(&c);
	CHECK_INT(
		load_text("[profile scanner]\naws_access_key_id=" KEY "\naws_secret_access_key=" SECRET, "scanner", &c),
		0);
	creds_clear(&c);
	CHECK_INT(load_text(text, "nobody", &c), -EBADMSG);
	CHECK(strstr(why, "no profile [nobody]"));
}

TEST(broken_ini)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{"", "no profile"},
		{"[default]\n", "neither"},
		{"[default]\naws_access_key_id=" KEY "\n", "no secret key"},
		{"[default]\naws_secret_access_key=" SECRET "\n", "no access key"},
		{"[default]\naws_access_key_id=\naws_secret_access_key=" SECRET "\n", "no access key"},
		{"[default\naws_access_key_id=" KEY, "line 1: a section without ']'"},
		{"[default]\nwJalrXUtnFEMI\n", "line 2: not of the form"},
		{"[default]\naws_access_key_id=" KEY "\naws_access_key_id=" KEY "\n", "line 3: the key stands"},
		{"[default]\na=b\n[default]\n", "line 3: the profile stands there twice"},
		{"[default]\naws_access_key_id=AKID 1\naws_secret_access_key=" SECRET "\n", "without blanks"},
		{"[default]\naws_access_key_id=" KEY "\naws_secret_access_key=wJalr\x01\n", "without blanks"},
		{"[default]\naws_access_key_id=" KEY "\naws_secret_access_key=" SECRET
		 "\naws_session_token=TOKENTOKEN x\n",
			"token"},
		{"[default]\naws_access_key_id=" KEY "\naws_secret_access_key=" SECRET
		 "\naws_credential_expiration=soon\n",
			"expiry"},
		{"[default]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = y\n", "not supported"},
	};
	struct creds c;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (load_text(bad[i].text, NULL, &c) != -EBADMSG || !strstr(why, bad[i].why))
			test_fail(__FILE__, __LINE__, "case %zu: %s", i, why);
	}
}

TEST(json)
{
	struct creds c;

	CHECK_INT(load_text("\n {\"Version\":1,\"AccessKeyId\":\"" KEY "\",\"SecretAccessKey\":\"" SECRET
			    "\",\"SessionToken\":\"TOKENTOKEN\","
			    "\"Expiration\":\"2026-11-21T00:00:00Z\"}\n",
			  NULL, &c),
		0);
	CHECK_STR(c.token, "TOKENTOKEN");
	CHECK_INT(c.expires_ms, INT64_C(1795219200000));
	CHECK(creds_fresh(&c, c.expires_ms - 60001));
	CHECK(!creds_fresh(&c, c.expires_ms - 60000));
	CHECK(!creds_fresh(&c, c.expires_ms + 1));
	creds_clear(&c);
	CHECK_INT(load_text("{\"AccessKeyId\":\"" KEY "\",\"SecretAccessKey\":\"" SECRET "\",\"Token\":\"TOKENTOKEN\"}",
			  NULL, &c),
		0);
	CHECK_STR(c.token, "TOKENTOKEN");
	creds_clear(&c);
	CHECK_INT(load_text("{\"AccessKeyId\":\"" KEY "\"}", NULL, &c), -EBADMSG);
	CHECK_INT(load_text("{\"AccessKeyId\":\"" KEY "\",\"SecretAccessKey\":\"\"}", NULL, &c), -EBADMSG);
	CHECK_INT(load_text("{\"AccessKeyId\":\"" KEY "\",\"SecretAccessKey\":5}", NULL, &c), -EBADMSG);
	CHECK_INT(load_text("{\"AccessKeyId\":\"" KEY "\",", NULL, &c), -EBADMSG);
	CHECK_INT(load_text("{\"AccessKeyId\":\"" KEY "\",\"SecretAccessKey\":\"" SECRET "\",\"Expiration\":\"x\"}",
			  NULL, &c),
		-EBADMSG);
}

TEST(environment)
{
	struct creds_options o = {.environment = true};
	struct creds c = {};

	clear_environment();
	CHECK_INT(creds_load(&o, &c, why, sizeof(why)), -ENOKEY);
	CHECK(strstr(why, "environment"));
	setenv("AWS_ACCESS_KEY_ID", KEY, 1);
	CHECK_INT(creds_load(&o, &c, why, sizeof(why)), -EBADMSG);
	CHECK(strstr(why, "environment: has an access key but no secret key") && !strstr(why, KEY));
	setenv("AWS_SECRET_ACCESS_KEY", SECRET, 1);
	setenv("AWS_CREDENTIAL_EXPIRATION", "2026-11-21T00:00:00Z", 1);
	CHECK_INT(creds_load(&o, &c, why, sizeof(why)), 0);
	CHECK_STR(c.source, "environment");
	CHECK(!c.token && c.expires_ms == INT64_C(1795219200000));
	creds_clear(&c);
	o.environment = false;
	CHECK_INT(creds_load(&o, &c, why, sizeof(why)), -ENOKEY);
	clear_environment();
}

TEST(order_is_credential_file_environment)
{
	char file[256];
	struct creds_options o = {.credential = "aws", .file = file, .environment = true};
	struct creds c;

	clear_environment();
	setenv("AWS_ACCESS_KEY_ID", "ENVKEY", 1);
	setenv("AWS_SECRET_ACCESS_KEY", SECRET, 1);
	setenv("CREDENTIALS_DIRECTORY", test_tmpdir(), 1);
	CHECK(str_format(file, sizeof(file), "%s/file", test_tmpdir()) > 0);
	CHECK_INT(creds_load(&o, &c, why, sizeof(why)), 0);
	CHECK_STR(c.access_key, "ENVKEY");
	creds_clear(&c);
	write_file("file", "[default]\naws_access_key_id=FILEKEY\naws_secret_access_key=" SECRET);
	CHECK_INT(creds_load(&o, &c, why, sizeof(why)), 0);
	CHECK_STR(c.access_key, "FILEKEY");
	creds_clear(&c);
	write_file("aws", "{\"AccessKeyId\":\"CREDKEY\",\"SecretAccessKey\":\"" SECRET "\"}");
	CHECK_INT(creds_load(&o, &c, why, sizeof(why)), 0);
	CHECK_STR(c.access_key, "CREDKEY");
	CHECK_STR(c.source, "systemd credential aws");
	creds_clear(&c);
	/* one that is there and broken is an error, not a reason to look further */
	write_file("aws", "{");
	CHECK_INT(creds_load(&o, &c, why, sizeof(why)), -EBADMSG);
	o.credential = "../aws";
	CHECK_INT(creds_load(&o, &c, why, sizeof(why)), -EBADMSG);
	clear_environment();
}

TEST(odd_files)
{
	_cleanup_free_ char *big = malloc(70000);
	char path[256];
	struct creds_options o = {.file = path};
	struct creds c;

	CHECK(big);
	memset(big, 'x', 69999);
	big[69999] = '\0';
	CHECK_INT(load_text(big, NULL, &c), -EFBIG);
	CHECK(str_format(path, sizeof(path), "%s/folder", test_tmpdir()) > 0);
	CHECK(mkdir(path, 0700) == 0);
	CHECK_INT(creds_load(&o, &c, why, sizeof(why)), -EINVAL);
	CHECK(str_format(path, sizeof(path), "%s/fifo", test_tmpdir()) > 0);
	CHECK(mkfifo(path, 0600) == 0);
	CHECK_INT(creds_load(&o, &c, why, sizeof(why)), -EINVAL); /* and does not hang */
	CHECK(str_format(path, sizeof(path), "%s/none", test_tmpdir()) > 0);
	CHECK_INT(creds_load(&o, &c, why, sizeof(why)), -ENOKEY);
	CHECK(strstr(why, path));
}
