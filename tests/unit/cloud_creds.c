#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "cloud/creds_source.h"
#include "tests/unit/test.h"

#define KEY    "AKIDEXAMPLE00001"
#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY="

static char why[512], reason[64];

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

/* One retrieval of a source that needs nothing but its files. 0 with credentials, -1 with reason and message. */
static int load(const struct creds_config *config, struct creds *c)
{
	struct creds_source *s;
	struct creds_step step;

	memset(c, 0, sizeof(*c));
	CHECK_INT(creds_source_new(config, &s), 0);
	CHECK_INT(creds_source_next(s, &(struct creds_input){.now_ms = INT64_C(1795219200000)}, &step), 0);
	creds_source_free(s);
	CHECK(step.local);
	if (step.action == CREDS_HAVE) {
		CHECK(!*step.reason && !*step.message);
		*c = step.creds;
		return 0;
	}
	CHECK(step.action == CREDS_FAILED && *step.reason && !*step.creds.secret_key);
	str_copy(reason, sizeof(reason), step.reason);
	str_copy(why, sizeof(why), step.message);
	CHECK(!strstr(why, "wJalr") && !strstr(why, "AKID") && !strstr(why, "TOKENTOKEN"));
	creds_step_clear(&step);
	return -1;
}

static int load_text(const char *text, const char *profile, struct creds *c)
{
	struct creds_config config = {.kind = CREDS_FILE};
	int r;

	str_copy(config.file, sizeof(config.file), write_file("aws", text));
	if (profile)
		str_copy(config.profile, sizeof(config.profile), profile);
	r = load(&config, c);
	if (r < 0) {
		/* a message names the source */
		CHECK(*why && strstr(why, "/aws"));
		CHECK_STR(reason, "bad-credentials");
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
	CHECK_INT(load_text(text, "nobody", &c), -1);
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
		{"[default\naws_access_key_id=" KEY, "line 1: the section's ] is missing"},
		{"[default]\nwJalrXUtnFEMI\n", "line 2: not a line"},
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
		{"[default]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = y\n", "Source=profile"},
	};
	struct creds c;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (load_text(bad[i].text, NULL, &c) != -1 || !strstr(why, bad[i].why))
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
	CHECK_INT(load_text("{\"AccessKeyId\":\"" KEY "\"}", NULL, &c), -1);
	CHECK_INT(load_text("{\"AccessKeyId\":\"" KEY "\",\"SecretAccessKey\":\"\"}", NULL, &c), -1);
	CHECK_INT(load_text("{\"AccessKeyId\":\"" KEY "\",\"SecretAccessKey\":5}", NULL, &c), -1);
	CHECK_INT(load_text("{\"AccessKeyId\":\"" KEY "\",", NULL, &c), -1);
	CHECK_INT(load_text("{\"AccessKeyId\":\"" KEY "\",\"SecretAccessKey\":\"" SECRET "\",\"Expiration\":\"x\"}",
			  NULL, &c),
		-1);
}

TEST(environment)
{
	const struct creds_config config = {.kind = CREDS_ENVIRONMENT};
	struct creds c = {};

	clear_environment();
	CHECK_INT(load(&config, &c), -1);
	CHECK_STR(reason, "no-credentials");
	CHECK(strstr(why, "environment"));
	setenv("AWS_ACCESS_KEY_ID", KEY, 1);
	CHECK_INT(load(&config, &c), -1);
	CHECK_STR(reason, "bad-credentials");
	CHECK(strstr(why, "environment: has an access key but no secret key") && !strstr(why, KEY));
	setenv("AWS_SECRET_ACCESS_KEY", SECRET, 1);
	setenv("AWS_CREDENTIAL_EXPIRATION", "2026-11-21T00:00:00Z", 1);
	CHECK_INT(load(&config, &c), 0);
	CHECK_STR(c.source, "environment");
	CHECK(!c.token && c.expires_ms == INT64_C(1795219200000));
	creds_clear(&c);
	setenv("AWS_SECURITY_TOKEN", "OLDNAME", 1);
	CHECK_INT(load(&config, &c), 0);
	CHECK_STR(c.token, "OLDNAME");
	creds_clear(&c);
	setenv("AWS_SESSION_TOKEN", "NEWNAME", 1);
	CHECK_INT(load(&config, &c), 0);
	CHECK_STR(c.token, "NEWNAME");
	creds_clear(&c);
	clear_environment();
}

TEST(systemd_credential)
{
	struct creds_config config = {.kind = CREDS_SYSTEMD, .credential = "aws"};
	struct creds c;

	clear_environment();
	CHECK_INT(load(&config, &c), -1);
	CHECK_STR(reason, "no-credentials");
	CHECK(strstr(why, "systemd credential aws") && strstr(why, "LoadCredential="));
	setenv("CREDENTIALS_DIRECTORY", test_tmpdir(), 1);
	CHECK_INT(load(&config, &c), -1);
	CHECK_STR(reason, "no-credentials");
	write_file("aws", "{\"AccessKeyId\":\"CREDKEY\",\"SecretAccessKey\":\"" SECRET "\"}");
	CHECK_INT(load(&config, &c), 0);
	CHECK_STR(c.access_key, "CREDKEY");
	CHECK_STR(c.source, "systemd credential aws");
	creds_clear(&c);
	write_file("aws", "{");
	CHECK_INT(load(&config, &c), -1);
	CHECK_STR(reason, "bad-credentials");
	clear_environment();
}

TEST(odd_files)
{
	_cleanup_free_ char *big = malloc(70000);
	struct creds_config config = {.kind = CREDS_FILE};
	struct creds c;

	CHECK(big);
	memset(big, 'x', 69999);
	big[69999] = '\0';
	CHECK_INT(load_text(big, NULL, &c), -1);
	CHECK(strstr(why, "larger than 64 KiB"));
	CHECK(str_format(config.file, sizeof(config.file), "%s/folder", test_tmpdir()) > 0);
	CHECK(mkdir(config.file, 0700) == 0);
	CHECK_INT(load(&config, &c), -1);
	CHECK(str_format(config.file, sizeof(config.file), "%s/fifo", test_tmpdir()) > 0);
	CHECK(mkfifo(config.file, 0600) == 0);
	CHECK_INT(load(&config, &c), -1); /* and does not hang */
	CHECK(str_format(config.file, sizeof(config.file), "%s/none", test_tmpdir()) > 0);
	CHECK_INT(load(&config, &c), -1);
	CHECK_STR(reason, "no-credentials");
	CHECK(strstr(why, config.file));
}

TEST(hint_tells_eight_characters_at_most)
{
	struct creds c = {.access_key = "AKIAIOSFODNN7EXAMPLE"};
	char hint[CREDS_HINT_SIZE];

	creds_hint(&c, hint);
	CHECK_STR(hint, "AKIA...MPLE");
	strcpy(c.access_key, "AKIDEXAMPLE");
	creds_hint(&c, hint);
	CHECK_STR(hint, "");
}

TEST(copy_is_its_own)
{
	struct creds c = {.access_key = "A", .secret_key = "S", .token = strdup("T"), .bearer = strdup("B"), .expires_ms = 5}, d;

	CHECK_INT(creds_copy(&c, &d), 0);
	CHECK(d.token != c.token && d.bearer != c.bearer);
	creds_clear(&c);
	CHECK_STR(d.token, "T");
	CHECK_STR(d.bearer, "B");
	CHECK_STR(d.secret_key, "S");
	creds_clear(&d);
}
