// Edited while it runs: exceptions, inline and virtual functions, templates, static variables.
#include <stdexcept>
#include <string>
#include <vector>
#include <memory>
struct Shape { virtual ~Shape() {} virtual int area() const = 0; virtual std::string name() const { return "shape"; } };
struct Square : Shape { int side; Square(int s) : side(s) {} int area() const override { return side * side; } std::string name() const override { return "square"; } };
static std::string prefix = "v1 ";
static std::vector<std::unique_ptr<Shape>> shapes;
template <class T> static T twice(T x) { return x + x; }
static int check(int x) { if (x > 100) throw std::runtime_error("too much " + std::to_string(x)); return x; }
void setup() { shapes.emplace_back(new Square(3)); }
inline int counter() { static int n = 0; return ++n; }
std::string report(int x) {
    std::string text = prefix;
    for (auto &s : shapes) text += s->name() + " " + std::to_string(s->area()) + " ";
    try { text += std::to_string(check(twice(x))); } catch (const std::exception &e) { text += std::string("caught ") + e.what(); }
    return text + " #" + std::to_string(counter());
}
