"""What the units with a sum share: the choice of its datapath."""

from amaranth.hdl import Module

from lnsmadam.golden.log_sum import Approximator, SumConfig
from lnsmadam.hw import log_sum, segments
from lnsmadam.hw.log_sum import Operand
from lnsmadam.hw.pipeline import Pipeline, UnitComponent


class SumUnit(UnitComponent):
    """Base of units whose result is the sum of two logs, from a table or from segments."""

    config: SumConfig

    def __new__(cls, config: SumConfig):
        # Before there is a component: Amaranth would complain of one that nothing uses.
        config.require_hardware()
        return super().__new__(cls, config)

    def add_logs(self, m: Module, x: Operand, y: Operand) -> None:
        """Builds everything from the operands to ``o``; ``x.log`` may exceed the result's range."""
        if self.config.approximator is Approximator.TABLE:
            pipeline = Pipeline(m, self, log_sum.registered_boundaries(self.config))
            log_sum.log_sum(m, pipeline, self.config, x, y)
        else:
            pipeline = Pipeline(m, self, segments.registered_boundaries(self.config))
            segments.segmented_sum(m, pipeline, self.config, x, y)
