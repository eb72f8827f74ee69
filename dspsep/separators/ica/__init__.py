"""Independent component analysis: instantaneous mixtures, demixed by one matrix."""
