/* `pageferryd spool VERB`: looking at a spool, saving and mending it, while the service is stopped. */
#pragma once

/* argv[0] is "spool". The exit status: 0 well, 1 something is wrong with the spool, 2 wrong use or not possible. */
int maintain_main(int argc, char **argv);
