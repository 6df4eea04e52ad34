// Drives a board's byte streams. Steps below 256 are bytes, the others wait or set the pin that holds runs back.
#include <cstdint>

namespace {
constexpr int kSilence = 0x100, kGap = 0x101, kHold = 0x102, kRelease = 0x103, kSettle = 0x104, kFlood = 0x105, kPolite = 0x106;
constexpr long kHang = 200000;
}  // namespace

struct Bench {
    VerilatedContext context;
    Vtop top{&context};
    uint8_t* out = nullptr;
    long sent = 0, room = 0, cycles = 0;

    void cycle() {
        top.o_ready = 1;
        top.eval();
        if (top.o_valid) {
            if (sent < room) out[sent] = top.o_payload;
            ++sent;
        }
        top.clk = 1;
        top.eval();
        top.clk = 0;
        top.eval();
        ++cycles;
    }
};

extern "C" {

Bench* bench_new() {
    auto* bench = new Bench;
    bench->top.i_valid = 0;
    bench->top.hold = 0;
    bench->top.rst = 1;
    for (int n = 0; n < 3; ++n) bench->cycle();
    bench->top.rst = 0;
    return bench;
}

void bench_delete(Bench* bench) { delete bench; }

long bench_cycles(Bench* bench) { return bench->cycles; }

// forgotten[n]: step n was a byte that came while a frame was held. Returns the bytes that came out, or -1 - n if
// step n did not end.
long bench_run(Bench* bench, const uint16_t* steps, long count, long timeout, uint8_t* forgotten, uint8_t* out, long room) {
    auto& top = bench->top;
    bench->out = out;
    bench->room = room;
    bench->sent = 0;
    bool flood = false;
    for (long n = 0; n < count; ++n) {
        const int step = steps[n];
        forgotten[n] = 0;
        long left = kHang;
        switch (step) {
        case kSilence:
            for (long k = 0; k < timeout + 2; ++k) bench->cycle();
            break;
        case kGap:
            for (long k = 0; k < timeout - 3; ++k) bench->cycle();
            break;
        case kHold: top.hold = 1; break;
        case kRelease: top.hold = 0; break;
        case kFlood: flood = true; break;
        case kPolite: flood = false; break;
        case kSettle:
            // Not for the end of a frame that is being received: only a silence ends it.
            do bench->cycle(); while ((top.held || (top.running && !top.hold)) && --left);
            break;
        default:
            if (!flood)
                while (top.held && --left) bench->cycle();
            top.i_valid = 1;
            top.i_payload = step;
            top.eval();
            while (!top.i_ready && --left) bench->cycle();
            forgotten[n] = top.held;
            bench->cycle();
            top.i_valid = 0;
            // A frame that ends here is held from the third cycle on.
            if (!flood)
                for (int k = 0; k < 2; ++k) bench->cycle();
        }
        if (!left) return -1 - n;
    }
    return bench->sent;
}
}
