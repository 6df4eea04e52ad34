// Drives a board's design over its serial line: levels on rx, bytes from tx, one call for many clock cycles.
#include <cstdint>
#include <deque>
#include <memory>

#include "Vtop.h"
#include "verilated.h"

#include "uart_ports.h"

namespace {

// `count` levels on the line, the lowest bit first, each for `cycles` clock cycles.
struct Levels {
    uint32_t bits;
    uint32_t count;
    uint32_t cycles;
};

class Board {
  public:
    explicit Board(uint32_t divisor) : divisor_(divisor) {
        top_.reset(new Vtop(&context_));
        top_->rx = 1;
        top_->clk = 0;
        top_->rst = 0;
        top_->eval();
    }

    ~Board() { top_->final(); }

    void reset(int64_t cycles) {
        top_->rst = 1;
        for (int64_t k = 0; k < cycles; ++k) cycle();
        top_->rst = 0;
    }

    void send(Levels levels) { waiting_.push_back(levels); }

    // Stops after `cycles`, or as soon as `wanted` bytes wait to be taken, or when all is sent, if that is asked for.
    int64_t run(int64_t cycles, int64_t wanted, bool until_sent) {
        int64_t done = 0;
        while (done < cycles && int64_t(received_.size()) < wanted && !(until_sent && waiting_.empty())) {
            cycle();
            ++done;
        }
        return done;
    }

    int64_t take(uint8_t* out, int64_t capacity) {
        int64_t count = 0;
        for (; count < capacity && !received_.empty(); received_.pop_front()) out[count++] = received_.front();
        return count;
    }

    int64_t unsent() const { return int64_t(waiting_.size()); }
    int64_t received() const { return int64_t(received_.size()); }
    int64_t broken() const { return broken_; }
    bool busy() const { return BUSY(*top_); }
    void discard() { waiting_.clear(); elapsed_ = 0; position_ = 0; top_->rx = 1; }

  private:
    void cycle() {
        top_->clk = 1;
        top_->eval();
        drive();
        top_->clk = 0;
        top_->eval();
        sample(top_->tx);
    }

    void drive() {
        if (waiting_.empty()) {
            top_->rx = 1;
            return;
        }
        const Levels& front = waiting_.front();
        top_->rx = front.bits >> position_ & 1;
        if (++elapsed_ >= front.cycles) {
            elapsed_ = 0;
            if (++position_ == front.count) {
                position_ = 0;
                waiting_.pop_front();
            }
        }
    }

    // In the middle of each bit; `phase_` counts cycles since the start bit's edge, negative between bytes.
    void sample(bool level) {
        if (phase_ < 0) {
            if (!level) phase_ = 0;
            return;
        }
        ++phase_;
        if (phase_ % divisor_ != divisor_ / 2) return;
        const int64_t bit = phase_ / divisor_;
        if (bit == 0) {
            if (level) { ++broken_; phase_ = -1; }
        } else if (bit <= 8) {
            byte_ = uint8_t(byte_ >> 1 | level << 7);
        } else {
            if (level) received_.push_back(byte_); else ++broken_;
            phase_ = -1;
        }
    }

    VerilatedContext context_;
    std::unique_ptr<Vtop> top_;
    const int64_t divisor_;
    std::deque<Levels> waiting_;
    std::deque<uint8_t> received_;
    uint32_t elapsed_ = 0, position_ = 0;
    int64_t phase_ = -1, broken_ = 0;
    uint8_t byte_ = 0;
};

}  // namespace

extern "C" {

void* board_new(int64_t divisor) { return new Board(uint32_t(divisor)); }
void board_delete(void* board) { delete static_cast<Board*>(board); }
void board_reset(void* board, int64_t cycles) { static_cast<Board*>(board)->reset(cycles); }
void board_discard(void* board) { static_cast<Board*>(board)->discard(); }
int64_t board_unsent(void* board) { return static_cast<Board*>(board)->unsent(); }
int64_t board_received(void* board) { return static_cast<Board*>(board)->received(); }
int64_t board_broken(void* board) { return static_cast<Board*>(board)->broken(); }
int64_t board_busy(void* board) { return static_cast<Board*>(board)->busy(); }

void board_send(void* board, const uint8_t* data, int64_t count, int64_t divisor) {
    for (int64_t k = 0; k < count; ++k) {
        static_cast<Board*>(board)->send({0x200u | uint32_t(data[k]) << 1, 10, uint32_t(divisor)});
    }
}

void board_levels(void* board, int64_t bits, int64_t count, int64_t cycles) {
    if (count > 0 && cycles > 0) static_cast<Board*>(board)->send({uint32_t(bits), uint32_t(count), uint32_t(cycles)});
}

int64_t board_run(void* board, int64_t cycles, int64_t wanted, int64_t until_sent) {
    return static_cast<Board*>(board)->run(cycles, wanted, until_sent != 0);
}

int64_t board_take(void* board, uint8_t* out, int64_t capacity) { return static_cast<Board*>(board)->take(out, capacity); }

}  // extern "C"
