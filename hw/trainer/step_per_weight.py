"""One lane's update where every weight has a tracker of its own."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from lnsmadam.golden.trainer.config import MAX_LR_SHIFT, NetworkConfig, Rounding, WarmUp
from lnsmadam.golden.trainer.tables import bias_table
from lnsmadam.hw.lns import signed_bits
from lnsmadam.hw.trainer import step
from lnsmadam.hw.trainer.delay import delayed
from lnsmadam.hw.trainer.tracker import Tracker


class StepPerWeight(wiring.Component):
    """Updates the tracker of a weight by the log of its gradient, and moves the weight by the step that follows::

        x       = term_i + term_j
        tracker = what Tracker makes of it
        N       = x - tracker + bias
        weight  = what StepLane makes of N

    One weight per cycle. The weight and what goes with it enter :attr:`weight_at` cycles after the terms, the results
    leave :attr:`latency` cycles after them, the weight's through logic behind its last register.

    Parameters
    ----------
    network : NetworkConfig
    input_bits, neuron_bits : int
        Of the terms.
    ram_style : str, optional
        Of the tracker's table.

    Attributes
    ----------
    latency, weight_at : int

    Members
    -------
    term_i, term_j : ``In(signed(…))``
        Logs of the input and of the delta in steps of ``network.state``; any numbers where ``zero`` will be 1.
    lr_shift : ``In``
        Holds, as do ``k`` (where the warm-up is growing) and ``bias`` (where it is exact), while weights are on their
        way.
    weight, tracker : ``In(network.weight.width)``, ``In(signed(network.state.log_width))``
    sign, zero : ``In(1)``
        Of the gradient.
    update : ``In(1)``
        Without, the tracker comes out as it went in.
    u : ``In``
        Random bits: the low ones for the step and for the tracker, where these are rounded stochastically.
    result, tracker_result : ``Out``
    """

    def __init__(self, network: NetworkConfig, input_bits: int, neuron_bits: int, ram_style: str | None = "block"):
        self.network = network
        self._x_bits = max(input_bits, neuron_bits) + 1
        self._tracker = Tracker(network, self._x_bits, ram_style)
        self.registered = step.default_registered(network)
        log = signed(network.state.log_width)
        members = {
            "term_i": In(signed(input_bits)),
            "term_j": In(signed(neuron_bits)),
            "lr_shift": In(range(MAX_LR_SHIFT + 1)),
            "weight": In(network.weight.width),
            "tracker": In(log),
            "sign": In(1),
            "zero": In(1),
            "update": In(1),
            "result": Out(network.weight.width),
            "tracker_result": Out(log),
        }
        if network.warm_up is WarmUp.GROWING:
            members["k"] = In(network.beta_shift.bit_length())
        else:
            members["bias"] = In(signed(signed_bits(*bias_table(network))))
        if random_bits := step.noise_bits(network):
            members["u"] = In(random_bits)
        super().__init__(members)

    #: The terms' sum is registered once before it meets the tracker.
    weight_at = 1

    @property
    def latency(self) -> int:
        return self.weight_at + self._tracker.latency + len(self.registered)

    def elaborate(self, platform):
        m = Module()
        network = self.network
        x = Signal(signed(self._x_bits), reset_less=True)
        m.d.sync += x.eq(self.term_i + self.term_j)

        m.submodules.tracker = tracker = self._tracker
        m.d.comb += [
            tracker.r.eq(self.tracker),
            tracker.x.eq(x),
            tracker.zero.eq(self.zero),
            tracker.update.eq(self.update),
            self.tracker_result.eq(delayed(m, tracker.result, len(self.registered), "tracker")),
        ]
        norm = tracker.x_out - tracker.result
        if network.warm_up is WarmUp.GROWING:
            m.d.comb += tracker.k.eq(self.k)
        else:
            norm = norm + self.bias
        if network.state_rounding is Rounding.STOCHASTIC:
            m.d.comb += tracker.u.eq(self.u[: network.state_fraction_bits])

        # What the step needs beside the norm waits for it.
        late = self._tracker.latency + len([boundary for boundary in self.registered if boundary < step.STEPS])
        weight = delayed(m, self.weight, late, "weight")
        sign, zero = delayed(m, self.sign, late, "sign"), delayed(m, self.zero, late, "zero")
        random = None
        if network.weight_rounding is Rounding.STOCHASTIC:
            random = delayed(m, self.u[: network.step_bits], late, "random")
        result = step.step(m, network, self.registered, norm, self.lr_shift, weight, sign, zero, random)
        m.d.comb += self.result.eq(result)
        return m
