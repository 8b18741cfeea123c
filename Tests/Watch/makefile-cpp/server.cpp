#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "shop.h"

// Answers lines, of a few connections at once.
int main(int count, char **words) {
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(count > 1 ? std::stoi(words[1]) : 8080);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, reinterpret_cast<sockaddr *>(&address), sizeof address) != 0 || listen(listener, 16) != 0) return 1;
    auto shop = makeShop();
    std::vector<pollfd> waiting{{listener, POLLIN, 0}};
    for (;;) {
        if (poll(waiting.data(), waiting.size(), -1) < 0) continue;
        for (size_t i = waiting.size(); i-- > 1;) {
            char line[256];
            if (!waiting[i].revents) continue;
            ssize_t got = read(waiting[i].fd, line, sizeof line);
            if (got <= 0) {
                close(waiting[i].fd);
                waiting.erase(waiting.begin() + i);
                continue;
            }
            std::string question(line, got);
            auto answer = shop->answer(question.substr(0, question.find('\n'))) + "\n";
            if (write(waiting[i].fd, answer.data(), answer.size()) != ssize_t(answer.size())) return 1;
        }
        if (waiting[0].revents) waiting.push_back({accept(listener, nullptr, nullptr), POLLIN, 0});
    }
}
