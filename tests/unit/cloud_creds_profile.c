/* Profiles of the shared files, and where they lead. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fileio.h"
#include "cloud/creds_shared.h"
#include "cloud/creds_source.h"
#include "tests/unit/test.h"

#define NOW    INT64_C(1795219200)
#define SECRET "wJalrXUtnFEMI/K7MDENG"
#define ROLE   "arn:aws:iam::123456789012:role/"
#define KEYS   "aws_access_key_id=AKIDBASE\naws_secret_access_key=" SECRET "\n"

static struct creds_config config;
static struct creds_source *source;
static struct creds_step step;

static void write_file(char *path, size_t size, const char *name, const char *text)
{
	int fd;

	CHECK(str_format(path, size, "%s/%s", test_tmpdir(), name) > 0);
	unlink(path);
	if (!text)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK(write_all(fd, text, strlen(text)) == 0);
	close(fd);
}

static void end(void)
{
	creds_step_clear(&step);
	creds_source_free(source);
	source = NULL;
}

static void go(const struct reply *r)
{
	struct creds_step next;

	CHECK_INT(creds_source_next(source, &(struct creds_input){.now_ms = NOW * 1000, .signing_s = NOW, .reply = r}, &next), 0);
	creds_step_clear(&step);
	step = next;
	CHECK(!strstr(step.message, SECRET) && !strstr(step.creds.source, SECRET));
}

/* The first step with these two files (NULL: not there) and this profile (NULL: the default). */
static void begin(const char *aws_config, const char *credentials, const char *profile)
{
	config = (struct creds_config){.kind = CREDS_PROFILE, .timeout_ms = 5000};
	write_file(config.config_file, sizeof(config.config_file), "config", aws_config);
	write_file(config.file, sizeof(config.file), "credentials", credentials);
	str_copy(config.profile, sizeof(config.profile), profile ? profile : "");
	str_copy(config.region, sizeof(config.region), "ap-southeast-2");
	str_copy(config.endpoint, sizeof(config.endpoint), "https://sts.ap-southeast-2.amazonaws.com/");
	CHECK_INT(creds_source_new(&config, &source), 0);
	go(NULL);
}

static void fails(const char *reason, const char *say)
{
	if (step.action != CREDS_FAILED || !streq(step.reason, reason) || !strstr(step.message, say))
		test_fail(__FILE__, __LINE__, "%d %s: %s, not %s", step.action, step.reason, step.message, say);
}

static void has(const char *key, const char *from)
{
	CHECK(step.action == CREDS_HAVE);
	CHECK_STR(step.creds.access_key, key);
	CHECK_STR(step.creds.source, from);
}

/* STS is asked for the role by `key`; it gives another. */
static void assumes(const char *role, const char *key, const char *gives)
{
	char body[600];

	CHECK(step.action == CREDS_SEND && step.sink == GUARD_STS && !step.local);
	CHECK_STR(step.request.url, "https://sts.ap-southeast-2.amazonaws.com/");
	CHECK(strstr(request_header(&step.request, "authorization"), key));
	CHECK(strstr(step.request.segments[0].data, role));
	str_format(body, sizeof(body),
		"<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
		"<SessionToken>t</SessionToken><Expiration>2026-11-21T01:00:00Z</Expiration></Credentials></AssumeRoleResult>"
		"</AssumeRoleResponse>",
		gives);
	go(&(struct reply){.error = TRANSPORT_OK, .status = 200, .body = body, .len = strlen(body)});
}

TEST(keys_in_either_file)
{
	begin("# mine\n[profile scanner]\nregion = us-east-1\ns3 =\n  aws_access_key_id = NESTED\n\t[default]\n" KEYS, NULL, "scanner");
	has("AKIDBASE", "profile scanner");
	CHECK(step.local);
	end();
	begin(NULL, "[default]\naws_access_key_id=OTHER\naws_secret_access_key=x\n[scanner]\n" KEYS, "scanner");
	has("AKIDBASE", "profile scanner");
	end();
	begin(NULL, "[default]\n" KEYS "[scanner]\naws_access_key_id=OTHER\naws_secret_access_key=x\n", NULL);
	has("AKIDBASE", "profile default");
	end();
	begin("[profile \"my scanner\"]\r\nAWS_Access_Key_Id = AKIDBASE\r\naws_secret_access_key\t=\t" SECRET "\r\n", NULL, "my scanner");
	has("AKIDBASE", "profile my scanner");
	end();
	/* Key by key, and the credentials file wins. */
	begin("[default]\naws_access_key_id=OTHER\naws_session_token=TOKEN\n", "[default]\n" KEYS, NULL);
	has("AKIDBASE", "profile default");
	CHECK_STR(step.creds.token, "TOKEN");
	end();
}

