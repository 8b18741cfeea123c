// Edited while it runs: lambdas, of which some are stored, and what functions do with exceptions.
#include <functional>
#include <stdexcept>
#include <string>

static std::string text;
static std::function<int(int)> kept, doubled;
static int gone;
struct Loud {
    ~Loud() { gone++; }
};

static int check(int n) {
    if (n > 5) throw std::runtime_error("big");
    return n;
}
static int through(int n) {
    Loud loud;
    return check(n) + 1;
}
static int caught(int n) {
    try {
        try {
            if (n) throw 5;
        } catch (long) { return 1; }
    } catch (...) { return 2; }
    return 0;
}
static int other(int n) {
    auto f = [](int n) { return n + 3; };
    return f(n);
}

extern "C" const char *answer(const char *question) {
    std::string asked = question;
    if (asked == "store") {
        int k = 3;
        kept = [k](int n) { return n + k; };
        doubled = [](int n) { return n * 2; };
        text = "stored";
    } else if (asked == "call") text = std::to_string(kept(4)) + " " + std::to_string(doubled(4));
    else if (asked == "other") text = std::to_string(other(1));
    else if (asked == "throw") {
        try {
            through(9);
        } catch (const std::exception &e) { text = e.what() + std::string(" ") + std::to_string(gone); }
    } else if (asked == "catch") text = std::to_string(caught(1));
    else text = "?";
    return text.c_str();
}
