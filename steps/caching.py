"""When a step's earlier result may stand: same inputs, same parameters, same code of primum."""

from primum.stack.store import code_hash
from zenml.config.cache_policy import CachePolicy

BY_CODE = CachePolicy(cache_func=code_hash)
