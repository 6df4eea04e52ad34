"""Single faults in the netlists, and whether the benches notice them."""
