// SPDX-License-Identifier: Apache-2.0
// Templates, methods, lambdas and namespaces, inlined into each other.

volatile int sink;

namespace shapes {
template <class T> struct Vector {
    T data[8];
    __attribute__((noinline)) T sum(int count) const
    {
        T total = 0;
        for (int i = 0; i < count; i++)
            total += get(i);
        return total;
    }
    inline __attribute__((always_inline)) T get(int i) const { return clamp(data[i & 7]); }
    static inline __attribute__((always_inline)) T clamp(T x)
    {
        if (x > 100)
            sink = 1;
        return x > 100 ? 100 : x;
    }
};

class Counter {
public:
    explicit Counter(int start) : value_(start) {}
    __attribute__((noinline)) Counter &operator+=(int step)
    {
        value_ += step;
        sink = value_;
        return *this;
    }
    __attribute__((noinline)) int value() const { return value_; }

private:
    int value_;
};
} // namespace shapes

namespace {
inline __attribute__((always_inline)) int deep(int x)
{
    sink = x;
    if (x & 1)
        sink = x * 3;
    return x * x;
}

__attribute__((noinline)) int middle(int x)
{
    int result = deep(x);
    for (int i = 0; i < x; i++)
        result += deep(i);
    return result;
}
} // namespace

template <class F> __attribute__((noinline)) int apply(F call, int x)
{
    return call(x) + call(x + 1);
}

extern "C" int entry(int x)
{
    shapes::Vector<int> small;
    shapes::Vector<long long> large;
    for (int i = 0; i < 8; i++) {
        small.data[i] = sink;
        large.data[i] = sink;
    }
    shapes::Counter counter(x);
    counter += apply([&](int q) { return middle(q) + static_cast<int>(large.sum(q & 7)); }, x);
    return small.sum(x & 7) + counter.value() + middle(x - 1);
}

int main() { return entry(sink); }