TEST(what_cannot_be_followed)
{
	static const struct {
		const char *text, *say;
	} cases[] = {
		{"", "no profile [default]"},
		{"[other]\n" KEYS, "no profile [default]"},
		{"[default]\n", "neither keys nor role_arn"},
		{"[default]\nregion = x\n", "neither keys nor role_arn"},
		{"[default]\naws_access_key_id=AKID\n", "no secret key"},
		{"[default]\naws_secret_access_key=" SECRET "\n", "no access key"},
		{"[default\n" KEYS, "line 1: the section's ] is missing"},
		{"[default]\n" SECRET "\n", "line 2: not a line"},
		{"[default]\n" KEYS "[profile default]\n" KEYS, "line 4: the profile stands there twice"},
		{"[default]\n" KEYS "aws_access_key_id=B\n", "line 4: the key stands in the profile twice"},
		{"[default]\nrole_arn=" ROLE "a\n", "needs source_profile or credential_source"},
		{"[default]\nrole_arn=" ROLE "a\nsource_profile=b\ncredential_source=Environment\n[b]\n" KEYS, "both"},
		{"[default]\nrole_arn=" ROLE "a\nsource_profile=b\n", "no profile [b]"},
		{"[default]\nrole_arn=arn:aws-cn:iam::1:role/a\nsource_profile=b\n[b]\n" KEYS, "role_arn is not"},
		{"[default]\nrole_arn=" ROLE "a\nsource_profile=b\nduration_seconds=60\n[b]\n" KEYS, "duration_seconds"},
		{"[default]\nrole_arn=" ROLE "a\nsource_profile=b\nrole_session_name=a\n[b]\n" KEYS, "role_session_name"},
		{"[default]\nrole_arn=" ROLE "a\nsource_profile=b\nmfa_serial=m\n[b]\n" KEYS, "needs a person"},
		{"[default]\nrole_arn=" ROLE "a\ncredential_source=Lambda\n", "credential_source is not"},
		{"[default]\nsso_session=x\n", "Identity Center"},
		{"[default]\nsso_start_url=x\nsso_session=y\n", "Identity Center"},
		{"[default]\nweb_identity_token_file=/x\n", "needs role_arn"},
		{"[default]\nrole_arn=" ROLE "a\nweb_identity_token_file=x\n", "absolute path"},
		{"[default]\ncredential_process=prog\n", "absolute path"},
		{"[default]\nrole_arn=" ROLE "a\nsource_profile=default\n", "leads back"},
		{"[default]\nrole_arn=" ROLE "a\nsource_profile=b\n[b]\nrole_arn=" ROLE "b\nsource_profile=default\n", "leads back"},
		{"[default]\nrole_arn=" ROLE "0\nsource_profile=1\n[1]\nrole_arn=" ROLE "1\nsource_profile=2\n[2]\nrole_arn=" ROLE
		 "2\nsource_profile=3\n[3]\nrole_arn=" ROLE "3\nsource_profile=4\n[4]\nrole_arn=" ROLE "4\nsource_profile=5\n[5]\nrole_arn=" ROLE
		 "5\nsource_profile=6\n[6]\n" KEYS,
			"more than 5 roles"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		begin(cases[i].text, NULL, NULL);
		if (!strstr(step.message, "absolute path with at most")) /* that one is said by the source process */
			fails("bad-credentials", cases[i].say);
		CHECK(step.action == CREDS_FAILED && (step.local || strstr(cases[i].text, "process")));
		end();
	}
	begin(NULL, NULL, NULL);
	fails("no-credentials", "there is neither");
	end();
}

TEST(roles_are_assumed_one_by_the_other)
{
	begin("[default]\nrole_arn=" ROLE "top\nsource_profile=middle\nexternal_id=one/2\nduration_seconds=900\nrole_session_name=page.1\n"
	      "[profile middle]\nrole_arn=" ROLE "mid\nsource_profile=base\n",
		"[base]\n" KEYS, NULL);
	CHECK(!strstr(step.request.segments[0].data, "ExternalId"));
	assumes("role%2Fmid&RoleSessionName=pageferry&DurationSeconds=3600", "Credential=AKIDBASE/", "ASIAMIDDLE");
	assumes("role%2Ftop&RoleSessionName=page.1&DurationSeconds=900&ExternalId=one%2F2", "Credential=ASIAMIDDLE/", "ASIATOP");
	has("ASIATOP", "profile default, role top");
	CHECK(!step.local && step.creds.expires_ms == (NOW + 3600) * 1000);
	end();
}

TEST(source_profile_gives_its_keys_rather_than_its_role)
{
	begin(NULL, "[default]\nrole_arn=" ROLE "top\nsource_profile=default\n" KEYS, NULL);
	assumes("role%2Ftop", "Credential=AKIDBASE/", "ASIATOP");
	has("ASIATOP", "profile default, role top");
	end();
	begin(NULL, "[default]\nrole_arn=" ROLE "top\nsource_profile=b\n[b]\nrole_arn=" ROLE "b\nsource_profile=c\n" KEYS, NULL);
	assumes("role%2Ftop", "Credential=AKIDBASE/", "ASIATOP");
	has("ASIATOP", "profile default, role top");
	end();
}

TEST(a_role_that_is_denied_is_named)
{
	static const char denied[] = "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>";

	begin(NULL, "[default]\nrole_arn=" ROLE "top\nsource_profile=b\n[b]\n" KEYS, NULL);
	go(&(struct reply){.error = TRANSPORT_OK, .status = 403, .body = denied, .len = strlen(denied)});
	fails("access-denied", "role top: ");
	CHECK(!step.local);
	end();
}

TEST(a_role_is_assumed_with_what_the_machine_gives)
{
	setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", SECRET, 1);
	begin("[default]\nrole_arn=" ROLE "top\ncredential_source=Environment\n", NULL, NULL);
	assumes("role%2Ftop", "Credential=AKIDENV/", "ASIATOP");
	has("ASIATOP", "profile default, role top");
	end();
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	begin("[default]\nrole_arn=" ROLE "top\ncredential_source=Environment\n", NULL, NULL);
	fails("no-credentials", "environment");
	end();
	begin("[default]\nrole_arn=" ROLE "top\ncredential_source=Ec2InstanceMetadata\n", NULL, NULL);
	CHECK(step.action == CREDS_SEND && step.sink == GUARD_IMDS && !step.request.region);
	CHECK_STR(step.request.url, "http://169.254.169.254/latest/api/token");
	end();
	setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x", 1);
	begin("[default]\nrole_arn=" ROLE "top\ncredential_source=EcsContainer\n", NULL, NULL);
	CHECK(step.action == CREDS_SEND && step.sink == GUARD_CONTAINER);
	CHECK_STR(step.request.url, "http://169.254.170.2/x");
	go(&(struct reply){.error = TRANSPORT_OK, .status = 200,
		.body = "{\"AccessKeyId\":\"ASIATASK\",\"SecretAccessKey\":\"s\",\"Token\":\"t\"}", .len = 60});
	unsetenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	assumes("role%2Ftop", "Credential=ASIATASK/", "ASIATOP");
	has("ASIATOP", "profile default, role top");
	end();
}

TEST(a_program_and_a_token)
{
	static const char printed[] = "{\"Version\":1,\"AccessKeyId\":\"ASIAPROGRAM\",\"SecretAccessKey\":\"s\"}";
	char text[700], token[300];

	begin("[default]\ncredential_process = /bin/prog \"one two\"\n", NULL, NULL);
	CHECK(step.action == CREDS_RUN && !step.argv[2]);
	CHECK_STR(step.argv[0], "/bin/prog");
	CHECK_STR(step.argv[1], "one two");
	go(&(struct reply){.error = TRANSPORT_OK, .body = printed, .len = strlen(printed)});
	has("ASIAPROGRAM", "profile default, program /bin/prog");
	CHECK(!step.local);
	end();
	write_file(token, sizeof(token), "token", "eyJtoken\n");
	str_format(text, sizeof(text), "[default]\nrole_arn=" ROLE "web\nweb_identity_token_file=%s\n", token);
	begin(text, NULL, NULL);
	CHECK(step.action == CREDS_SEND && step.sink == GUARD_STS && !request_header(&step.request, "authorization"));
	CHECK(strstr(step.request.segments[0].data, "Action=AssumeRoleWithWebIdentity"));
	CHECK(strstr(step.request.segments[0].data, "role%2Fweb") && strstr(step.request.segments[0].data, "WebIdentityToken=eyJtoken"));
	end();
}

TEST(files_and_profile_of_the_environment)
{
	char path[300], home[300];

	write_file(path, sizeof(path), "shared", "[kitchen]\n" KEYS);
	setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
	setenv("AWS_PROFILE", "kitchen", 1);
	setenv("HOME", "/nowhere", 1);
	config = (struct creds_config){.kind = CREDS_PROFILE, .timeout_ms = 5000};
	CHECK_INT(creds_source_new(&config, &source), 0);
	go(NULL);
	has("AKIDBASE", "profile kitchen");
	end();
	unsetenv("AWS_SHARED_CREDENTIALS_FILE");
	CHECK_INT(creds_source_new(&config, &source), 0);
	go(NULL);
	fails("no-credentials", "/nowhere/.aws/config");
	end();
	str_format(home, sizeof(home), "%s/.aws", test_tmpdir());
	CHECK(mkdir(home, 0700) == 0);
	write_file(path, sizeof(path), ".aws/config", "[profile kitchen]\n" KEYS);
	setenv("HOME", test_tmpdir(), 1);
	CHECK_INT(creds_source_new(&config, &source), 0);
	go(NULL);
	has("AKIDBASE", "profile kitchen");
	end();
	unsetenv("AWS_PROFILE");
}

/* A file that is cut, or is large, or no text, at any byte: an answer or a reason, and nothing else is read. */
TEST(a_file_that_is_being_written)
{
	static const char whole[] = "[default]\nrole_arn=" ROLE "top\nsource_profile=b\n[b]\n" KEYS;
	char part[sizeof(whole)];

	for (size_t n = 0; n < sizeof(whole); n++) {
		memcpy(part, whole, n);
		part[n] = '\0';
		begin(NULL, part, NULL);
		CHECK(step.action == CREDS_FAILED || step.action == CREDS_SEND);
		end();
	}
}
