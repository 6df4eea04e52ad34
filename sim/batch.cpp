// Drives a unit behind plain ports with columns of words, as fast as it accepts them or under random stalls.
//
// unit_ports.h is generated from the manifest: CLOCKED, `struct Inputs` and `struct Outputs`.

#include <cstdint>

#include "Vtop.h"
#include "stalls.h"
#include "unit_ports.h"
#include "verilated.h"
#ifdef COVERAGE
#include "verilated_cov.h"
#endif

namespace {

enum Status : int64_t { DONE, HANG, EXTRA, VALID_DROPPED, PAYLOAD_CHANGED, VALID_AFTER_RESET };

struct Unit {
    VerilatedContext context;
    Vtop top{&context};

    void settle() {
#if CLOCKED
        top.clk = 0;
#endif
        top.eval();
    }
    void edge() {
#if CLOCKED
        top.clk = 1;
        top.eval();
#endif
    }

    // Whether nothing is in flight after it.
    bool reset(int64_t drain) {
        top.i_valid = 0;
        top.o_ready = 1;
#if CLOCKED
        top.rst = 1;
        for (int cycle = 0; cycle < 4; cycle++) {
            settle();
            edge();
        }
        top.rst = 0;
#endif
        return drained(drain);
    }

    // Reset in mid-flow, whatever both sides do in it. Whether nothing is in flight after it.
    bool interrupt(const Inputs& inputs, int64_t count, int64_t cycles, int64_t drain, uint64_t seed) {
        Random random{seed * 2 + 1};
        const int64_t held = 1 + int64_t(random.next() & 3);
        for (int64_t cycle = 0; cycle < cycles + held; cycle++) {
            inputs.write(top, int64_t(random.next() % uint64_t(count)));
            top.i_valid = random.chance(224);
            // Results wait more often than not, so that all stages are full.
            top.o_ready = random.chance(64);
#if CLOCKED
            top.rst = cycle >= cycles;
#endif
            settle();
            edge();
        }
#if CLOCKED
        top.rst = 0;
#endif
        return drained(drain);
    }

    // Whether no result comes in `cycles` cycles without operands.
    bool drained(int64_t cycles) {
        top.i_valid = 0;
        top.o_ready = 1;
        bool quiet = true;
        for (int64_t cycle = 0; cycle < cycles; cycle++) {
            settle();
            quiet &= !top.o_valid;
            edge();
        }
        return quiet;
    }

    template <bool STALLS>
    Status run(const Inputs& inputs, const Outputs& outputs, int64_t count, int64_t results, int64_t drain,
               int64_t patience, uint64_t seed, Report& report) {
        Random random{seed * 2 + 1};
        int64_t sent = 0, received = 0, cycle = 0, idle = 0;
        // Accepted transfers that bring no result; the loop is a fifth slower where it counts them.
        int64_t silent = 0;
        bool offering = false, waiting = false;
        uint64_t send_chance = 256, take_chance = 256;
        Outputs::Row held{};
        Status status = DONE;
        top.o_ready = 1;
        while ((received < results || (!Inputs::ALL_BRING && sent < count)) && status == DONE) {
            if (STALLS && cycle % EPOCH_CYCLES == 0) {
                send_chance = CHANCES[random.next() & 3];
                take_chance = CHANCES[random.next() & 3];
            }
            // Operands hold from the cycle they are offered in until they are taken.
            if (!offering && sent < count && (!STALLS || random.chance(send_chance))) {
                offering = true;
                inputs.write(top, sent);
            } else if (STALLS && !offering) {
                inputs.write(top, int64_t(random.next() % uint64_t(count)));  // must not matter
            }
            top.i_valid = offering;
            if (STALLS) top.o_ready = random.chance(take_chance);
            settle();

            bool moved = false;
            if (offering && top.i_ready) {
                if (!Inputs::ALL_BRING) silent += !inputs.brings_result(sent);
                sent++;
                offering = false;
                moved = true;
            }
            if (top.o_valid) {
                Outputs::Row row = Outputs::read(top);
                if (STALLS && waiting && !(row == held)) status = PAYLOAD_CHANGED;
                if (top.o_ready) {
                    if (received >= sent - silent) {
                        status = EXTRA;
                    } else {
                        outputs.store(row, received++);
                        moved = true;
                    }
                }
                held = row;
            } else if (STALLS && waiting) {
                status = VALID_DROPPED;
            }
            waiting = top.o_valid && !top.o_ready;
            idle = moved ? 0 : idle + 1;
            if (idle > patience) status = HANG;
            edge();
            cycle++;
        }
        if (status == DONE && !drained(drain)) status = EXTRA;
        report = {sent, received, cycle};
        return status;
    }
};

}  // namespace

extern "C" {

void* unit_new() { return new Unit; }

void unit_delete(void* unit) { delete static_cast<Unit*>(unit); }

int64_t unit_reset(void* unit, int64_t drain) {
    return static_cast<Unit*>(unit)->reset(drain) ? DONE : VALID_AFTER_RESET;
}

int64_t unit_interrupt(void* unit, const void* const* inputs, int64_t count, int64_t cycles, int64_t drain,
                       uint64_t seed) {
    return static_cast<Unit*>(unit)->interrupt(Inputs(inputs), count, cycles, drain, seed) ? DONE : VALID_AFTER_RESET;
}

int64_t unit_run(void* unit, const void* const* inputs, void* const* outputs, int64_t count, int64_t results,
                 int64_t drain, int64_t patience, int64_t stalls, uint64_t seed, Report* report) {
    auto& self = *static_cast<Unit*>(unit);
    const Inputs from(inputs);
    const Outputs to(outputs);
    return stalls ? self.run<true>(from, to, count, results, drain, patience, seed, *report)
                  : self.run<false>(from, to, count, results, drain, patience, seed, *report);
}

#ifdef SELECT
void unit_select(void* unit, uint32_t number) { static_cast<Unit*>(unit)->top.select = number; }
#endif

#ifdef COVERAGE
void unit_coverage(void* unit, const char* path) { static_cast<Unit*>(unit)->context.coveragep()->write(path); }
#endif
}
