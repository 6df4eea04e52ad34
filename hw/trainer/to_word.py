"""Finished sums to words: activations in the forward pass, deltas in the backward pass."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.format import LNSFormat
from lnsmadam.golden.trainer.config import NetworkConfig
from lnsmadam.golden.trainer.tables import magnitude_log
from lnsmadam.hw.lns import signed_bits
from lnsmadam.hw.log_of_mantissa import Live, log_of_magnitude
from lnsmadam.hw.pipeline import out_of_range
from lnsmadam.hw.tables import logic_table
from lnsmadam.hw.trainer.stages import Stages


class ToWord(wiring.Component):
    """Converts a saturated sum of products to an LNS word.

    Computes the sum's sign and ``round(base_factor * log2(|value| / 2**F)) + offset``, correctly rounded, under the
    range rule; the offset, a number for each layer and direction, turns tops of factors into that of the result.
    Forward, a sum of 0 or less is the zero word. One sum per cycle, :attr:`latency` cycles later.

    Parameters
    ----------
    network : NetworkConfig

    Attributes
    ----------
    latency : int

    Members
    -------
    value : ``In(signed(network.sum_width))``
    backward : ``In(1)``
    layer : ``In(range(network.layers))``
        The layer whose weights made the sum.
    kill : ``In(1)``
        The result is the zero word.
    activation : ``Out(network.activation.width)``
        The word, where ``backward`` was 0.
    delta : ``Out(network.delta.width)``
        The word, where ``backward`` was 1.
    """

    def __init__(self, network: NetworkConfig):
        self.network = network
        super().__init__(
            {
                "value": In(signed(network.sum_width)),
                "backward": In(1),
                "layer": In(range(network.layers)),
                "kill": In(1),
                "activation": Out(network.activation.width),
                "delta": Out(network.delta.width),
            }
        )

    @property
    def latency(self) -> int:
        return 3 + magnitude_log(self.network, self.network.delta).boundaries

    def elaborate(self, platform):
        m = Module()
        network, stages = self.network, Stages(m)
        # Base factors are so small that the log of a mantissa is correctly rounded whatever the format's width.
        spec = magnitude_log(network, network.delta)
        assert spec.core == magnitude_log(network, network.activation).core
        sign = self.value[-1]
        magnitude = ((self.value ^ sign.replicate(len(self.value))) + sign)[: spec.width]
        kill = self.kill | (sign & ~self.backward)
        stages.boundary()
        magnitude = stages.register(magnitude, name="absolute")
        live: Live = {
            "sign": stages.register(sign, name="sign"),
            "kill": stages.register(kill, name="kill"),
            "case": stages.register(Cat(self.layer, self.backward), name="case"),
        }
        log, is_zero, live = log_of_magnitude(m, stages, spec, magnitude, live)

        # Where both formats are one, so are their parts.
        formats = list(dict.fromkeys((network.activation, network.delta)))
        totals = [self._move(m, log, live["case"], fmt) for fmt in formats]
        stages.boundary()
        totals = [stages.register(total, name="total") for total in totals]
        kill = stages.register(live["kill"] | is_zero, name="kill")
        sign = stages.register(live["sign"], name="sign")

        ranges = [out_of_range(total, fmt) for total, fmt in zip(totals, formats, strict=True)]
        stages.boundary()
        words = {}
        for total, fmt, (above, below) in zip(totals, formats, ranges, strict=True):
            flush = kill | below
            force = [(flush, fmt.zero), (above, fmt.max_word)]
            result = stages.register(total[: fmt.log_width], name="result", force=force)
            words[fmt] = Cat(result, stages.register(sign, name="result_sign", force=[(flush, 0)]))
        m.d.comb += [self.activation.eq(words[network.activation]), self.delta.eq(words[network.delta])]
        return m

    def _move(self, m: Module, log, case, fmt: LNSFormat) -> Signal:
        """The log with the offset of a case added."""
        rows = self.offsets(fmt)
        offsets = [offset for row in rows for offset in row + [row[-1]] * ((1 << len(self.layer)) - len(row))]
        bits = signed_bits(*offsets)
        total = Signal(signed(max(len(log), bits) + 1), name="moved")
        m.d.comb += total.eq(log + logic_table(m, offsets, case, bits, "offset").as_signed())
        return total

    def offsets(self, fmt: LNSFormat) -> list[list[int]]:
        """What is added to the log of a sum, by direction (forward, backward) and layer."""
        network, factor = self.network, self.network.base_factor
        tops = [(network.source_top(layer), network.weight_tops[layer]) for layer in range(network.layers)]
        return [
            [fmt.log_max + factor * (source + weight - network.activation_top) for source, weight in tops],
            [fmt.log_max + factor * weight for _, weight in tops],
        ]
