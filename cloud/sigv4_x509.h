/*
 * Signature Version 4 by a certificate's private key, as IAM Roles Anywhere takes it: there is no derived key, the private
 * key signs the SHA-256 of the string to sign. Source: IAM Roles Anywhere user guide, "Signing process".
 */
#pragma once

#include "base/crypto_key.h"
#include "cloud/sigv4.h"

/* Adds x-amz-date, x-amz-x509, x-amz-x509-chain (when there are more certificates than one) and authorization to req, like
 * sigv4_sign(). Same errors, and -EIO when the key does not sign. */
int sigv4_sign_x509(const struct sigv4_params *p, const struct certificates *c, struct signing_key *k, struct request *req);
