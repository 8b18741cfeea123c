#pragma once
#include <memory>
#include <string>

constexpr int number = 0;

struct Shop {
    virtual ~Shop() = default;
    virtual std::string answer(const std::string &question) = 0;
};

std::unique_ptr<Shop> makeShop();
