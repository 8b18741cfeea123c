#pragma once

#define ECHO_LIMIT 50

struct echo_room {
    int used;
};

int echo_scaled(int x);
int echo_least(struct echo_room room);
