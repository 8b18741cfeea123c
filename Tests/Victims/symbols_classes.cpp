namespace shop {

class Cart {
public:
    int add(int count);
    int total() const;
    bool operator==(const Cart &other) const;
    int operator()(int x);
    operator bool() const;
    int count = 0;
};

__attribute__((noinline)) int Cart::add(int count) { return this->count += count; }
__attribute__((noinline)) int Cart::total() const { return count * 2; }
__attribute__((noinline)) bool Cart::operator==(const Cart &other) const { return count == other.count; }
__attribute__((noinline)) int Cart::operator()(int x) { return count * x; }
__attribute__((noinline)) Cart::operator bool() const { return count != 0; }

__attribute__((noinline)) int price(int amount) { return amount * 3; }
__attribute__((noinline)) int price(double amount) { return (int)(amount * 4); }

template <class T> __attribute__((noinline)) T largest(T a, T b) { return a > b ? a : b; }
template int largest<int>(int, int);

namespace {
__attribute__((noinline, used)) int hidden_helper(int x) { return x + 9; }
}

} // namespace shop
