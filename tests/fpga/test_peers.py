"""The peers' table: complete, consistent with itself, and a few rows by hand."""

from lnsmadam.fpga import peers


def test_tables_are_whole():
    assert (len(peers.units()), len(peers.weight_updates())) == (21, 3)
    for peer in peers.units() + peers.weight_updates():
        assert peer.unit and peer.source and peer.promise
        assert peer.latency >= 2, "input and output register count"
        assert peer.ice40["lut4"] > 0 and peer.hx8k_mhz > 0 and peer.ecp5_mhz > 0 and peer.ecp5["lut4"] > 0
    names = [(peer.unit, peer.source) for peer in peers.units()]
    assert len(set(names)) == len(names)
    assert "three seeds" in peers.flow()["fmax"]


def test_ecp5_counts_a_carry_cell_as_two_luts():
    for peer in peers.units():
        assert peer.ecp5["lut4"] == peer.ecp5["lut4_plain"] + 2 * peer.ecp5["ccu2c"], peer.unit


def test_rows_that_the_targets_quote():
    by_name = {(peer.unit, peer.source): peer for peer in peers.units()}
    fp8 = [peer for peer in peers.units() if peer.unit.startswith("FP8")]
    assert {min(p.ice40["lut4"] for p in fp8), max(p.ice40["lut4"] for p in fp8)} == {330, 433}
    assert {min(p.ecp5["lut4"] for p in fp8), max(p.ecp5["lut4"] for p in fp8)} == {447, 582}
    int8 = by_name["int8 multiply, 32-bit accumulate, 2 stages", "plain Verilog"]
    assert (int8.ice40["lut4"], int8.hx8k_mhz, int8.ecp5["lut4"]) == (242, 112, 367)
