#include "shop.h"

#include <functional>
#include <map>
#include <stdexcept>

namespace {

struct Unknown : std::runtime_error {
    using std::runtime_error::runtime_error;
};

int helper() { return 0; }

template <typename Value> std::string decorated(const char *word, Value value) {
    return word + (" " + std::to_string(value));
}

class Corner final : public Shop {
    int count = 0;
    // Kept for as long as the program runs.
    std::map<std::string, std::function<std::string()>> answers{
        {"hello", [] { return decorated("hello", helper()) + " number " + std::to_string(number); }},
        {"count", [this] { return decorated("count", ++count); }},
    };

    std::string find(const std::string &question) {
        auto found = answers.find(question);
        if (found == answers.end()) throw Unknown("what is " + question);
        return found->second();
    }

public:
    std::string answer(const std::string &question) override {
        try {
            return find(question);
        } catch (const Unknown &error) {
            return std::string("unknown 0: ") + error.what();
        }
    }
};

}  // namespace

std::unique_ptr<Shop> makeShop() { return std::make_unique<Corner>(); }
