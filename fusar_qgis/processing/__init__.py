"""The Processing provider: interpretation in batches, priors, training chips, comparison with the truth."""
