"""The authors' own runs: what their public repository holds of the paper's sparse mappings."""
