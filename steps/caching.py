"""When a step's earlier result may stand: same inputs, same parameters, same code of primum."""

from zenml.config.cache_policy import CachePolicy

from primum.stack.store import code_hash

BY_CODE = CachePolicy.model_validate({"cache_func": code_hash})
