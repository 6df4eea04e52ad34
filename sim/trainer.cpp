// Drives a trainer behind plain ports: whole runs of samples, and accesses to its memories.
//
// Its top is the module `plain` that lnsmadam.sim.trainer writes around the emitted Verilog.

#include <cstdint>

#include "Vtop.h"
#include "stalls.h"
#include "verilated.h"

namespace {

enum Status : int64_t { DONE, HANG, EXTRA, VALID_DROPPED, PAYLOAD_CHANGED };

// Cycles that an idle machine is watched for a result too many.
constexpr int QUIET_CYCLES = 16;

// The two pairs of streams: words go in at one, results come out of the other.
struct Samples {
    using Word = uint32_t;
    explicit Samples(Vtop& top)
        : valid(top.s_valid), ready(top.s_ready), o_valid(top.r_valid), o_ready(top.r_ready), top(top) {}
    void offer(Word word) { top.s_payload = word; }
    uint32_t result() const { return top.r_payload; }
    CData &valid, &ready, &o_valid, &o_ready;
    Vtop& top;
};

struct Accesses {
    using Word = uint64_t;
    explicit Accesses(Vtop& top)
        : valid(top.a_valid), ready(top.a_ready), o_valid(top.w_valid), o_ready(top.w_ready), top(top) {}
    void offer(Word word) { top.a_payload = word; }
    uint32_t result() const { return top.w_payload; }
    CData &valid, &ready, &o_valid, &o_ready;
    Vtop& top;
};

struct Trainer {
    VerilatedContext context;
    Vtop top{&context};
    // Takes what the machine does in each cycle of the next run, up to so many.
    uint8_t* phases = nullptr;
    int64_t phases_size = 0;

    Trainer() { reset(); }

    void settle() {
        top.clk = 0;
        top.eval();
    }
    void edge() {
        top.clk = 1;
        top.eval();
    }

    void reset() {
        top.s_valid = top.a_valid = 0;
        top.r_ready = top.w_ready = 1;
        top.rst = 1;
        for (int cycle = 0; cycle < 4; cycle++) {
            settle();
            edge();
        }
        top.rst = 0;
    }

    // Sends `results * per_result` words and takes the results, one for every `per_result` of them. `gaps`, if it is
    // not null, takes the cycles from one result to the next.
    template <class Side, bool STALLS>
    Status run(const typename Side::Word* words, int64_t per_result, int64_t results, uint32_t* taken, int64_t* gaps,
               int64_t patience, uint64_t seed, Report& report) {
        Side side(top);
        Random random{seed * 2 + 1};
        const int64_t count = results * per_result;
        int64_t sent = 0, received = 0, cycle = 0, last_move = 0, last_result = 0;
        bool offering = false, waiting = false;
        uint64_t send_chance = 256, take_chance = 256;
        uint32_t held = 0;
        Status status = DONE;
        side.o_ready = 1;
        while (received < results && status == DONE) {
            if (STALLS && cycle % EPOCH_CYCLES == 0) {
                send_chance = CHANCES[random.next() & 3];
                take_chance = CHANCES[random.next() & 3];
            }
            // A word holds from the cycle it is offered in until it is taken.
            if (!offering && sent < count && (!STALLS || random.chance(send_chance))) {
                offering = true;
                side.offer(words[sent]);
            } else if (STALLS && !offering) {
                side.offer(words[random.next() % uint64_t(count)]);  // must not matter
            }
            side.valid = offering;
            if (STALLS) side.o_ready = random.chance(take_chance);
            settle();

            if (offering && side.ready) {
                sent++;
                offering = false;
                last_move = cycle;
            }
            if (side.o_valid) {
                const uint32_t result = side.result();
                if (STALLS && waiting && result != held) status = PAYLOAD_CHANGED;
                if (side.o_ready) {
                    if (sent < (received + 1) * per_result) {
                        status = EXTRA;
                    } else {
                        if (gaps) gaps[received] = cycle + 1 - last_result;
                        last_result = cycle + 1;
                        taken[received++] = result;
                        last_move = cycle;
                    }
                }
                held = result;
            } else if (STALLS && waiting) {
                status = VALID_DROPPED;
            }
            waiting = side.o_valid && !side.o_ready;
            if (cycle - last_move > patience) status = HANG;
            if (cycle < phases_size) phases[cycle] = top.phase;
            edge();
            cycle++;
        }
        phases_size = 0;
        side.valid = 0;
        side.o_ready = 1;
        if (status == DONE) status = quiet(patience);
        report = {sent, received, cycle};
        return status;
    }

    // Waits until the machine is idle and looks that nothing more comes out.
    Status quiet(int64_t patience) {
        int idle = 0;
        for (int64_t cycle = 0; idle < QUIET_CYCLES; cycle++) {
            if (cycle > patience) return HANG;
            settle();
            if (top.r_valid || top.w_valid) return EXTRA;
            idle = top.idle ? idle + 1 : 0;
            edge();
        }
        return DONE;
    }
};

}  // namespace

extern "C" {

void* trainer_new() { return new Trainer; }

void trainer_delete(void* trainer) { delete static_cast<Trainer*>(trainer); }

void trainer_reset(void* trainer) { static_cast<Trainer*>(trainer)->reset(); }

void trainer_set(void* trainer, uint32_t learn, uint32_t lr_shift, uint32_t gate_on, uint32_t gate_margin) {
    Vtop& top = static_cast<Trainer*>(trainer)->top;
    top.learn = learn;
    top.lr_shift = lr_shift;
    top.gate_on = gate_on;
    top.gate_margin = gate_margin;
}

void trainer_record(void* trainer, uint8_t* phases, int64_t size) {
    auto& self = *static_cast<Trainer*>(trainer);
    self.phases = phases;
    self.phases_size = size;
}

int64_t trainer_samples(void* trainer, const uint32_t* words, int64_t per_sample, int64_t count, uint32_t* results,
                        int64_t* gaps, int64_t patience, int64_t stalls, uint64_t seed, Report* report) {
    auto& self = *static_cast<Trainer*>(trainer);
    return stalls ? self.run<Samples, true>(words, per_sample, count, results, gaps, patience, seed, *report)
                  : self.run<Samples, false>(words, per_sample, count, results, gaps, patience, seed, *report);
}

int64_t trainer_access(void* trainer, const uint64_t* requests, int64_t count, uint32_t* answers, int64_t patience,
                       int64_t stalls, uint64_t seed, Report* report) {
    auto& self = *static_cast<Trainer*>(trainer);
    return stalls ? self.run<Accesses, true>(requests, 1, count, answers, nullptr, patience, seed, *report)
                  : self.run<Accesses, false>(requests, 1, count, answers, nullptr, patience, seed, *report);
}
}
