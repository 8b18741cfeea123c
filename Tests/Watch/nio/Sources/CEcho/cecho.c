#include "cecho.h"

static int scaled(int x) { return x * 2 + 0; }

int echo_scaled(int x) { return scaled(x); }

int echo_least(struct echo_room room) { return room.used < ECHO_LIMIT ? room.used : ECHO_LIMIT; }
