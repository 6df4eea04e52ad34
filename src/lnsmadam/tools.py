from lnsmadam.fpga.tools import ToolError as A
from lnsmadam.sim.tools import ToolError as B
TOOL_ERRORS = (A, B)
