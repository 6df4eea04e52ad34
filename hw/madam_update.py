"""The Madam update, one weight per clock.

With ``first = log2|grad| + log2(1 - beta) / 2``, what this gradient alone would leave as its RMS, everything
follows from ``gain``, the distance of the new state from there::

    gain      max(grad_rms - first, 0) + floor(table(|grad_rms - first|) + u)
    grad_rms' first + gain
    size_log  min(offset - gain + bias_log, bound) + lr_log         log2 of the step's size
    step      -sign(weight) sign(grad) antilog(size_log)
    weight'   min(weight + floor(step + u'), weight_max_log + floor(min(step, 0) + u')), at least log_min

The last line is ``min(min(weight, max) + step, max)`` with one comparison instead of two. A value that is only
subtracted is kept inverted, and constants are forced in registers, whose set or reset costs no LUT.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed

from lnsmadam.golden.madam_update import MadamUpdateConfig, Rounding
from lnsmadam.hw.lfsr import LFSR
from lnsmadam.hw.lns import signed_bits
from lnsmadam.hw.pipeline import Pipeline, UnitComponent, word
from lnsmadam.hw.tables import logic_table

# Boundaries whose register lengthens the clock's period least when it is left out, that first: measured.
_LEAST_NEEDED = (8, 1, 6, 3)


class MadamUpdate(UnitComponent):
    """Moves a weight's log by a step, sized by the gradient against its running RMS.

    Computes :func:`lnsmadam.golden.madam_update.madam_update`, bit for bit; its docstring has the formula, the
    error bound and the corner cases. The random fractions are the draws of an :class:`~lnsmadam.hw.lfsr.LFSR`,
    one for each transfer accepted since reset. One weight per cycle; a result appears at ``o`` :attr:`latency`
    cycles after its operands are accepted at ``i``, later if ``o`` stalls.
    """

    config: MadamUpdateConfig

    def elaborate(self, platform):
        m = self._m = Module()
        self._pipeline = Pipeline(m, self, self._registered())
        # Values on their way to a later stage; every boundary takes them along.
        self._live = {}
        self._operands()
        self._state()
        self._size()
        self._weight()
        return m

    def _registered(self) -> frozenset[int] | None:
        """The boundaries that hold a register: all but the least needed where few are left out."""
        left_out = self.config.max_pipeline - self.config.pipeline
        if left_out > len(_LEAST_NEEDED):
            return None
        return frozenset(range(1, self.config.max_pipeline + 1)) - set(_LEAST_NEEDED[:left_out])

    def _boundary(self) -> None:
        self._pipeline.boundary()
        for name, value in self._live.items():
            self._live[name] = self._pipeline.register(value, name=name)

    def _register(self, value, name: str, shape=None, force=()) -> Signal:
        """``value``, cut or extended to a shape, behind the present boundary."""
        if shape is not None:
            signal = Signal(shape, name=f"{name}_in")
            self._m.d.comb += signal.eq(value)
            value = signal
        return self._pipeline.register(value, name=name, force=force)

    def _draw(self) -> Signal:
        """Random bits of a transfer. What holds for any bits is proved with others in their place."""
        self._m.submodules.lfsr = lfsr = LFSR(self.config.lfsr)
        self._m.d.comb += lfsr.advance.eq(self._pipeline.accept)
        return lfsr.draw

    def _operands(self) -> None:
        """1: logs with what is out of range forced to the nearest that is in, random bits, signs."""
        config, fields, live = self.config, self.i.payload, self._live
        fmt, log_shape = config.weight_format, signed(config.weight_format.log_width)
        step_bits = config.step_fraction_bits
        rms_random = Const(config.half_state, config.state_fraction_bits)
        step_random = Const(1 << (step_bits - 1), step_bits)
        if config.random_bits:
            draw = self._draw()
            if config.state_rounding is Rounding.STOCHASTIC:
                rms_random, draw = draw[: config.state_fraction_bits], draw[config.state_fraction_bits :]
            if config.rounding is Rounding.STOCHASTIC:
                step_random = draw[:step_bits]
        is_empty = fields.grad_rms <= config.log_min

        self._boundary()
        # The code of a zero gradient is a log like the others until the step is made.
        not_first = ~(fields.grad.log * config.grad_multiple - config.first_offset)
        live["not_first"] = self._register(not_first, "not_first", signed(signed_bits(*self._first_range)))
        live["grad_is_zero"] = self._register(fields.grad.log == config.grad_format.zero_log, "grad_is_zero")
        live["rms"] = self._register(fields.grad_rms, "rms")
        live["bias"] = self._register(fields.bias_log, "bias")
        live["lr"] = self._register(fields.lr_log, "lr")
        live["sign"] = self._register(fields.weight.sign, "sign")
        live["is_down"] = self._register(~(fields.weight.sign ^ fields.grad.sign), "is_down")
        too_low = fields.weight.log < fmt.log_min
        live["weight"] = self._register(fields.weight.log, "weight", force=[(too_low, Const(fmt.log_min, log_shape))])
        above = []
        if fmt.log_max < config.weight_max_format.maximum:
            above = [(fields.weight_max_log > fmt.log_max, Const(fmt.log_max, log_shape))]
        live["weight_max"] = self._register(fields.weight_max_log, "weight_max", force=above)
        if config.rounding is Rounding.STOCHASTIC:
            live["step_random"] = self._register(step_random, "step_random")
        else:
            self._half_step = step_random
        if config.state_rounding is Rounding.STOCHASTIC:
            round_up = [(is_empty, (1 << config.state_fraction_bits) - 1)] if self._empty_by_draw else []
            live["rms_random"] = self._register(rms_random, "rms_random", force=round_up)
        if not self._empty_by_draw:
            live["is_empty"] = self._register(is_empty, "is_empty")

    @property
    def _first_range(self) -> tuple[int, int]:
        config = self.config
        low, high = config.grad_format.zero_log, config.grad_format.log_max
        multiple, offset = config.grad_multiple, config.first_offset
        return multiple * low - offset, multiple * high - offset

    @property
    def _empty_by_draw(self) -> bool:
        """Whether the largest draw alone makes an empty state's gain 0: it is always beyond the table, and a
        decay is less than a step."""
        config = self.config
        nearest_first = self._first_range[0] + config.grad_multiple
        return (
            config.state_rounding is Rounding.STOCHASTIC
            and int(config.rms_table[:, -1].min()) > -(1 << config.state_fraction_bits)
            and nearest_first - config.log_min >= config.rms_table.shape[1] - 1
        )

    def _state(self) -> None:
        """2 to 6: the new grad_rms, and on the way its gain, which the step needs."""
        config, live, state = self.config, self._live, self.config.state_format
        fraction = config.state_fraction_bits
        table = config.rms_table
        if config.state_rounding is Rounding.NEAREST:
            table = (table + config.half_state) >> fraction
        entry_shape = signed(signed_bits(table.max(), table.min()))
        address_bits = (table.shape[1] - 1).bit_length()
        first_low, first_high = self._first_range

        # 2: how far the old state lies above first.
        distance = live.pop("rms") - ~live["not_first"]
        low, high = state.minimum - first_high, state.maximum - first_low
        distance_shape = signed(signed_bits(low, high))
        self._boundary()
        distance = self._register(distance, "distance", distance_shape)

        # 3: the table's address, with one bit more for the single negative distance that needs it.
        is_negative = distance[-1]
        # |distance| = (distance + s) ^ s, where every bit of s is the sign.
        signs = is_negative.replicate(address_bits + 1)
        address = (distance[: address_bits + 1] + signs)[: address_bits + 1] ^ signs
        upper = distance[address_bits:-1]
        is_far = (upper ^ is_negative.replicate(len(upper))).any() | live["grad_is_zero"]
        # A zero gradient decays the old state, even one below that gradient's log.
        is_first = is_negative & ~live["grad_is_zero"]
        self._boundary()
        address = self._register(address, "address")
        is_far = self._register(is_far, "is_far")
        live["ahead"] = self._register(distance, "ahead", force=[(is_first, 0)])
        if config.is_two_sided:
            live["is_newer"] = self._register(is_first, "is_newer")

        # 4: the table.
        is_beyond = is_far | address[address_bits]
        force = [(is_beyond, Const(int(table[0, -1]), entry_shape))]
        address, entries = address[:address_bits], list(table[0])
        if config.is_two_sided:
            is_newer = live.pop("is_newer")
            # Rows of the whole address's length.
            pad = (1 << address_bits) - len(entries)
            entries = [entry for row in table for entry in [*row, *[row[-1]] * pad]]
            address = Cat(address, is_newer)
            force.insert(0, (is_beyond & is_newer, Const(int(table[1, -1]), entry_shape)))
        entry = logic_table(self._m, entries, address, entry_shape.width, "entry_table").as_signed()
        if not self._empty_by_draw:
            force.insert(0, (live["is_empty"], 0))
        self._boundary()
        entry = self._register(entry, "entry", force=force)

        # 5: its sum with the random fraction, rounded down. Kept inverted.
        if config.state_rounding is Rounding.NEAREST:
            gain = live.pop("ahead") + entry
        else:
            gain = (Cat(live.pop("rms_random"), live.pop("ahead")).as_signed() + entry)[fraction:].as_signed()
        top = (int(config.rms_table.max()) >> fraction) + 1
        self._boundary()
        not_gain = self._register(~gain, "not_gain", signed(signed_bits(low, high + top)))

        # 6: the new state, and log2 of the normalised gradient, but for the offset.
        rms = live.pop("not_first") - ~not_gain
        bias = live.pop("bias")
        # A gain of 2**near_bits and more leaves no step whatever bias_log and lr_log are.
        most = config.bias_format.maximum + config.lr_format.maximum + config.first_offset - config.antilog.lowest
        near_bits = most.bit_length()
        norm_shape = signed(signed_bits(config.bias_format.minimum - (1 << near_bits)))
        norm = bias - ~not_gain[: near_bits + 1].as_signed()
        live["is_still"] = live.pop("grad_is_zero") | (not_gain[-1] & ~not_gain[near_bits:].all())
        self._boundary()
        # first + gain = ~(~first - gain)
        self._rms_falls = (int(table[0, -1]) >> (0 if config.state_rounding is Rounding.NEAREST else fraction)) < -1
        live["rms"] = self._register(~rms, "new_rms", signed(state.width + self._rms_falls))
        self._norm = self._register(norm, "norm", norm_shape)

    def _size(self) -> None:
        """7 to 10: the step's size, with its bits below the point."""
        config, live, antilog = self.config, self._live, self.config.antilog
        factor_bits = config.state_format.fraction_bits
        norm = self._norm
        shape = norm.shape()

        # 7: clip.
        clip = antilog.bound_log - config.first_offset
        is_clipped = norm > clip
        rms, force = live.pop("rms"), []
        is_empty = live.pop("is_empty", 0)
        if self._rms_falls:
            force = [((rms < config.log_min) & ~is_empty, Const(config.log_min, rms.shape()))]
        self._boundary()
        live["rms"] = self._register(rms, "rms", force=force)[: config.state_format.width]
        norm = self._register(norm, "clipped", force=[(is_clipped, Const(clip, shape))])
        live["is_clipped"] = self._register(is_clipped, "is_clipped")

        # 8: learning rate.
        size_log = norm + live.pop("lr")
        self._boundary()
        size_log = self._register(size_log, "size_log", shape)

        # 9: mantissa and octave. What is left of the offset, less than an octave, goes into the table.
        octave_offset, rest = divmod(config.first_offset, config.base_factor)
        remainders = [(r + rest) % config.base_factor for r in range(config.base_factor)]
        doubled = [(r + rest) // config.base_factor for r in range(config.base_factor)]
        rows = [
            [int(antilog.mantissas[row, r]) << d for r, d in zip(remainders, doubled, strict=True)] for row in (0, 1)
        ]
        mantissa_bits = max(rows[0] + rows[1]).bit_length()
        address = Cat(size_log[:factor_bits], live.pop("is_clipped"))
        mantissa = logic_table(self._m, rows[0] + rows[1], address, mantissa_bits, "mantissa_table")
        octave = size_log[factor_bits:].as_signed()
        # In octaves: size = mantissa << (octave + point), cut below 0.
        point = octave_offset + config.step_fraction_bits - config.mantissa_bits
        self._boundary()
        mantissa = self._register(mantissa, "mantissa")
        octave = self._register(octave, "octave")

        # 10: shift by the octave modulo 8, and down by the eights but one below the highest ...
        shifted = mantissa << octave[:3]
        eights = octave[3:].as_signed()
        highest = (clip + config.lr_format.maximum) >> (factor_bits + 3)
        up = 8 * highest + point
        lowest = -((len(shifted) + point - 1) // 8)
        is_deeper = {g: Signal(name=f"is_eights_{highest - g}") for g in range(highest - 2, lowest - 1, -1)}
        for group, signal in is_deeper.items():
            self._m.d.comb += signal.eq(eights == group)
        is_deep = Cat(is_deeper.values()).any()
        is_none = (eights < lowest) | live.pop("is_still")
        bits, forces = [], []
        for place, bit in enumerate(shifted):
            deeper = [
                signal & shifted[place + 8 * (highest - 1 - group)]
                for group, signal in is_deeper.items()
                if place + 8 * (highest - 1 - group) < len(shifted) and place + up >= 8
            ]
            bits.append(Mux(is_deep, Cat(deeper).any(), bit) if deeper else bit)
            forces.append(is_none if deeper else is_none | is_deep)
        is_lower = eights < highest
        self._boundary()
        shifted = Cat(
            self._register(bit, f"shifted_{place}", force=[(condition, 0)])
            for place, (bit, condition) in enumerate(zip(bits, forces, strict=True))
        )
        is_lower = self._register(is_lower, "is_lower")

        # ... and 11: by the last eight.
        self._size_value = Signal(config.quantity_bits, name="size")
        self._m.d.comb += self._size_value.eq(Mux(is_lower, self._moved(shifted, up - 8), self._moved(shifted, up)))

    @staticmethod
    def _moved(value, places: int):
        return value << places if places >= 0 else value[-places:]

    def _weight(self) -> None:
        """11 to 14: the step with its sign, the new weight."""
        config, live, fmt = self.config, self._live, self.config.weight_format
        fraction = config.step_fraction_bits
        is_down = live["is_down"]
        # -size = ~size + 1; the one comes in with the sum.
        size_shape = signed(config.quantity_bits + 1)
        inverted = self._size_value ^ is_down.replicate(config.quantity_bits)
        signed_size = Cat(inverted, is_down).as_signed()
        self._boundary()
        step = self._register(signed_size, "step", size_shape)
        down = self._register(signed_size, "down", size_shape, force=[(~is_down, 0)])

        # 12
        random = live.pop("step_random") if config.rounding is Rounding.STOCHASTIC else self._half_step
        is_down = live.pop("is_down")
        unit_bits = config.step_unit.bit_length() - 1

        def moved(log, by):
            # The bits of a step's unit pass by the sum.
            rounded = (Cat(random, log[unit_bits:]).as_signed() + by + is_down)[fraction:]
            return Cat(log[:unit_bits], rounded).as_signed()

        size = (1 << (config.quantity_bits - fraction)) * config.step_unit
        shape = signed(signed_bits(fmt.zero_log - size, -fmt.zero_log + size))
        log = moved(live.pop("weight"), step)
        limit = moved(live.pop("weight_max"), down)
        self._boundary()
        not_log = self._register(~log, "not_log", shape)
        limit = self._register(limit, "limit", shape)

        # 13
        # limit - log is negative.
        is_above = (limit - ~not_log)[-1]
        self._boundary()
        log = self._register(Mux(is_above, limit, ~not_log), "log", shape)

        # 14
        is_below = log < fmt.log_min
        self._boundary()
        log = self._register(
            log[: fmt.log_width].as_signed(),
            "weight",
            force=[(is_below, Const(fmt.log_min, signed(fmt.log_width)))],
        )
        self._pipeline.finish(weight=word(live["sign"], log, fmt), grad_rms=live["rms"])
