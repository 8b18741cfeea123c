#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "words.h"

/* Answers lines, of a few connections at once. */
int main(int count, char **words) {
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(count > 1 ? atoi(words[1]) : 8080)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 16) != 0) return 1;
    struct pollfd waiting[64] = {{.fd = listener, .events = POLLIN}};
    nfds_t used = 1;
    for (;;) {
        if (poll(waiting, used, -1) < 0) continue;
        for (nfds_t i = used; i-- > 1;) {
            char line[256], answer[256];
            if (!waiting[i].revents) continue;
            ssize_t got = read(waiting[i].fd, line, sizeof line - 1);
            if (got <= 0) {
                close(waiting[i].fd);
                waiting[i] = waiting[--used];
                continue;
            }
            line[got] = 0;
            line[strcspn(line, "\n")] = 0;
            int length = answer_to(line, answer, sizeof answer);
            if (write(waiting[i].fd, answer, length) != length) return 1;
        }
        if (waiting[0].revents && used < 64) waiting[used++] = (struct pollfd){.fd = accept(listener, 0, 0), .events = POLLIN};
    }
}
