// Answers each line with what the file beside it computes.
#include <iostream>
#include <string>

void setup();
std::string report(int x);

int main() {
    setup();
    std::cout << "ready" << std::endl;
    std::string line;
    while (std::getline(std::cin, line)) std::cout << report(std::stoi(line)) << std::endl;
}
