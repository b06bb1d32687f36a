/* Shared by config*.c only: one reading of the configuration. */
#pragma once

#include "daemon/config.h"

#define CONFIG_BACKEND_SECTION "Backend *"
#define CONFIG_WATCH_SECTION   "Watch *"
#define CONFIG_CREDENTIALS_SECTION "Credentials *"
#define CONFIG_SEEN_MAX        512
#define CONFIG_WRONG_MAX       64

/* A value that a file set. */
struct config_seen {
	const struct ini_key *key;
	const void *section;
	unsigned int line;
	char file[PATH_SIZE];
};

/* A section in which something could not be taken. */
struct config_wrong {
	const void *section;
	char name[48];
};

struct config_reading {
	struct config *config;
	struct ini_table table;
	const char *file;    /* the main file, for problems that no single line made */
	struct buf *errors;
	size_t n_problems;
	struct config_seen seen[CONFIG_SEEN_MAX];
	size_t n_seen;
	struct config_wrong wrong[CONFIG_WRONG_MAX];
	size_t n_wrong;      /* CONFIG_WRONG_MAX: there may be more */
};

/* Every key there is (config_keys.c). */
extern const struct ini_key config_keys[];
extern const size_t config_keys_count;

/* Completes each backend by its kind and checks across keys: 0 or -EINVAL with lines in rd->errors. */
int config_check(struct config_reading *rd);
/* The last place that set a key: the one in force. key NULL: the first line of the section. */
const struct config_seen *config_seen_find(const struct config_reading *rd, const void *section, const char *key);
/* Was all of the section taken? Else a check across its keys would tell what is not so. The plain sections share one struct, so it
 * is named. */
bool config_is_sound(const struct config_reading *rd, const void *section, const char *name);
/* Adds a line about `key` (NULL: the section as a whole). */
void config_problem(struct config_reading *rd, const void *section, const char *title, const char *key, const char *fmt, ...)
	_printf_(5, 6);
/* config_credentials.c: completes and checks each [Credentials NAME]. */
void config_check_credentials(struct config_reading *rd);
