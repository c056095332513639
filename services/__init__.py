"""All of Tocsin but its models."""

from services.runtime.kernel_cache import use_kernel_cache

use_kernel_cache()
