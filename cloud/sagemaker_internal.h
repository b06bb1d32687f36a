/* Shared by sagemaker.c (InvokeEndpoint) and sagemaker_async.c (InvokeEndpointAsync): the same question and the same answer. */
#pragma once

#include "cloud/sagemaker.h"

/* Body, limits and what the ledger wants; neither method nor URL nor headers. */
int sagemaker_fill(const struct sagemaker_config *c, const struct job *j, struct request *r);
/* What the container said to it, with a 200. Marks the verdict as billed. */
int sagemaker_read_answer(const struct sagemaker_config *c, const struct job *j, const struct reply *r, struct verdict *v);
/* https://.../endpoints/NAME and `action`. */
int sagemaker_action_url(const struct sagemaker_config *c, const char *action, struct buf *out);
