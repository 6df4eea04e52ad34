"""The running RMS of a stream of gradients, kept as a log."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.trainer.config import NetworkConfig, Rounding, WarmUp
from lnsmadam.golden.trainer.tables import tracker_tables
from lnsmadam.hw.lns import is_zero_log, signed_bits
from lnsmadam.hw.pipeline import out_of_range
from lnsmadam.hw.tables import logic_table
from lnsmadam.hw.trainer.stages import Stages

LATENCY = 5


class GainTable:
    """What an update adds to the larger of the decayed mean and the new square, as a table.

    With ``near = x - (g * k >> 1)``, about what x alone would leave, and ``t = near - r``, the change of r is
    ``max(t, 0) * 2**b + gain`` in fractions of ``2**-b`` step: a gain has fewer bits than a change, and where t is
    far from 0 it is constant. Above the table it is that of the last entry. Below, it may fall once more by one: so
    few values would double the table.

    Attributes
    ----------
    first : int
        The t of the first entry of every row.
    address_bits : int
        Of a row.
    shifts : list of int
        The k of each row.
    rows : list of lists of int
    falls : list of (int or None)
        The t below which a row's gain is one less than its first entry.
    bits : int
        Of an entry, and of one less, signed.
    """

    def __init__(self, network: NetworkConfig):
        tables = tracker_tables(network)
        factor = int(network.state.base_factor)
        self.shifts = sorted(tables)
        near = {k: factor * k >> 1 for k in self.shifts}
        lowest = min(tables[k].first - near[k] for k in self.shifts)
        last = max(tables[k].first - near[k] + len(tables[k].values) - 1 for k in self.shifts)

        def change(k: int, t: int) -> int:
            return int(tables[k].change(t + near[k]))

        self.address_bits = 1
        while any(change(k, last - (1 << self.address_bits) + 1) > tables[k].decay + 1 for k in self.shifts):
            self.address_bits += 1
        self.first = last - (1 << self.address_bits) + 1
        self.falls = [
            next(t for t in range(lowest, self.first + 1) if change(k, t) > tables[k].decay)
            if change(k, self.first) > tables[k].decay
            else None
            for k in self.shifts
        ]
        self.rows = [
            [change(k, t) - (max(t, 0) << network.state_fraction_bits) for t in range(self.first, last + 1)]
            for k in self.shifts
        ]
        self.bits = signed_bits(*(entry - less for row in self.rows for entry in row for less in (0, 1)))


class Tracker(wiring.Component):
    """Updates a running RMS.

    With ``x = g * log2|gradient|`` and r the log of the RMS so far, beta = ``1 - 2**-k``::

        result = r + floor(D + u)        D = g/2 * log2(beta + (1 - beta) * 4**((x - r) / g)), rounded to 2**-b
               = x - (g * k >> 1)        the first gradient that is not zero

    clamped to the format's range; a gradient of zero makes D the decay ``g/2 * log2(beta)``, and leaves what has not
    begun as it is. One update per cycle, :attr:`latency` cycles later.

    Parameters
    ----------
    network : NetworkConfig
    x_bits : int
    ram_style : str, optional
        Of the table, as the synthesis tool names it; or ``logic``, for multiplexers.
    u_at : int
        Cycles after the rest at which the random bits enter, at most 3, where they are needed.

    Attributes
    ----------
    latency : int

    Members
    -------
    r : ``In(signed(network.state.log_width))``
    x, zero : ``In(signed(x_bits))``, ``In(1)``
        The gradient; with ``zero`` x may be any number.
    update : ``In(1)``
        Without, ``result`` is r.
    k : ``In``
        Where the warm-up is growing; holds while updates are under way.
    u : ``In(network.state_fraction_bits)``
        Random bits, where the state is rounded stochastically.
    result : ``Out(signed(network.state.log_width))``
    x_out, zero_out : ``Out``
        ``x`` and ``zero`` beside their result.
    """

    latency = LATENCY

    def __init__(self, network: NetworkConfig, x_bits: int, ram_style: str | None = "block", u_at: int = 0):
        self.network, self.ram_style, self.u_at = network, ram_style, u_at
        log, x = signed(network.state.log_width), signed(x_bits)
        members = {
            "r": In(log),
            "x": In(x),
            "zero": In(1),
            "update": In(1),
            "result": Out(log),
            "x_out": Out(x),
            "zero_out": Out(1),
        }
        if network.warm_up is WarmUp.GROWING:
            members["k"] = In(network.beta_shift.bit_length())
        if network.state_rounding is Rounding.STOCHASTIC:
            members["u"] = In(network.state_fraction_bits)
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        network, fmt, fraction_bits = self.network, self.network.state, self.network.state_fraction_bits
        table = GainTable(network)
        is_growing = network.warm_up is WarmUp.GROWING
        stages = Stages(m)
        live = {"x": self.x, "zero": self.zero, "r": self.r, "update": self.update}
        is_random = network.state_rounding is Rounding.STOCHASTIC

        def boundary(**more):
            if is_random and stages.latency == self.u_at < 3:
                live["u"] = self.u
            live.update(more)
            stages.boundary()
            live.update({name: stages.register(value, name=name) for name, value in live.items()})

        # 1: what x alone would leave.
        k = self.k if is_growing else network.beta_shift
        boundary(near=self.x - (k * int(fmt.base_factor) >> 1), unseen=is_zero_log(self.r))

        # 2: how far it lies above r.
        boundary(t=live["near"] - live["r"])

        # 3: its entry. Beyond an end of the table the address is that end's.
        t, zero, update, unseen = (live.pop(name) for name in ("t", "zero", "update", "unseen"))
        place = t - table.first
        upper = place[table.address_bits :]
        is_low, is_high = place[-1] | zero, upper.any()
        limits = is_high.replicate(table.address_bits) & ~is_low.replicate(table.address_bits)
        address = Mux(is_low | is_high, limits, place[: table.address_bits])
        entry, falls = self._read(m, table, address), self._falls(m, table, t, zero)
        live["zero"] = zero
        # Where nothing was seen, t is negative only if x is so low that the result is the range's end.
        boundary(
            base=Mux(~t[-1] & ~zero & update, live.pop("near"), live.pop("r")),
            keeps=unseen | ~update,
            is_free=~update | unseen & zero,
            falls=falls,
        )

        # 4: whole steps.
        random = live.pop("u", self.u) if is_random else Const(1 << fraction_bits >> 1, fraction_bits)
        # A gain that falls is one less, which the carry makes of its complement.
        keeps, falls = live.pop("keeps"), live.pop("falls")
        rise = (Cat(Const(1, 1), entry).as_signed() + Cat(~falls, random))[fraction_bits + 1 :].as_signed()
        boundary()
        rise = stages.register(rise, name="rise", force=[(keeps, 0)])

        # 5
        total = live.pop("base") + rise
        above, below = out_of_range(total, fmt)
        is_free = live.pop("is_free")
        boundary()
        low, high = (Const(limit, signed(fmt.log_width)) for limit in (fmt.log_min, fmt.log_max))
        force = [(below & ~is_free, low), (above & ~is_free, high)]
        result = stages.register(total[: fmt.log_width].as_signed(), name="result", force=force)
        assert stages.latency == self.latency
        m.d.comb += [self.result.eq(result), self.x_out.eq(live["x"]), self.zero_out.eq(live["zero"])]
        return m

    def _falls(self, m: Module, table: GainTable, t, zero) -> Value:
        """Whether the gain is one less than the row's entry."""
        if all(fall is None for fall in table.falls):
            return Const(0, 1)
        least = -(1 << (len(t) - 1))
        falls = [least if fall is None else fall for fall in table.falls]
        bits = signed_bits(*falls)
        if len(falls) == 1:
            return (t < falls[0]) | zero
        has_fall = logic_table(m, [int(fall is not None) for fall in table.falls], self._row(m, table), 1, "has_fall")
        fall = logic_table(m, falls, self._row(m, table), bits, "fall").as_signed()
        return has_fall & ((t < fall) | zero)

    def _row(self, m: Module, table: GainTable) -> Signal:
        row = Signal(len(self.k))
        m.d.comb += row.eq(self.k - table.shifts[0])
        return row

    def _read(self, m: Module, table: GainTable, address) -> Value:
        """The entry of the row that k chooses, less one, one cycle later."""
        entries = [entry - 1 for row in table.rows for entry in row]
        if len(table.rows) > 1:
            address = Cat(address, self._row(m, table))
        if self.ram_style == "logic":
            entry = Signal(signed(table.bits), reset_less=True)
            m.d.sync += entry.eq(logic_table(m, entries, address, table.bits, "gain"))
            return entry
        m.submodules.table = memory = Memory(shape=signed(table.bits), depth=len(entries), init=entries)
        if self.ram_style:
            memory.attrs["ram_style"] = self.ram_style
        port = memory.read_port()
        m.d.comb += port.addr.eq(address)
        return port.data
