/* A source of credentials, step by step: what it asks for, and what it makes of replies. Shared by cloud_creds_device.c and cloud_creds_local.c. */
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/crypto.h"
#include "base/fileio.h"
#include "cloud/creds_apikey.h"
#include "cloud/creds_source.h"
#include "tests/unit/test.h"

#define NOW_S    INT64_C(1795219200) /* 2026-11-21T00:00:00Z */
#define SESSION  "{\"accessKeyId\":\"ASIAEXAMPLE0000001\",\"secretAccessKey\":\"SECRETSECRET\",\"sessionToken\":\"TOKENTOKEN\"," \
		 "\"expiration\":\"2026-11-21T01:00:00Z\"}"
#define METADATA "{\"Code\":\"Success\",\"AccessKeyId\":\"ASIAEXAMPLE0000001\",\"SecretAccessKey\":\"SECRETSECRET\"," \
		 "\"Token\":\"TOKENTOKEN\",\"Expiration\":\"%s\"}"

static struct creds_config config;
static struct creds_source *source;
static struct creds_step step;
static struct creds_input input;

static inline void begin(enum creds_kind kind)
{
	creds_source_free(source);
	source = NULL;
	config.kind = (int)kind;
	config.timeout_ms = 10000;
	input = (struct creds_input){.now_ms = NOW_S * 1000, .signing_s = NOW_S};
	CHECK_INT(creds_source_new(&config, &source), 0);
}

/* No message may quote a secret. */
static inline void look(void)
{
	static const char *const secrets[] = {"SECRETSECRET", "TOKENTOKEN", "PRIVATE KEY-----M", "METATOKEN", "ABSKsecret"};

	for (size_t i = 0; i < ARRAY_SIZE(secrets); i++)
		CHECK(!strstr(step.message, secrets[i]) && !strstr(step.creds.source, secrets[i]));
	if (step.action == CREDS_FAILED)
		CHECK(step.reason[0] && step.message[0] && !step.creds.access_key[0]);
}

static inline void next(const struct reply *r)
{
	input.reply = r;
	creds_step_clear(&step);
	CHECK_INT(creds_source_next(source, &input, &step), 0);
	look();
}

static inline void answer(int status, const char *body)
{
	struct reply r = {.error = TRANSPORT_OK, .status = status, .body = body, .len = strlen(body)};

	next(&r);
}

static inline void breaks(enum transport_error e)
{
	struct reply r = {.error = e, .detail = "as the transport says", .body = ""};

	next(&r);
}

static inline void fails(const char *reason, const char *say)
{
	if (step.action != CREDS_FAILED || !streq(step.reason, reason) || !strstr(step.message, say))
		test_fail(__FILE__, __LINE__, "%d %s: %s", (int)step.action, step.reason, step.message);
}

static inline void have(const char *name)
{
	if (step.action != CREDS_HAVE)
		test_fail(__FILE__, __LINE__, "%s: %s", step.reason, step.message);
	CHECK_STR(step.creds.access_key, "ASIAEXAMPLE0000001");
	CHECK_STR(step.creds.secret_key, "SECRETSECRET");
	CHECK_STR(step.creds.token, "TOKENTOKEN");
	CHECK(strstr(step.creds.source, name));
}

static inline void end(void)
{
	creds_step_clear(&step);
	creds_source_free(source);
	source = NULL;
	config = (struct creds_config){};
}

/* A copy of a file of tests/data/x509 in the test's folder, with a mode. */
static inline void put(const char *from, const char *name, unsigned int mode, char *path)
{
	_cleanup_buf_ struct buf b = {};
	_cleanup_close_ int dir = open(test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char full[512];

	CHECK(str_format(full, sizeof(full), "%sx509/%s", test_data(), from) > 0);
	CHECK_INT(file_read(AT_FDCWD, full, 65536, &b), 0);
	test_write(dir, name, buf_str(&b), mode);
	CHECK(str_format(path, CREDS_PATH_SIZE, "%s/%s", test_tmpdir(), name) > 0);
	CHECK_INT(chmod(path, mode), 0);
}

static inline void put_text(const char *name, const char *text, unsigned int mode, char *path)
{
	_cleanup_close_ int dir = open(test_tmpdir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	test_write(dir, name, text, mode);
	CHECK(str_format(path, CREDS_PATH_SIZE, "%s/%s", test_tmpdir(), name) > 0);
	CHECK_INT(chmod(path, mode), 0);
}
