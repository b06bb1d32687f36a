# Of the scripts in this folder.
# shellcheck shell=sh disable=SC2034 # used by those that read this
SUITE=${SUITE:-trixie}
CACHE=${PAGEFERRY_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/pageferry}

# What is kept has the name of what it was made from: 16 digits of a hash over standard input and the suite.
cache_key() {
	{
		echo "$SUITE"
		cat
	} | sha256sum | cut -c 1-16
}
