"""The progressive file: importance, layers, proxies, quantization, chunks, container."""
