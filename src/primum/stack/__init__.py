"""What Primum adds to ZenML: its store's bootstrap, materializers, cache policy, and (later) step operators."""
