// What the drivers of batch runs share: random pauses of both sides, and what is told of a run.

#pragma once

#include <cstdint>

// A new pair of stall probabilities every so many cycles: long pauses and long bursts both occur.
constexpr uint64_t EPOCH_CYCLES = 64;
// Chances of 256 that a side moves in a cycle.
constexpr uint64_t CHANCES[] = {256, 224, 128, 32};

struct Random {
    uint64_t state;

    uint64_t next() {  // xorshift64*, the upper half of whose bits are good
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return state * 0x2545F4914F6CDD1DULL >> 32;
    }
    bool chance(uint64_t of256) { return (next() & 255) < of256; }
};

struct Report {
    int64_t sent, received, cycles;
};
